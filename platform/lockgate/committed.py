"""What consumer groups have committed, asked by an administrator who joins none of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lockgate.records import Place

__all__ = ["Committed"]

_AT_ONCE = 8
_SLICE = 2.0
"""Seconds that one question may take before it is looked at whether it is refused."""


class Committed:
    """Read committed offsets of groups; a context manager, for it keeps a connection for each group.

    It asks by a consumer of the group that never subscribes, and so is no member. An AdminClient must not be asked: its
    `list_consumer_group_offsets` ends the whole process where a broker answers NOT_COORDINATOR, as it does after a
    coordinator has moved and now and then for a group that is new (librdkafka #5040, tried with 2.16).
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the librdkafka properties of a principal that may read the groups."""
        self._config = dict(config)
        self._consumers: dict[str, Consumer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def of(
        self, groups: Iterable[str], places: Collection[Place], *, timeout: float = 15.0
    ) -> dict[str, dict[Place, int]]:
        """Return, by group, the offset in each of `places` where it has committed one.

        `timeout` is in seconds, for each group; several are asked at a time. Raise KafkaException.
        """
        return self.each(dict.fromkeys(groups, places), timeout=timeout)

    def each(self, wanted: Mapping[str, Collection[Place]], *, timeout: float = 15.0) -> dict[str, dict[Place, int]]:
        """Return the same where every group is asked about places of its own."""

        def ask(name: str) -> dict[Place, int]:
            places = [TopicPartition(*place) for place in wanted[name]]
            if not places:
                return {}
            answers = self._consumer(name).committed(places, timeout=timeout)
            return {(answer.topic, answer.partition): answer.offset for answer in answers if answer.offset >= 0}

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="committed") as pool:
            return dict(zip(wanted, pool.map(ask, wanted), strict=True))

    def notes(self, group: str, topic: str, *, timeout: float = 15.0) -> dict[int, tuple[int, str]]:
        """Return, by partition of a topic, what a group has committed there: the offset, and the note beside it.

        Partitions without a commit are left out. `timeout` is in seconds. Raise KafkaException.
        """
        consumer = self._consumer(group)
        metadata = consumer.list_topics(topic, timeout=timeout).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        places = [TopicPartition(topic, partition) for partition in metadata.partitions]
        deadline = time.monotonic() + timeout
        while True:
            try:
                answers = consumer.committed(places, min(_SLICE, timeout))
                break
            except KafkaException as error:
                # that the group may not be asked about is told to whoever polls; the question itself just times out
                message = consumer.poll(0)
                refusal = None if message is None else message.error()
                if refusal is not None and refusal.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                    raise KafkaException(refusal) from error
                if error.args[0].code() != KafkaError._TIMED_OUT or time.monotonic() > deadline:
                    raise
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return {answer.partition: (answer.offset, answer.metadata or "") for answer in answers if answer.offset >= 0}

    def close(self) -> None:
        """Close every connection."""
        with ExitStack() as closing:
            for consumer in self._consumers.values():
                closing.callback(consumer.close)
            self._consumers = {}

    def _consumer(self, group: str) -> Consumer:
        if group not in self._consumers:
            config = self._config | {"group.id": group, "enable.auto.commit": False, "log_level": 0}
            self._consumers[group] = Consumer(config)
        return self._consumers[group]
