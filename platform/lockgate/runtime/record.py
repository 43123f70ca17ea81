"""A record in hand: as it was taken, and where it was first written."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

import attrs

from lockgate import records
from lockgate.records import Coordinates, Envelope, Place
from lockgate.runtime.context import Context, event_id_of
from lockgate.runtime.reader import schema_id_of

__all__ = ["Failure", "Record"]

_TIMESTAMP_TYPES = {1: "CreateTime", 2: "LogAppendTime"}


@attrs.frozen
class Failure:
    """Say what went wrong with a record; the words are those of records.Envelope."""

    stage: str
    reason: str
    message: str
    exception: str = ""
    stack: str = ""

    @classmethod
    def of(cls, stage: str, reason: str, error: BaseException) -> Failure:
        """Describe an exception; the stack begins in the handler, not in the loop that called it."""
        kind = type(error)
        inner = error.__traceback__.tb_next if error.__traceback__ is not None else None
        try:
            message = str(error)
        except Exception:  # an exception that cannot even be shown must not take the loop down
            message = ""
        try:
            stack = "".join(traceback.format_exception(kind, error, inner or error.__traceback__))
        except Exception:
            stack = ""
        return cls(stage, reason, message or kind.__name__, f"{kind.__module__}.{kind.__qualname__}", stack)


class Record:
    """Hold a message with the envelope it came in, None on the domain topic."""

    __slots__ = ("envelope", "message", "offset", "place")

    def __init__(self, message: Any, envelope: Envelope | None) -> None:
        self.message = message
        self.envelope = envelope
        self.place: Place = (message.topic(), message.partition())
        self.offset: int = message.offset()

    @property
    def source(self) -> Coordinates:
        """Return the record's place in the domain topic."""
        return self.envelope.source if self.envelope is not None else Coordinates(*self.place, self.offset)

    @property
    def attempts(self) -> int:
        """Return how often a handler had it before."""
        return self.envelope.attempt if self.envelope is not None else 0

    @property
    def replay(self) -> int:
        """Return the replay round."""
        return self.envelope.replay if self.envelope is not None else 0

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Return the record's own headers."""
        headers: Sequence[tuple[str, bytes | None]] = self.message.headers() or ()
        return headers if self.envelope is None else records.without_envelope(headers)

    @property
    def timestamp(self) -> tuple[str, int]:
        """Return type and milliseconds of the time at which it was written to the domain topic."""
        if self.envelope is not None:
            return self.envelope.timestamp_type, self.envelope.timestamp
        kind, milliseconds = self.message.timestamp()
        return _TIMESTAMP_TYPES.get(kind, "CreateTime"), milliseconds

    @property
    def event_id(self) -> str:
        """Return the event's id, or the record's coordinates."""
        source = self.source
        return event_id_of(self.headers, source.topic, source.partition, source.offset)

    def context(self, workload: str) -> Context:
        """Return what the handler may know."""
        message = self.message
        if self.envelope is None:  # nearly every record: nothing is built that is thrown away again
            topic, partition = self.place
            headers = message.headers() or ()
            return Context(
                workload, topic, partition, self.offset, message.key(), headers, message.timestamp()[1], 1, 0
            )
        source = self.source
        return Context(
            workload,
            source.topic,
            source.partition,
            source.offset,
            message.key(),
            self.headers,
            self.timestamp[1],
            self.attempts + 1,
            self.replay,
        )

    def enclosed(
        self,
        group: str,
        failure: Failure,
        attempt: int,
        *,
        due: int | None = None,
        pointer: bool = False,
        held: int | None = None,
    ) -> list[tuple[str, bytes | None]]:
        """Return the headers of a copy: the record's own, then the envelope.

        A pointer, and what says that a key is held, carry the envelope alone.
        """
        kind, milliseconds = self.timestamp
        envelope = Envelope(
            source=self.source,
            group=group,
            attempt=attempt,
            timestamp=milliseconds,
            timestamp_type=kind,
            stage=failure.stage,
            reason=failure.reason,
            message=failure.message,
            exception=failure.exception,
            stack=failure.stack,
            schema_id=schema_id_of(self.message.value()),
            due=due,
            replay=self.replay,
            pointer=pointer,
            held=held,
        )
        return records.enclose(() if pointer or held is not None else self.headers, envelope)
