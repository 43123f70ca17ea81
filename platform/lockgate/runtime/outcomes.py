"""What becomes of each record: its outputs sent, its outcome counted and written down once they are on the brokers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from lockgate.contracts.model import Workload
from lockgate.errors import PoisonError, Reject
from lockgate.records import Envelope
from lockgate.runtime.encoding import Encoded
from lockgate.runtime.journal import Outcome, OutcomeLog
from lockgate.runtime.logs import logger_for
from lockgate.runtime.offsets import Offsets
from lockgate.runtime.publisher import Publisher, Ticket
from lockgate.runtime.record import Failure, Record
from lockgate.runtime.retries import next_retry

__all__ = ["Outcomes"]


class Outcomes:
    """Decide what follows from a record, and see it through.

    Whatever sends something also holds the record's offset; `settle` releases it once the brokers have acknowledged.
    """

    def __init__(
        self,
        workload: Workload,
        offsets: Offsets,
        publisher: Publisher,
        journal: OutcomeLog | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._workload = workload
        self._offsets = offsets
        self._publisher = publisher
        self._journal = journal
        self._clock = clock
        self._log = logger_for(workload.name, group=workload.name)
        self.noting = journal is not None
        """Whether `note` has a purpose."""
        self.counts: dict[Outcome, int] = {"handled": 0, "skipped": 0, "retried": 0, "dead-lettered": 0}
        """Since the start; the loop adds what led to nothing that was sent."""

    def note(self, message: Any, envelope: Envelope | None, outcome: Outcome) -> None:
        """Write an outcome down that needs no acknowledgement."""
        if self._journal is not None:
            record = Record(message, envelope)
            attempt = record.attempts + (outcome == "handled")
            self._journal.add(record.source, outcome, attempt=attempt, event_id=record.event_id)

    def results(self, message: Any, envelope: Envelope | None, events: Sequence[Encoded]) -> None:
        """Publish what a handler gave."""
        record = Record(message, envelope)
        self._offsets.hold(record.place, record.offset)
        self._publisher.results(record, record.attempts + 1, events)

    def poison(self, message: Any, envelope: Envelope | None, error: Exception) -> None:
        """Dead-letter a record that cannot be read."""
        record = Record(message, envelope)
        reason = error.reason if isinstance(error, PoisonError) else "malformed"
        self._letter(record, record.attempts, Failure("read", reason, str(error) or type(error).__name__))

    def failed(self, message: Any, envelope: Envelope | None, error: Exception, stage: str) -> None:
        """Send a record on whose handler raised, or whose result cannot be published."""
        record = Record(message, envelope)
        attempt = record.attempts + 1
        if isinstance(error, Reject):
            self._letter(record, attempt, Failure.of(stage, "reject", error))
            return
        failure = Failure.of(stage, "error", error)
        retry = next_retry(self._workload.retry_ms, attempt, self._clock() * 1000)
        if retry is None:
            self._letter(record, attempt, failure)
        else:
            self._offsets.hold(record.place, record.offset)
            self._publisher.retry(record, attempt, failure, retry)

    def settle(self) -> tuple[list[Ticket], list[Ticket]]:
        """Wait for the brokers' answers; return `(finished, stuck)`: what is stuck counts for nothing."""
        finished, stuck = self._publisher.settle()
        for ticket in finished:
            self._finish(ticket)
        if self._journal is not None:
            self._journal.write()
        return finished, stuck

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _letter(self, record: Record, attempt: int, failure: Failure) -> None:
        self._offsets.hold(record.place, record.offset)
        self._publisher.letter(record, attempt, failure)

    def _finish(self, ticket: Ticket) -> None:
        record, failure, source = ticket.record, ticket.failure, ticket.record.source
        self._offsets.finish(record.place, record.offset)
        self.counts[ticket.outcome] += 1
        if failure is not None:
            self._log.warning(
                "Dead-lettered" if ticket.tier is None else f"Sent to retry tier {ticket.tier}",
                topic=source.topic,
                partition=source.partition,
                offset=source.offset,
                event_id=record.event_id,
                attempt=ticket.attempt,
                stage=failure.stage,
                reason=failure.reason,
                error=failure.message,
            )
        if self._journal is not None:
            self._journal.add(
                source,
                ticket.outcome,
                attempt=ticket.attempt,
                event_id=record.event_id,
                reason=None if failure is None else failure.reason,
                results=ticket.results,
            )
