"""A producer's side of a loop: outputs sent, and followed until the brokers have answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Producer

from lockgate.runtime.clock import SteadyClock, since_boot
from lockgate.runtime.journal import Outcome
from lockgate.runtime.offsets import Progress
from lockgate.runtime.record import Failure, Record

__all__ = ["Channel", "Output", "Ticket", "is_fatal"]

Output = tuple[str, str, bytes | None, bytes | None, list[Any], int, tuple[str, str, str] | None]
"""Kind, topic, value, key, headers, partition (-1: by the key), and `(topic, event type, id)` of a result."""


class Ticket:
    """Follow one record until every one of its outputs is on the brokers."""

    __slots__ = ("attempt", "errors", "failure", "outcome", "outputs", "progress", "record", "results", "taken", "tier")

    def __init__(
        self, progress: Progress, record: Record, outcome: Outcome, attempt: int, failure: Failure | None = None
    ) -> None:
        self.progress = progress
        self.record = record
        self.outcome: Outcome = outcome
        self.attempt = attempt
        self.failure = failure
        self.tier: int | None = None
        self.outputs: list[Output] = []
        """What a transaction is to send."""
        self.errors: list[tuple[str, str, KafkaError]] = []
        """`(kind of output, topic, error)` of what the brokers did not take."""
        self.results: list[tuple[str, str, str]] = []
        """`(topic, event type, id)` of the results that they took."""
        self.taken: list[str] = []
        """The topics of all outputs that they took."""

    def reset(self) -> None:
        """Forget the answers: the outputs are sent once more."""
        self.errors, self.results, self.taken = [], [], []


class Channel:
    """Hold a producer; `connect` makes it, and makes a new one after a fatal error of the old.

    `clock` hears what time it is for the brokers.
    """

    def __init__(self, connect: Callable[[], Producer], clock: SteadyClock | None = None) -> None:
        self._connect = connect
        self._clock = clock
        self.client = connect()

    def send(self, ticket: Ticket, output: Output) -> None:
        """Send an output; wait where the client's queue is full."""
        kind, topic, value, key, headers, partition, note = output
        done = partial(_delivered, ticket, kind, topic, note)
        if note is None and self._clock is not None:  # not a result: topics of copies are stamped by the brokers
            done = partial(_stamped, self._clock, since_boot(), done)
        while True:
            try:
                self.client.produce(topic, value, key, partition, on_delivery=done, headers=headers)
            except BufferError:
                self.client.poll(0.1)  # the queue is full: wait for the brokers
            except KafkaException as error:
                done(error.args[0], None)
                return
            else:
                return

    def flush(self) -> None:
        """Wait until the brokers have answered for everything sent."""
        self.client.poll(0)  # what it has to say, also when nothing was sent
        while len(self.client):
            self.client.flush(0.25)  # in slices: signals are seen in between

    def mend(self, errors: Iterable[KafkaError]) -> None:
        """Make a new client where one of the errors is fatal to this one."""
        if any(map(is_fatal, errors)):
            self.renew()

    def renew(self) -> None:
        """Make a new client."""
        self.client = self._connect()


def is_fatal(error: KafkaError) -> bool:
    """Tell whether a client is of no use after an error."""
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


def _stamped(
    clock: SteadyClock,
    sent: float,
    done: Callable[[KafkaError | None, Any], None],
    error: KafkaError | None,
    message: Any,
) -> None:
    if error is None:
        kind, stamp = message.timestamp()
        if kind == TIMESTAMP_LOG_APPEND_TIME:
            clock.heard(stamp, sent)
    done(error, message)
