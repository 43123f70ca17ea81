"""A Kafka cluster within this process: librdkafka's mock brokers, and the clients that tests share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache, cached_property
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from lockgate.connection import Settings
from lockgate.errors import ClusterError
from lockgate.records import Place
from lockgate.runtime.clients import connect_consumer, connect_producer

__all__ = ["Cluster", "shared_cluster"]

_NOBODY = "lockgate~testing"
"""No workload's name: it holds a `~`."""
_QUICK = {
    "fetch.wait.max.ms": "5",
    "linger.ms": "0",
    "log_level": "2",
    "reconnect.backoff.ms": "1",
    "retry.backoff.ms": "10",
    "topic.metadata.refresh.fast.interval.ms": "10",
}
_PATIENCE = 30.0
"""Seconds after which the brokers in this very process are believed to be stuck."""


class Cluster:
    """Own mock brokers and what is connected to them.

    Topics and clients stay: to make them takes longer than a test. Who uses the cluster next begins behind what lies
    there already.
    """

    def __init__(self) -> None:
        # this client holds the brokers; they end with it
        self._anchor = Producer({"bootstrap.servers": "in-process:1", "test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._anchor.list_topics(timeout=_PATIENCE).brokers.values()
        servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        self._settings = Settings(servers, kafka=_QUICK)
        self._admin = AdminClient(self._settings.client_config() | {"log_level": 2})
        self._partitions: dict[str, tuple[int, ...]] = {}
        self._consumers: dict[str, Consumer] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the topics that are there."""
        return tuple(self._partitions)

    def make(self, topics: Iterable[str]) -> None:
        """Make topics that are not there yet; the mock brokers give each one as many partitions as they like."""
        for topic in topics:
            if topic not in self._partitions:
                found = self._anchor.list_topics(topic, _PATIENCE).topics[topic]
                self._partitions[topic] = tuple(sorted(found.partitions))
                clients: list[Consumer | Producer] = [self.producer, *self._consumers.values()]
                for client in clients:
                    client.list_topics(topic, _PATIENCE)  # else it looks for a topic that is new to it once a second

    def places(self, topics: Iterable[str]) -> list[Place]:
        """Return all partitions of topics."""
        return [(topic, partition) for topic in topics for partition in self._partitions[topic]]

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the offset behind the last record of partitions."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the client's
        wanted = {TopicPartition(*place): latest for place in places}
        if not wanted:
            return {}
        answers = self._admin.list_offsets(wanted, request_timeout=_PATIENCE)
        return {(entry.topic, entry.partition): future.result().offset for entry, future in answers.items()}

    def consumer(self, group: str) -> Consumer:
        """Return the consumer of a group."""
        if group not in self._consumers:
            self._consumers[group] = connect_consumer(self._settings, group, _ignore)
            for topic in self._partitions:
                self._consumers[group].list_topics(topic, _PATIENCE)
        return self._consumers[group]

    @cached_property
    def producer(self) -> Producer:
        """Return the producer of everybody: each idempotent one takes half a second until it may send at all."""
        return connect_producer(self._settings, _NOBODY, _ignore)

    def transactional(self, transactional_id: str) -> Producer:
        """Return a producer of one's own, for transactions."""
        return connect_producer(self._settings, _NOBODY, _ignore, transactional_id)

    def committed(self, group: str, places: Collection[Place]) -> dict[Place, int]:
        """Return what a group has committed; partitions without a commit are left out."""
        found = self.consumer(group).committed([TopicPartition(*place) for place in places], _PATIENCE)
        return {(entry.topic, entry.partition): entry.offset for entry in found if entry.offset >= 0}

    def read(self, spans: dict[Place, tuple[int, int]]) -> list[Message]:
        """Return the records of partitions from the first offset up to the second, each partition in order."""
        open_ = {place: end for place, (start, end) in spans.items() if start < end}
        if not open_:
            return []
        consumer = self.consumer(_NOBODY)
        consumer.assign([TopicPartition(*place, spans[place][0]) for place in open_])
        found: list[Message] = []
        try:
            while open_:
                messages: list[Message | None] = [*consumer.consume(500, 0)] or [consumer.poll(_PATIENCE)]
                for message in messages:
                    if message is None:
                        raise ClusterError(f"the brokers of the kit do not give {next(iter(open_))} to its end")
                    place, error = _place(message), message.error()
                    if error is not None and error.code() != KafkaError._PARTITION_EOF:
                        raise ClusterError(f"the brokers of the kit do not give {place}: {error.str()}")
                    if error is None and place in open_ and (message.offset() or 0) < spans[place][1]:
                        found.append(message)
                    if error is not None or (message.offset() or 0) + 1 >= spans[place][1]:
                        open_.pop(place, None)
        finally:
            consumer.unassign()
        return sorted(found, key=lambda message: (*_place(message), message.offset() or 0))


@cache
def shared_cluster() -> Cluster:
    """Return the cluster that all kits of this process share; it is made by whoever asks first."""
    return Cluster()


def _place(message: Message) -> Place:
    return message.topic() or "", message.partition() or 0


def _ignore(*_: Any) -> None:
    """Stand where the shared clients report to: who uses them sees the same in what they return."""
