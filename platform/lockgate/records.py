"""The wire format of records: framing, CloudEvents headers, and the envelope of retries and dead letters.

Written by `runtime`, read by `deadletters`. Headers are a list of `(name, bytes)` pairs, as confluent-kafka gives them:
repeated names and their order survive.
"""

from __future__ import annotations

import hashlib
import re
import struct
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

__all__ = [
    "MAGIC",
    "Coordinates",
    "Envelope",
    "Headers",
    "derived_event_id",
    "fingerprint",
    "frame",
    "header",
    "with_envelope",
    "without_envelope",
]

Headers = Sequence[tuple[str, bytes | None]]

MAGIC: Final = b"\x00"
"""First byte of the registry's wire format; four bytes of schema id follow, big-endian, then the Avro datum."""

# CloudEvents 1.0, Kafka protocol binding, binary content mode; W3C Trace Context.
CE_ID: Final = "ce_id"
CE_TYPE: Final = "ce_type"
CE_SOURCE: Final = "ce_source"
CE_TIME: Final = "ce_time"
CE_SPECVERSION: Final = "ce_specversion"
CONTENT_TYPE: Final = "content-type"
CONTENT_TYPE_AVRO: Final = b"application/avro"
TRACEPARENT: Final = "traceparent"

# Kafka's own names for dead letters (KIP-1191): UTF-8 text.
TOPIC: Final = "__dlq.errors.topic"
PARTITION: Final = "__dlq.errors.partition"
OFFSET: Final = "__dlq.errors.offset"
GROUP: Final = "__dlq.errors.group"
DELIVERY_COUNT: Final = "__dlq.errors.delivery.count"
MESSAGE: Final = "__dlq.errors.message"

# Ours.
TIMESTAMP: Final = "lockgate.timestamp"
TIMESTAMP_TYPE: Final = "lockgate.timestamp-type"
STAGE: Final = "lockgate.stage"
REASON: Final = "lockgate.reason"
EXCEPTION: Final = "lockgate.exception"
STACK: Final = "lockgate.stack"
SCHEMA_ID: Final = "lockgate.schema-id"
DUE: Final = "lockgate.due"
FINGERPRINT: Final = "lockgate.fingerprint"
REPLAY: Final = "lockgate.replay"
POINTER: Final = "lockgate.pointer"

_ENVELOPE_PREFIXES = ("__dlq.errors.", "lockgate.")
_MAX_MESSAGE = 1024
_MAX_STACK = 4096
_EVENT_ID_NAMESPACE = uuid.UUID("6f0c35a5-7a5e-5a63-9a4d-6d3f2c1f0b52")


def frame(schema_id: int, datum: bytes) -> bytes:
    """Return the value of a record in the registry's wire format."""
    return struct.pack(">bI", 0, schema_id) + datum


def header(headers: Headers | None, name: str) -> bytes | None:
    """Return the last value of a header, or None."""
    value = None
    for key, content in headers or ():
        if key == name:
            value = content
    return value


def derived_event_id(event_id: str, workload: str, position: int) -> str:
    """Return the id of a handler's result: the same for the same input, so that a duplicate is recognisable.

    `event_id` is the input's `ce_id`, or its coordinates where it has none; `position` counts results from 0.
    """
    return str(uuid.uuid5(_EVENT_ID_NAMESPACE, f"{event_id}/{workload}/{position}"))


def fingerprint(stage: str, reason: str, message: str) -> str:
    """Return 16 hex digits that are the same for failures that differ only in numbers, ids and quoted values."""
    shape = re.sub(r"'[^']*'|\"[^\"]*\"|[0-9a-fA-F-]{8,}|\d+", "#", message)
    return hashlib.sha256(f"{stage}\n{reason}\n{shape}".encode()).hexdigest()[:16]


@attrs.frozen(order=True)
class Coordinates:
    """Name a record by where it was first written."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


@attrs.frozen
class Envelope:
    """Say where a record in a retry or dead-letter topic comes from and what happened to it."""

    source: Coordinates
    """The record's place in the domain topic; it stays through every tier and replay."""
    group: str
    """The workload that failed."""
    attempt: int
    """Deliveries to the handler so far, the first one included; 0 where no handler saw it since the last replay."""
    timestamp: int
    """Of the original record, milliseconds since the epoch."""
    timestamp_type: str
    """`CreateTime` or `LogAppendTime`, of the original record."""
    stage: str
    """`read`, `handle` or `publish`."""
    reason: str
    """One of errors.PoisonReason for `read`; `reject` or `error` for `handle`; `error` or `too-large` for `publish`."""
    message: str
    exception: str = ""
    """Qualified name of the exception's class."""
    stack: str = ""
    schema_id: int | None = None
    due: int | None = None
    """Milliseconds since the epoch before which a record in a retry topic may not be handled."""
    replay: int = 0
    """Replay round: how often an operator has sent it back."""

    @property
    def identity(self) -> str:
        """Return the letter's identity, printed one way everywhere: `orders-3@1842/payments-service.orders#1`."""
        return f"{self.source}/{self.group}#{self.replay}"

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the envelope as headers, each bounded in size."""
        pairs: list[tuple[str, str | int | None]] = [
            (TOPIC, self.source.topic),
            (PARTITION, self.source.partition),
            (OFFSET, self.source.offset),
            (GROUP, self.group),
            (DELIVERY_COUNT, self.attempt),
            (MESSAGE, _bounded(self.message, _MAX_MESSAGE)),
            (TIMESTAMP, self.timestamp),
            (TIMESTAMP_TYPE, self.timestamp_type),
            (STAGE, self.stage),
            (REASON, self.reason),
            (EXCEPTION, _bounded(self.exception, 256) or None),
            (STACK, _bounded(self.stack, _MAX_STACK) or None),
            (SCHEMA_ID, self.schema_id),
            (DUE, self.due),
            (FINGERPRINT, fingerprint(self.stage, self.reason, self.message)),
            (REPLAY, self.replay or None),
        ]
        return [(name, str(value).encode()) for name, value in pairs if value is not None]

    @classmethod
    def read(cls, headers: Headers | None) -> Envelope | None:
        """Read an envelope from headers; None where there is none or it makes no sense."""
        found = {name: value.decode("utf-8", "replace") for name, value in headers or () if value is not None}
        try:
            return cls(
                source=Coordinates(found[TOPIC], int(found[PARTITION]), int(found[OFFSET])),
                group=found[GROUP],
                attempt=int(found.get(DELIVERY_COUNT, "0")),
                timestamp=int(found.get(TIMESTAMP, "0")),
                timestamp_type=found.get(TIMESTAMP_TYPE, "CreateTime"),
                stage=found.get(STAGE, ""),
                reason=found.get(REASON, ""),
                message=found.get(MESSAGE, ""),
                exception=found.get(EXCEPTION, ""),
                stack=found.get(STACK, ""),
                schema_id=int(found[SCHEMA_ID]) if SCHEMA_ID in found else None,
                due=int(found[DUE]) if DUE in found else None,
                replay=int(found.get(REPLAY, "0")),
            )
        except (KeyError, ValueError):
            return None


def without_envelope(headers: Headers | None) -> list[tuple[str, bytes | None]]:
    """Return the record's own headers, byte for byte and in order, without Lockgate's and Kafka's error headers."""
    return [pair for pair in headers or () if not pair[0].startswith(_ENVELOPE_PREFIXES)]


def with_envelope(headers: Headers | None, envelope: Envelope) -> list[tuple[str, bytes | None]]:
    """Return the record's own headers followed by the envelope, which replaces any earlier one."""
    return [*without_envelope(headers), *envelope.headers()]


def names(headers: Iterable[tuple[str, bytes | None]]) -> set[str]:
    """Return the names that occur in headers."""
    return {name for name, _ in headers}


def _bounded(text: str, limit: int) -> str:
    """Cut a text to at most `limit` bytes of UTF-8, the end kept: a stack's last lines say the most."""
    raw = text.encode()
    return text if len(raw) <= limit else "…" + raw[-(limit - 3) :].decode("utf-8", "ignore")
