"""What becomes of each record: its outputs sent, its outcome counted and written down once they are on the brokers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lockgate.contracts.model import Workload
from lockgate.errors import PoisonError, Reject
from lockgate.records import Envelope
from lockgate.runtime.channel import Ticket
from lockgate.runtime.encoding import Encoded
from lockgate.runtime.journal import Outcome, OutcomeLog
from lockgate.runtime.logs import logger_for
from lockgate.runtime.offsets import Progress
from lockgate.runtime.publisher import Publisher
from lockgate.runtime.record import Failure, Record
from lockgate.runtime.retries import next_retry

__all__ = ["Outcomes"]

_Note = tuple[Progress, Record, Outcome]


class Outcomes:
    """Decide what follows from a record, and see it through.

    Whatever sends something also holds the record's offset; `settle` releases it once the brokers have acknowledged.
    `progress` is that of the record's partition, under the assignment that the record was taken.
    """

    def __init__(
        self,
        workload: Workload,
        publisher: Publisher,
        journal: OutcomeLog | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._workload = workload
        self._publisher = publisher
        self._journal = journal
        self._clock = clock
        self._notes: list[_Note] = []
        self._log = logger_for(workload.name, group=workload.name)
        self.noting = journal is not None
        """Whether `note` has a purpose."""
        self.counts: dict[Outcome, int] = {"handled": 0, "skipped": 0, "retried": 0, "dead-lettered": 0}
        """Since the start; the loop adds what led to nothing that was sent."""
        self.tiers: Counter[int] = Counter()
        """Of what was retried, by the tier that it went to."""
        self.letters: Counter[tuple[str, str]] = Counter()
        """Of what was dead-lettered, by stage and reason."""
        self.published: Counter[tuple[str, str]] = Counter()
        """Results that are on the brokers, by topic and event type."""

    def note(self, progress: Progress, message: Any, envelope: Envelope | None, outcome: Outcome) -> None:
        """Keep an outcome that needs no acknowledgement, to be written down with those that do."""
        self._notes.append((progress, Record(message, envelope), outcome))

    def results(self, progress: Progress, message: Any, envelope: Envelope | None, events: Sequence[Encoded]) -> None:
        """Publish what a handler gave."""
        record = Record(message, envelope)
        self._publisher.results(progress, record, record.attempts + 1, events)

    def poison(self, progress: Progress, message: Any, envelope: Envelope | None, error: Exception) -> None:
        """Dead-letter a record that cannot be read."""
        record = Record(message, envelope)
        reason = error.reason if isinstance(error, PoisonError) else "malformed"
        failure = Failure("read", reason, str(error) or type(error).__name__)
        self._publisher.letter(progress, record, record.attempts, failure)

    def failed(self, progress: Progress, message: Any, envelope: Envelope | None, error: Exception, stage: str) -> None:
        """Send a record on whose handler raised, or whose result cannot be published."""
        record = Record(message, envelope)
        attempt = record.attempts + 1
        if isinstance(error, Reject):
            self._publisher.letter(progress, record, attempt, Failure.of(stage, "reject", error))
            return
        failure = Failure.of(stage, "error", error)
        retry = next_retry(self._workload.retry_ms, attempt, self._clock() * 1000)
        if retry is None:
            self._publisher.letter(progress, record, attempt, failure)
        else:
            self._publisher.retry(progress, record, attempt, failure, retry)

    def settle(self) -> tuple[list[Ticket], list[Ticket]]:
        """Wait for the brokers' answers; return `(finished, stuck)`: what is stuck counts for nothing."""
        finished, stuck = self._publisher.settle()
        for ticket in finished:
            ticket.progress.finish(ticket.record.offset)
            self._finish(ticket)
        self._write(self._notes)
        self._notes = []
        return finished, stuck

    def finish(self, tickets: Iterable[Ticket]) -> None:
        """Count and write down what a transaction has committed, notes included."""
        for ticket in tickets:
            self._finish(ticket)
        self._write(note for note in self._notes if note[0].is_committed(note[1].offset))
        self._notes = [note for note in self._notes if not note[0].is_committed(note[1].offset)]

    def drop(self) -> None:
        """Forget what was noted of a transaction that was aborted."""
        self._notes = []

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _write(self, notes: Iterable[_Note]) -> None:
        if self._journal is not None:
            for _, record, outcome in notes:
                attempt = record.attempts + (outcome == "handled")
                self._journal.add(record.source, outcome, attempt=attempt, event_id=record.event_id)
            self._journal.write()

    def _finish(self, ticket: Ticket) -> None:
        record, failure, source = ticket.record, ticket.failure, ticket.record.source
        self.counts[ticket.outcome] += 1
        for topic, event_type, _ in ticket.results:
            self.published[topic, event_type] += 1
        if failure is not None:
            if ticket.tier is None:
                self.letters[failure.stage, failure.reason] += 1
            else:
                self.tiers[ticket.tier] += 1
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
