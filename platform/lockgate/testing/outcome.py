"""What a run led to, as values to assert on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import attrs

from lockgate.records import Coordinates

__all__ = ["DeadLetter", "Outcome", "Published", "Retry", "Sent"]


@attrs.frozen
class Sent:
    """Name a record that the test has written."""

    event_id: str
    """Its CloudEvents id; its coordinates where it has none, as poison."""
    place: Coordinates
    key: bytes | None
    value: bytes | None


@attrs.frozen
class Published:
    """Hold a result that a handler has published."""

    event: Any
    """An object of the generated class, or `(full name, dict)` where there is none."""
    event_type: str
    event_id: str
    topic: str
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@attrs.frozen
class Retry:
    """Hold a record that was sent to a retry topic."""

    tier: int
    """Counted from 1."""
    delay: timedelta
    """From the time at which it failed until it is due."""
    attempt: int
    """Deliveries to the handler so far."""
    error: str
    """The exception's message."""
    exception: str
    """Qualified name of the exception's class."""
    event_id: str
    source: Coordinates
    """Where the record lies in the domain topic."""


@attrs.frozen
class DeadLetter:
    """Hold a record that was dead-lettered."""

    stage: str
    """`read`, `handle` or `publish`."""
    reason: str
    """One of errors.PoisonReason for `read`; `reject` or `error` for `handle`; `error` or `too-large` for `publish`."""
    error: str
    exception: str
    attempt: int
    """Deliveries to the handler; 0 where it never saw the record."""
    event_id: str
    source: Coordinates
    key: bytes | None
    value: bytes | None
    """As it was sent, byte for byte."""
    headers: Sequence[tuple[str, bytes | None]]
    """The record's own."""


@attrs.frozen
class Outcome:
    """Say what one run of a workload has led to."""

    published: Sequence[Published]
    """In the order of publishing, as far as one topic and key is concerned."""
    retries: Sequence[Retry]
    dead_letters: Sequence[DeadLetter]
    handled: int
    """Records whose handler ended well."""
    skipped: int
    """Records of event types that the workload does not consume, and tombstones without a handler."""
    committed: Mapping[str, int]
    """How many records are finished and committed since the kit was made, by topic."""

    @property
    def results(self) -> list[Any]:
        """Return the published events alone."""
        return [result.event for result in self.published]
