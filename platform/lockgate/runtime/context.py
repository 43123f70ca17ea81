"""What a handler learns about the record beside its event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from lockgate import records
from lockgate.runtime.logs import logger_for

__all__ = ["Context", "Tombstone"]


@attrs.frozen
class Tombstone:
    """Stand for a record without a value: whatever the domain said about this key is withdrawn."""

    key: str
    """The record's key, the same text as the key field of the domain's events."""


@attrs.frozen
class Context:
    """Describe one delivery of a record to a handler.

    Topic, partition and offset are those of the record in the domain topic, also when it comes from a retry topic or
    from a replayed dead letter.
    """

    workload: str
    """Also the consumer group."""
    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    """The record's own headers, without the envelope of retries and dead letters."""
    timestamp_ms: int
    """When the record was written to the domain topic: milliseconds since the epoch, -1 where unknown."""
    attempt: int = 1
    """Counts deliveries from 1; a replay starts anew."""
    replay: int = 0
    """How often an operator has sent the record back."""

    @property
    def timestamp(self) -> datetime:
        """Return when the record was written to the domain topic, in UTC."""
        return datetime.fromtimestamp(max(0, self.timestamp_ms) / 1000, UTC)

    @property
    def event_id(self) -> str:
        """Return the event's CloudEvents id, or the record's coordinates where it has none."""
        return event_id_of(self.headers, self.topic, self.partition, self.offset)

    @property
    def trace_id(self) -> str | None:
        """Return the W3C trace id, 32 hex digits, or None where the record carries no trace."""
        found = records.trace_of(self.headers)
        return found and found[0]

    @property
    def logger(self) -> Any:
        """Return a structlog logger that is bound to this record."""
        bound = {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "group": self.workload,
            "event_id": self.event_id,
            "attempt": self.attempt,
        }
        if self.replay:
            bound["replay"] = self.replay
        trace_id = self.trace_id
        if trace_id is not None:
            bound["trace_id"] = trace_id
        return logger_for(self.workload, **bound)


def event_id_of(headers: records.Headers | None, topic: str, partition: int, offset: int) -> str:
    """Return the id of the event in a record: `ce_id`, or its coordinates where it has none."""
    found = records.header(headers, records.CE_ID)
    return found.decode("utf-8", "replace") if found else f"{topic}-{partition}@{offset}"
