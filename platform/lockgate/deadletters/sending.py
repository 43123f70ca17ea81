"""Records that an operator writes into a workload's topics, each with what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import attrs
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from lockgate.connection import Settings
from lockgate.records import Coordinates

__all__ = ["Outgoing", "send_records"]

_WINDOW = 200
"""Records in flight at a time: what an interruption can leave without a known outcome."""
_MAX_BYTES = 4 * 1024 * 1024
"""The client's own limit stays out of the way; the topic's decides."""


@attrs.frozen
class Outgoing:
    """Hold a record that is to be written to one partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def send_records(
    settings: Settings, records: Sequence[Outgoing], *, timeout: float = 30.0
) -> Iterator[Coordinates | str]:
    """Write records; yield for each, in their order, where it lies, or why the brokers did not take it.

    It lies there once all in-sync replicas have acknowledged it. `timeout` (seconds) is that of each delivery.
    """
    producer = Producer(
        {
            **settings.client_config(),
            "acks": "all",
            "enable.idempotence": True,
            "delivery.timeout.ms": int(timeout * 1000),
            "message.max.bytes": _MAX_BYTES,
            "linger.ms": 5,
        }
    )
    for start in range(0, len(records), _WINDOW):
        yield from _send_window(producer, records[start : start + _WINDOW], timeout)


def _send_window(producer: Producer, records: Sequence[Outgoing], timeout: float) -> list[Coordinates | str]:
    outcomes: dict[int, Coordinates | str] = {}

    def note(number: int, error: KafkaError | None, written: Message | None) -> None:
        if error is not None or written is None:
            outcomes[number] = error.str() if error else "no answer"
        else:
            topic = records[number].topic
            outcomes[number] = Coordinates(topic, written.partition() or 0, written.offset() or 0)

    for number, record in enumerate(records):
        try:
            producer.produce(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list[tuple[str, str | bytes | None]](record.headers),
                partition=record.partition,
                on_delivery=partial(note, number),
            )
        except KafkaException as error:  # a partition that the topic does not have is known before anything is sent
            note(number, error.args[0], None)
    producer.flush(timeout + 5)
    silence = "no answer in time: it may or may not have arrived"
    return [outcomes.get(number, silence) for number in range(len(records))]
