"""Offsets of consumer groups and ends of topics, as an administrator reads and sets them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec

from lockgate.committed import Committed
from lockgate.errors import ClusterUnavailable
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.coordinators import Coordinators
from lockgate.provisioning.failures import PASSING, cluster_error
from lockgate.provisioning.wire import can_log_in
from lockgate.records import Place

__all__ = ["GroupOffsets", "Place"]

_K = TypeVar("_K", str, Place)

_PATIENCE = 30.0
_NO_GROUP = {KafkaError.GROUP_ID_NOT_FOUND}


class GroupOffsets:
    """Ask for offsets and set them; every request of one call is under way at the same time.

    Raise ClusterDenied, ClusterUnavailable or ClusterError, the first of them where a call's requests fail for several
    reasons. What only needs a moment, such as a coordinator that is being elected, is waited for.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._client = cluster.client

    def committed(self, wanted: Mapping[str, Collection[Place]]) -> dict[str, dict[Place, int]]:
        """Return what groups have committed in places; a group that does not exist has committed nothing."""
        settings, asked = self._cluster.settings, {group: set(places) for group, places in wanted.items() if places}
        if not can_log_in(settings):
            return self._committed_one_by_one(wanted)
        with Coordinators(self._cluster.brokers(), settings) as coordinators:
            found = coordinators.committed(asked, timeout=_PATIENCE)
        answers: dict[str, dict[Place, int]] = {group: {} for group in wanted}
        for group, places in asked.items():
            answers[group] = {place: offset for place, offset in found[group].items() if place in places}
        return answers

    def _committed_one_by_one(self, wanted: Mapping[str, Collection[Place]]) -> dict[str, dict[Place, int]]:
        """Ask by a consumer of each group: for administrators who log in by a way that only librdkafka knows."""
        try:
            with Committed(self._cluster.settings.client_config()) as committed:
                return committed.each(wanted, timeout=_PATIENCE)
        except KafkaException as error:
            servers = self._cluster.servers
            raise cluster_error(error.args[0], "a request for committed offsets", servers=servers) from error

    def members(self, groups: Iterable[str]) -> dict[str, int]:
        """Return how many members groups have; a group that does not exist has none."""

        def ask(names: Sequence[str]) -> dict[str, Future[Any]]:
            return self._client.describe_consumer_groups(list(names))

        answers = self._answers(list(groups), ask, "a request for the members of group", absent=_NO_GROUP)
        return {
            group: 0 if answer is None or answer.state == ConsumerGroupState.DEAD else len(answer.members)
            for group, answer in answers.items()
        }

    def positions(self, places: Iterable[Place], at: Literal["earliest", "latest"] | int) -> dict[Place, int]:
        """Return the offset that a position has in each partition.

        `latest` is the end of what a reader of committed records can see. A number is a time in milliseconds since the
        epoch: the first record that is not older, or the end where there is none.
        """
        wanted = list(places)
        if isinstance(at, int):
            found = self._listed(wanted, OffsetSpec.for_timestamp(at))
            late = [place for place in wanted if found[place] < 0]
            return found | self.positions(late, "latest")
        # the client's own gap in its types
        spec: Any = OffsetSpec.earliest() if at == "earliest" else OffsetSpec.latest()  # type: ignore[no-untyped-call]
        return self._listed(wanted, spec)

    def set(self, offsets: Mapping[str, Mapping[Place, int]]) -> None:
        """Set offsets of groups that have no members; refused by the brokers where one has some."""

        def ask(names: Sequence[str]) -> dict[str, Future[Any]]:
            return {name: self._alter(name, offsets[name]) for name in names}

        groups = [group for group, places in offsets.items() if places]
        for answer in self._answers(groups, ask, "to set the offsets of group").values():
            for item in answer.topic_partitions:
                if item.error is not None:
                    where = f"to set an offset of {item.topic}-{item.partition}"
                    raise cluster_error(item.error, where, servers=self._cluster.servers)

    def _alter(self, group: str, places: Mapping[Place, int]) -> Future[Any]:
        partitions = [TopicPartition(*place, offset) for place, offset in places.items()]
        return self._client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, partitions)])[group]

    def _listed(self, places: Sequence[Place], spec: OffsetSpec) -> dict[Place, int]:
        def ask(places: Sequence[Place]) -> dict[Place, Future[Any]]:
            wanted = {TopicPartition(*place): spec for place in places}
            futures = self._client.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED)
            return {(place.topic, place.partition): future for place, future in futures.items()}

        answers = self._answers(places, ask, "a request for offsets of")
        return {place: answer.offset for place, answer in answers.items()}

    def _answers(
        self,
        wanted: Sequence[_K],
        ask: Callable[[Sequence[_K]], Mapping[_K, Future[Any]]],
        doing: str,
        absent: Collection[int] = (),
    ) -> dict[_K, Any]:
        """Ask until all is answered; an error in `absent` is the answer None."""
        deadline = time.monotonic() + _PATIENCE
        answers: dict[_K, Any] = {}
        pause = 0.0
        while missing := [key for key in wanted if key not in answers]:
            if pause:
                time.sleep(pause)
                self._cluster.metadata()  # the client asks only those leaders that it knows
            pause = min(1.0, 2 * pause + 0.05)
            for key, future in ask(missing).items():
                what = f"{doing} {key if isinstance(key, str) else f'{key[0]}-{key[1]}'}"
                try:
                    answers[key] = future.result(_PATIENCE)
                except KafkaException as error:
                    cause = error.args[0]
                    if cause.code() in absent:
                        answers[key] = None
                    elif cause.code() not in PASSING or time.monotonic() > deadline:
                        raise cluster_error(cause, what, servers=self._cluster.servers) from error
                except TimeoutError as error:
                    raise ClusterUnavailable(f"the cluster at {self._cluster.servers} did not answer {what}") from error
        return answers
