"""What a record leads to: results, retry copies and dead letters, followed until the brokers have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from lockgate import records
from lockgate.contracts import names
from lockgate.runtime.encoding import Encoded, event_headers
from lockgate.runtime.journal import Outcome
from lockgate.runtime.record import Failure, Record
from lockgate.runtime.retries import Retry

__all__ = ["Publisher", "Ticket"]

_RESULT: Final = "result"
_COPY: Final = "copy"
_POINTER: Final = "pointer"

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REFUSED = frozenset({KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP, KafkaError.POLICY_VIOLATION})
"""Verdicts on the record itself: sending the same bytes again gets the same answer."""

_MAX_POINTER_KEY = 32 * 1024


class Ticket:
    """Follow one record until every one of its outputs is on the brokers."""

    __slots__ = ("attempt", "errors", "failure", "outcome", "record", "results", "taken", "tier")

    def __init__(self, record: Record, outcome: Outcome, attempt: int, failure: Failure | None = None) -> None:
        self.record = record
        self.outcome: Outcome = outcome
        self.attempt = attempt
        self.failure = failure
        self.tier: int | None = None
        self.errors: list[tuple[str, str, KafkaError]] = []
        """`(kind of output, topic, error)` of what the brokers did not take."""
        self.results: list[tuple[str, str, str]] = []
        """`(topic, event type, id)` of the results that they took."""
        self.taken: list[str] = []
        """The topics of all outputs that they took."""


class Publisher:
    """Send the outputs of one workload; `settle` waits for the brokers' answers.

    `connect` makes the client, and makes a new one after a fatal error of the old.
    """

    def __init__(self, connect: Callable[[], Producer], workload: str, topic: str) -> None:
        self._connect = connect
        self._client = connect()
        self._workload = workload
        self._topic = topic
        self._letters = names.dead_letter_topic(topic, workload)
        self._open: list[Ticket] = []

    def results(self, record: Record, attempt: int, events: Sequence[Encoded]) -> None:
        """Send a handler's results: ids derived from the input's, its trace continued."""
        ticket = self._ticket(record, "handled", attempt)
        event_id, headers = record.event_id, record.headers
        trace = records.trace_of(headers)
        state = records.header(headers, records.TRACESTATE) if trace is not None else None
        for position, event in enumerate(events):
            ident = records.derived_event_id(event_id, self._workload, position)
            own = event_headers(event.event_type, ident, self._workload, trace)
            if state is not None:
                own.append((records.TRACESTATE, state))
            note = (event.topic, event.event_type, ident)
            self._send(ticket, _RESULT, event.topic, event.value, event.key, own, note=note)

    def retry(self, record: Record, attempt: int, failure: Failure, retry: Retry) -> None:
        """Send a copy to a retry topic, into the partition of the same number."""
        ticket = self._ticket(record, "retried", attempt, failure)
        ticket.tier = retry.tier
        topic = names.retry_topic(self._topic, self._workload, retry.tier)
        self._copy(ticket, topic, record.enclosed(self._workload, failure, attempt, due=retry.due))

    def letter(self, record: Record, attempt: int, failure: Failure) -> None:
        """Send a copy to the dead-letter topic, into the partition of the same number."""
        ticket = self._ticket(record, "dead-lettered", attempt, failure)
        self._copy(ticket, self._letters, record.enclosed(self._workload, failure, attempt))

    def settle(self) -> tuple[list[Ticket], list[Ticket]]:
        """Wait until the brokers have answered for everything sent; return `(finished, stuck)` tickets.

        What is stuck was not taken although it may well be later: nothing of that record counts, it has to be read
        again. It lasts no longer than the client's delivery timeout.
        """
        finished: list[Ticket] = []
        stuck: list[Ticket] = []
        self._client.poll(0)  # what it has to say, also when nothing was sent
        while self._open:
            while len(self._client):
                self._client.flush(0.25)  # in slices: signals are seen in between
            tickets, self._open = self._open, []
            for ticket in tickets:
                if ticket.errors:
                    self._react(ticket, stuck)
                else:
                    finished.append(ticket)
        if any(_fatal(error) for ticket in stuck for _, _, error in ticket.errors):
            self._client = self._connect()
        return finished, stuck

    def _ticket(self, record: Record, outcome: Outcome, attempt: int, failure: Failure | None = None) -> Ticket:
        ticket = Ticket(record, outcome, attempt, failure)
        self._open.append(ticket)
        return ticket

    def _copy(self, ticket: Ticket, topic: str, headers: list[tuple[str, bytes | None]]) -> None:
        message = ticket.record.message
        partition = ticket.record.place[1]
        self._send(ticket, _COPY, topic, message.value(), message.key(), headers, partition)

    def _send(
        self,
        ticket: Ticket,
        kind: str,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: list[Any],  # pairs of a name and bytes or None; the client's stub asks for an invariant list
        partition: int = -1,
        note: tuple[str, str, str] | None = None,
    ) -> None:
        done = partial(_delivered, ticket, kind, topic, note)
        while True:
            try:
                self._client.produce(topic, value, key, partition, on_delivery=done, headers=headers)
            except BufferError:
                self._client.poll(0.1)  # the queue is full: wait for the brokers
            except KafkaException as error:
                done(error.args[0], None)
                return
            else:
                return

    def _react(self, ticket: Ticket, stuck: list[Ticket]) -> None:
        """Send a letter where the brokers refuse a result for good, a pointer where they refuse a copy."""
        codes = {error.code() for _, _, error in ticket.errors}
        kinds = {kind for kind, _, _ in ticket.errors}
        if not codes <= _TOO_LARGE | _REFUSED or _POINTER in kinds:
            stuck.append(ticket)
            return
        reason = "too-large" if codes & _TOO_LARGE else "error"
        _, topic, error = ticket.errors[0]
        ticket.errors = []
        if _RESULT in kinds:
            message = f"a result was refused by {topic}: {error.str()}"
            ticket.failure = Failure("publish", reason, message)
        failure = ticket.failure or Failure("publish", reason, "")
        ticket.outcome, ticket.tier = "dead-lettered", None
        self._open.append(ticket)
        if _RESULT in kinds:
            self._copy(ticket, self._letters, ticket.record.enclosed(self._workload, failure, ticket.attempt))
        else:
            headers = ticket.record.enclosed(self._workload, failure, ticket.attempt, pointer=True)
            key = ticket.record.message.key()
            kept = key if key is None or len(key) <= _MAX_POINTER_KEY else None
            self._send(ticket, _POINTER, self._letters, None, kept, headers, ticket.record.place[1])


def _fatal(error: KafkaError) -> bool:
    return error.fatal() or error.code() == KafkaError._FATAL


def _delivered(
    ticket: Ticket,
    kind: str,
    topic: str,
    note: tuple[str, str, str] | None,
    error: KafkaError | None,
    message: Any,  # noqa: ARG001  # the client's signature
) -> None:
    if error is not None:
        ticket.errors.append((kind, topic, error))
        return
    ticket.taken.append(topic)
    if note is not None:
        ticket.results.append(note)
