"""When all is done: every group has finished everything in its topics, retries included."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from lockgate.connection import Settings
from lockgate.contracts.derive import consumer_topics
from lockgate.contracts.model import Contracts
from lockgate.errors import ClusterUnavailable, LockgateError

__all__ = ["Lag", "Watch"]

Place = tuple[str, int]


@attrs.frozen
class Lag:
    """Hold what groups have and have not finished, in records."""

    finished: int
    open: int
    by_group: Mapping[str, int]


class Watch:
    """Watch the groups of a project's workloads."""

    def __init__(self, contracts: Contracts, settings: Settings) -> None:
        self._client = AdminClient(settings.client_config() | {"log_level": 0})
        consumers = [workload for workload in contracts.workloads.values() if workload.consumes]
        self._topics = {workload.name: consumer_topics(contracts, workload) for workload in consumers}
        self._partitions = {
            topic: contracts.domain_of(workload.consumes[0]).topic.partitions
            for workload in consumers
            for topic in self._topics[workload.name]
        }

    def ends(self) -> dict[Place, int]:
        """Return the end offset of each partition of the domain and retry topics."""
        return self._offsets(OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the client has no types here

    def lag(self) -> Lag:
        """Return how far the groups are.

        Committed offsets are read before the ends: where nothing is open then, nothing was open at that moment, because
        what a record leads to is on the brokers before its offset is committed.
        """
        committed = {group: self._committed(group) for group in self._topics}
        ends = self.ends()
        starts = self._offsets(OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # no types here either
        by_group = {}
        finished = 0
        for group, topics in self._topics.items():
            still = 0
            for topic in topics:
                for partition in range(self._partitions[topic]):
                    place = (topic, partition)
                    done = max(committed[group].get(place, 0), starts[place])
                    still += max(0, ends[place] - done)
                    finished += done - starts[place]
            by_group[group] = still
        return Lag(finished, sum(by_group.values()), by_group)

    def wait(self, tell: Callable[[Lag], None], check: Callable[[], None], *, patience: float = 90.0) -> None:
        """Wait until nothing is open; raise LockgateError when nothing has moved for `patience` seconds."""
        moved, last = time.monotonic(), (-1, -1)
        while True:
            check()
            try:
                lag = self.lag()
            except KafkaException as error:
                if time.monotonic() - moved > patience:
                    raise ClusterUnavailable(f"the brokers do not say how far the groups are: {error}") from error
                time.sleep(0.5)
                continue
            tell(lag)
            if lag.open == 0:
                return
            if (lag.finished, lag.open) != last:
                moved, last = time.monotonic(), (lag.finished, lag.open)
            elif time.monotonic() - moved > patience:
                stuck = ", ".join(f"{group}: {count}" for group, count in lag.by_group.items() if count)
                raise LockgateError(
                    f"nothing has moved for {patience:.0f} s, and records are open ({stuck})",
                    next_step="`lockgate status` and the services' logs say why",
                )
            time.sleep(0.3)

    def _committed(self, group: str) -> dict[Place, int]:
        answer = self._client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group]
        partitions: Any = answer.result(10).topic_partitions
        return {(entry.topic, entry.partition): entry.offset for entry in partitions if entry.offset >= 0}

    def _offsets(self, spec: OffsetSpec) -> dict[Place, int]:
        asked = {
            TopicPartition(topic, partition): spec
            for topic, count in self._partitions.items()
            for partition in range(count)
        }
        answers = self._client.list_offsets(asked, request_timeout=10)
        return {(entry.topic, entry.partition): answer.result(10).offset for entry, answer in answers.items()}
