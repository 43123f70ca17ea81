"""The wire format of records: framing, CloudEvents headers, and the envelope of retries and dead letters.

Written by `runtime`, read by `deadletters`. Headers are a list of `(name, bytes)` pairs, as confluent-kafka gives them:
repeated names and their order survive.

An envelope stands after the record's own headers and begins with a marker, so that the own headers come back byte for
byte even where they use the envelope's names: everything before the last marker is the record's own. On a domain topic
a marker means nothing, because any writer could have put it there; the reader of a topic knows which kind it is.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

__all__ = [
    "MAGIC",
    "Coordinates",
    "Envelope",
    "Headers",
    "Place",
    "enclose",
    "fingerprint",
    "frame",
    "header",
    "key_fingerprint",
    "record_size",
    "trace_of",
    "with_envelope",
    "without_envelope",
]

Headers = Sequence[tuple[str, bytes | None]]

Place = tuple[str, int]
"""Topic and partition."""

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
TRACESTATE: Final = "tracestate"

# Kafka's own names for dead letters (KIP-1191): UTF-8 text.
TOPIC: Final = "__dlq.errors.topic"
PARTITION: Final = "__dlq.errors.partition"
OFFSET: Final = "__dlq.errors.offset"
GROUP: Final = "__dlq.errors.group"
DELIVERY_COUNT: Final = "__dlq.errors.delivery.count"
MESSAGE: Final = "__dlq.errors.message"

# Ours.
ENVELOPE: Final = "lockgate.envelope"
"""First header of an envelope; its value is the version of the envelope's form."""
ENVELOPE_VERSION: Final = b"1"
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
"""`true` where the record itself did not fit: there is no value, and the coordinates say where it still is."""
HELD: Final = "lockgate.held"
RELEASES: Final = "lockgate.releases"

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")
_BATCH_BYTES = 61
"""What a batch begins with."""
_MAX_NAME = 256
_MAX_MESSAGE = 1024
_MAX_STACK = 4096


def frame(schema_id: int, datum: bytes) -> bytes:
    """Return the value of a record in the registry's wire format."""
    return struct.pack(">bI", 0, schema_id) + datum


def record_size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Return how many bytes a batch of this record alone takes, uncompressed (message format 2)."""
    body = 3 + _blob(key) + _blob(value) + _varint(len(headers))  # attributes, and two deltas that are 0
    for name, content in headers:
        body += _blob(name.encode()) + _blob(content)
    return _BATCH_BYTES + _varint(body) + body


def header(headers: Headers | None, name: str) -> bytes | None:
    """Return the last value of a header, or None."""
    value = None
    for key, content in headers or ():
        if key == name:
            value = content
    return value


def trace_of(headers: Headers | None) -> tuple[str, str] | None:
    """Return trace id and flags of a W3C `traceparent`, or None where there is none that makes sense."""
    raw = header(headers, TRACEPARENT)
    found = raw and _TRACEPARENT.fullmatch(raw)
    if not found or found[1] == b"0" * 32:
        return None
    return found[1].decode(), found[2].decode()


def fingerprint(stage: str, reason: str, message: str) -> str:
    """Return 16 hex digits that are the same for failures that differ only in numbers, ids and quoted values."""
    shape = re.sub(r"'[^']*'|\"[^\"]*\"|[0-9a-fA-F-]{8,}|\d+", "#", message)
    return hashlib.sha256(_utf8(f"{stage}\n{reason}\n{shape}")).hexdigest()[:16]


def key_fingerprint(key: bytes) -> str:
    """Return 16 hex digits by which a key is known in logs: keys may tell more than a log should."""
    return hashlib.sha256(key).hexdigest()[:16]


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
    """What went wrong, in a sentence; cut at 1 KiB in headers."""
    exception: str = ""
    """Qualified name of the exception's class."""
    stack: str = ""
    schema_id: int | None = None
    due: int | None = None
    """Milliseconds since the epoch before which a record in a retry topic may not be handled."""
    replay: int = 0
    """Replay round: how often an operator has sent it back."""
    pointer: bool = False
    """Whether the record itself did not fit into the topic, so that this record has no value."""
    held: int | None = None
    """Milliseconds since the epoch since when a dead letter has held its key: this record, in a parked topic, says so
    and is none that is to be handled. Its coordinates and round are the letter's."""
    releases: bool = False
    """Whether this record, in a parked topic, is an operator's word that the dead letter holds its key no more."""

    @property
    def is_word(self) -> bool:
        """Tell whether the record is no event but a word about a key: that it is held, or released."""
        return self.held is not None or self.releases

    @property
    def identity(self) -> str:
        """Return the letter's identity, printed one way everywhere: `orders-3@1842/payments-service.orders#1`."""
        return f"{self.source}/{self.group}#{self.replay}"

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the envelope as headers, marker first, each bounded in size: all of them stay below 8 KiB."""
        pairs: list[tuple[str, str | int | None]] = [
            (TOPIC, self.source.topic),
            (PARTITION, self.source.partition),
            (OFFSET, self.source.offset),
            (GROUP, self.group),
            (DELIVERY_COUNT, self.attempt),
            (MESSAGE, _head(self.message, _MAX_MESSAGE)),
            (TIMESTAMP, self.timestamp),
            (TIMESTAMP_TYPE, self.timestamp_type),
            (STAGE, self.stage),
            (REASON, self.reason),
            (EXCEPTION, _head(self.exception, _MAX_NAME) or None),
            (STACK, _tail(self.stack, _MAX_STACK) or None),
            (SCHEMA_ID, self.schema_id),
            (DUE, self.due),
            (FINGERPRINT, fingerprint(self.stage, self.reason, self.message)),
            (REPLAY, self.replay or None),
            (POINTER, "true" if self.pointer else None),
            (HELD, self.held),
            (RELEASES, "true" if self.releases else None),
        ]
        return [
            (ENVELOPE, ENVELOPE_VERSION),
            *((name, _utf8(str(value))) for name, value in pairs if value is not None),
        ]

    @classmethod
    def read(cls, headers: Headers | None) -> Envelope | None:
        """Read the envelope at the end of headers; None where there is none or it makes no sense."""
        marker = _marker(headers)
        if headers is None or marker is None or headers[marker][1] != ENVELOPE_VERSION:
            return None
        found = {name: value.decode("utf-8", "replace") for name, value in headers[marker:] if value is not None}
        try:
            envelope = cls(
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
                pointer=found.get(POINTER) == "true",
                held=int(found[HELD]) if HELD in found else None,
                releases=found.get(RELEASES) == "true",
            )
        except (KeyError, ValueError):
            return None
        counts = (envelope.source.partition, envelope.source.offset, envelope.attempt, envelope.replay)
        return envelope if min(counts) >= 0 else None


def without_envelope(headers: Headers | None) -> list[tuple[str, bytes | None]]:
    """Return the own headers of a record that carries an envelope: byte for byte and in order."""
    return list((headers or ())[: _marker(headers)])


def with_envelope(headers: Headers | None, envelope: Envelope) -> list[tuple[str, bytes | None]]:
    """Return the own headers of a record that carries an envelope, followed by another one in its place."""
    return enclose(without_envelope(headers), envelope)


def enclose(headers: Headers | None, envelope: Envelope) -> list[tuple[str, bytes | None]]:
    """Return the headers of a domain topic's record, all of them, followed by an envelope."""
    return [*(headers or ()), *envelope.headers()]


def names(headers: Iterable[tuple[str, bytes | None]]) -> set[str]:
    """Return the names that occur in headers."""
    return {name for name, _ in headers}


def _marker(headers: Headers | None) -> int | None:
    """Return where the envelope begins, or None."""
    for index in range(len(headers or ()) - 1, -1, -1):
        if headers is not None and headers[index][0] == ENVELOPE:
            return index
    return None


def _varint(number: int) -> int:
    """Return how many bytes a number takes: seven bits each, after one for the sign."""
    return max(1, -(-(number.bit_length() + 1) // 7))


def _blob(content: bytes | None) -> int:
    return 1 if content is None else _varint(len(content)) + len(content)


def _utf8(text: str) -> bytes:
    """Encode any text: exceptions may hold lone surrogates, from undecodable file names for example."""
    return text.encode("utf-8", "backslashreplace")


def _head(text: str, limit: int) -> str:
    """Cut a text to at most `limit` bytes of UTF-8, the beginning kept."""
    raw = _utf8(text)
    return raw.decode() if len(raw) <= limit else raw[: limit - 3].decode("utf-8", "ignore") + "…"


def _tail(text: str, limit: int) -> str:
    """Cut a text to at most `limit` bytes of UTF-8, the end kept: a stack's last lines say the most."""
    raw = _utf8(text)
    return raw.decode() if len(raw) <= limit else "…" + raw[-(limit - 3) :].decode("utf-8", "ignore")
