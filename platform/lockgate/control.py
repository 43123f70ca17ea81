"""What operators ask of running workloads, each in a compacted topic of its own: whether it is to be paused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

__all__ = ["ControlState", "read_states", "write_state"]


@attrs.frozen
class ControlState:
    """Say what a workload shall do."""

    paused: bool
    by: str
    """The principal that asked for it."""
    at: str
    """When, in ISO 8601."""
    why: str = ""

    def encode(self) -> bytes:
        """Return the record's value: a JSON object."""
        return json.dumps(attrs.asdict(self), ensure_ascii=False).encode()

    @classmethod
    def decode(cls, value: bytes | None) -> ControlState | None:
        """Return what a record says; None where it says nothing that is understood."""
        try:
            document = json.loads(value or b"")
            state = cls(document["paused"], str(document["by"]), str(document["at"]), str(document.get("why", "")))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return state if isinstance(state.paused, bool) else None


def write_state(config: Mapping[str, Any], topic: str, workload: str, state: ControlState, *, timeout: float) -> None:
    """Write what a workload shall do into its control topic; raise KafkaException where the brokers do not take it."""
    errors: list[KafkaError | None] = []
    producer = Producer({**config, "acks": "all", "enable.idempotence": True, "log_level": 0})
    producer.produce(topic, state.encode(), workload, 0, on_delivery=lambda error, _: errors.append(error))
    producer.flush(timeout)
    error = errors[0] if errors else KafkaError(KafkaError._TIMED_OUT)
    if error is not None:
        raise KafkaException(error)


def read_states(config: Mapping[str, Any], topics: Iterable[str], *, timeout: float) -> dict[str, ControlState]:
    """Return the last word of each control topic, by workload; topics that say nothing are left out.

    Raise KafkaException where they cannot be read to their ends within `timeout` seconds.
    """
    open_ = set(topics)
    if not open_:
        return {}
    # a group is required, and never joined
    options = {"group.id": "unused", "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer({**config, **options, "isolation.level": "read_committed"})
    states: dict[str, ControlState] = {}
    deadline = time.monotonic() + timeout
    try:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING) for topic in open_])
        while open_:
            for message in consumer.consume(1000, 0.1):
                error = message.error()
                if error is None:
                    state = ControlState.decode(message.value())
                    if state is not None:
                        states[(message.key() or b"").decode(errors="replace")] = state
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_.discard(message.topic() or "")
                elif not error.retriable():
                    raise KafkaException(error)
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    finally:
        consumer.close()
    return states
