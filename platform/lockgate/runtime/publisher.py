"""What a record leads to: results, retry copies and dead letters, followed until the brokers have them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

from confluent_kafka import KafkaError

from lockgate import ids, records
from lockgate.contracts import names
from lockgate.runtime.channel import Channel, Output, Ticket
from lockgate.runtime.encoding import Encoded, event_headers
from lockgate.runtime.journal import Outcome
from lockgate.runtime.offsets import Progress
from lockgate.runtime.record import Failure, Record
from lockgate.runtime.retries import Retry
from lockgate.runtime.timing import Timing

__all__ = ["TOO_LARGE", "Publisher"]

_RESULT: Final = "result"
_COPY: Final = "copy"
_POINTER: Final = "pointer"
_LANE: Final = "lane"
"""What the parked topic takes if it takes anything: no other form of it would do."""

TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REFUSED = frozenset({KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP, KafkaError.POLICY_VIOLATION})
"""Verdicts on the record itself: sending the same bytes again gets the same answer."""

_MAX_POINTER_KEY = 32 * 1024


class Publisher:
    """Make the outputs of one workload's records.

    They are sent at once, and `settle` waits for the brokers' answers; or, `deferred`, they stay with their tickets
    until somebody takes these and sends them in a transaction.
    """

    def __init__(
        self, channel: Channel, workload: str, topic: str, *, deferred: bool = False, holding: bool = False
    ) -> None:
        self._channel = channel
        self._deferred = deferred
        self._holding = holding  # a dead letter holds its key: what says so goes with it, in one transaction
        self._workload = workload
        self._topic = topic
        self._parking = names.parked_topic(topic, workload)
        self._letters = names.dead_letter_topic(topic, workload)
        self._open: list[Ticket] = []
        self.settling = Timing()
        """Of the waits for the brokers' answers, of several records each."""
        self.stuck = 0
        """Records of which the brokers did not take an output, and that were read again for it."""

    def results(self, progress: Progress, record: Record, attempt: int, events: Sequence[Encoded]) -> None:
        """Send a handler's results: ids derived from the input's, its trace continued."""
        ticket = self._ticket(progress, record, "handled", attempt)
        event_id, headers = record.event_id, record.headers
        trace = records.trace_of(headers)
        state = records.header(headers, records.TRACESTATE) if trace is not None else None
        for position, event in enumerate(events):
            ident = ids.derived_event_id(event_id, self._workload, position)
            parent = ids.traceparent(trace) if trace is not None else ids.new_event()[1]
            own = event_headers(event.event_type, ident, self._workload, parent)
            if state is not None:
                own.append((records.TRACESTATE, state))
            note = (event.topic, event.event_type, ident)
            self._add(ticket, (_RESULT, event.topic, event.value, event.key, own, -1, note))

    def retry(self, progress: Progress, record: Record, attempt: int, failure: Failure, retry: Retry) -> None:
        """Send a copy to a retry topic, into the partition of the same number."""
        ticket = self._ticket(progress, record, "retried", attempt, failure)
        ticket.tier = retry.tier
        topic = names.retry_topic(self._topic, self._workload, retry.tier)
        self._copy(ticket, topic, record.enclosed(self._workload, failure, attempt, due=retry.due))

    def letter(self, progress: Progress, record: Record, attempt: int, failure: Failure) -> None:
        """Send a copy to the dead-letter topic, into the partition of the same number."""
        ticket = self._ticket(progress, record, "dead-lettered", attempt, failure)
        self._copy(ticket, self._letters, record.enclosed(self._workload, failure, attempt))
        self._hold(ticket, failure)

    def parked(self, progress: Progress, record: Record) -> Ticket:
        """Send a copy to the parked topic, into the partition of the same number."""
        failure = Failure("handle", "parked", "an earlier record of its key waits for a retry")
        ticket = self._ticket(progress, record, "retried", record.attempts, failure)
        self._copy(ticket, self._parking, record.enclosed(self._workload, failure, record.attempts))
        return ticket

    def moved(self, progress: Progress, record: Record) -> Ticket:
        """Send a copy from the parked topic to that topic's end, as it is."""
        ticket = self._ticket(progress, record, "retried", record.attempts)
        message = record.message
        headers = list(message.headers() or ())
        self._add(ticket, (_LANE, self._parking, message.value(), message.key(), headers, record.place[1], None))
        return ticket

    @property
    def last(self) -> Ticket:
        """Return the ticket of what was sent last."""
        return self._open[-1]

    def settle(self) -> tuple[list[Ticket], list[Ticket]]:
        """Wait until the brokers have answered for everything sent; return `(finished, stuck)` tickets.

        What is stuck was not taken although it may well be later: nothing of that record counts, it has to be read
        again. It lasts no longer than the client's delivery timeout.
        """
        finished: list[Ticket] = []
        stuck: list[Ticket] = []
        begun = time.monotonic() if self._open else None
        self._channel.flush()
        while self._open:
            for ticket in self.take():
                if not ticket.errors:
                    finished.append(ticket)
                elif len(self.verdicts(ticket)) == len(ticket.errors):
                    self.replace(ticket)
                    self._open.append(ticket)
                else:
                    stuck.append(ticket)
            self._channel.flush()
        self._channel.mend(error for ticket in stuck for _, _, error in ticket.errors)
        self.stuck += len(stuck)
        if begun is not None:
            self.settling.add(time.monotonic() - begun)
        return finished, stuck

    def take(self) -> list[Ticket]:
        """Return the open tickets, which are the caller's from now on."""
        tickets, self._open = self._open, []
        return tickets

    def verdicts(self, ticket: Ticket) -> list[tuple[str, str, KafkaError]]:
        """Return which errors refuse an output for good, where the record can be sent on in another form."""
        return [e for e in ticket.errors if e[0] not in (_POINTER, _LANE) and e[2].code() in TOO_LARGE | _REFUSED]

    def refused(self, tickets: Iterable[Ticket]) -> list[Ticket]:
        """Return those with an output that is refused for good; these answers of theirs alone are kept."""
        found = []
        for ticket in tickets:
            verdicts = self.verdicts(ticket)
            if verdicts:
                ticket.errors = verdicts  # what was purged in the wake of them says nothing
                found.append(ticket)
        return found

    def replace(self, ticket: Ticket) -> None:
        """Put a letter in the place of results that were refused for good, a pointer in that of a copy."""
        reason = "too-large" if {error.code() for _, _, error in ticket.errors} & TOO_LARGE else "error"
        result = next((entry for entry in ticket.errors if entry[0] == _RESULT), None)
        ticket.errors = []
        ticket.outputs = []
        ticket.outcome, ticket.tier = "dead-lettered", None
        if result is not None:
            _, topic, error = result
            failure = ticket.failure = Failure("publish", reason, f"a result was refused by {topic}: {error.str()}")
            self._copy(ticket, self._letters, ticket.record.enclosed(self._workload, failure, ticket.attempt))
            self._hold(ticket, failure)
            return
        failure = ticket.failure or Failure("publish", reason, "")
        headers = ticket.record.enclosed(self._workload, failure, ticket.attempt, pointer=True)
        key = ticket.record.message.key()
        kept = key if key is None or len(key) <= _MAX_POINTER_KEY else None
        self._add(ticket, (_POINTER, self._letters, None, kept, headers, ticket.record.place[1], None))
        self._hold(ticket, failure)

    def _ticket(
        self, progress: Progress, record: Record, outcome: Outcome, attempt: int, failure: Failure | None = None
    ) -> Ticket:
        ticket = Ticket(progress, record, outcome, attempt, failure)
        progress.hold(record.offset)
        self._open.append(ticket)
        return ticket

    def _copy(self, ticket: Ticket, topic: str, headers: list[tuple[str, bytes | None]]) -> None:
        message = ticket.record.message
        self._add(ticket, (_COPY, topic, message.value(), message.key(), headers, ticket.record.place[1], None))

    def _hold(self, ticket: Ticket, failure: Failure) -> None:
        """Say in the parked topic that a dead letter holds its key, where it is to."""
        key, partition = ticket.record.message.key(), ticket.record.place[1]
        if self._holding and key and ticket.record.source.topic == self._topic:
            since = int(time.time() * 1000)
            headers = ticket.record.enclosed(self._workload, failure, ticket.attempt, held=since)
            self._add(ticket, (_LANE, self._parking, None, key, headers, partition, None))

    def _add(self, ticket: Ticket, output: Output) -> None:
        if self._deferred:
            ticket.outputs.append(output)
        else:
            self._channel.send(ticket, output)
