"""One transaction at a time: outputs and the offsets that they answer for, on the brokers together or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from lockgate.errors import ClusterError
from lockgate.runtime.calls import Calls, Overdue
from lockgate.runtime.channel import Channel, Ticket, is_fatal
from lockgate.runtime.logs import logger_for
from lockgate.runtime.patience import Patience
from lockgate.runtime.timing import Timing

__all__ = ["TRANSACTING", "Ending", "Transactions", "insist"]

TRANSACTING = "use its transactional ids"
"""What a workload may not do where its transactional id is refused."""

_SLICE = 0.5
"""Seconds that one call may block: signals are seen in between."""
_PAUSE = 0.05
_OVERDUE = 5.0
"""Seconds that a call may take beyond its own time before its client is given up."""
_MOST_GIVEN_UP = 3
"""Clients that may be given up in a row: each one keeps its threads and its memory until the process ends."""


class Ending(Enum):
    """Say how a transaction ended."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    """Nothing of it counts."""
    UNKNOWN = "unknown"
    """It was to be committed, and nobody answered: the group's committed offsets tell what became of it."""


class Transactions:
    """Run transactions on a channel's producer.

    Errors are told apart as the client documents it: what is retriable is asked again, what requires an abort gets
    one, and after anything else the producer is given up; also after it did not deliver an output. A new one with the
    same transactional id ends whatever the old one left open before it begins. `timeout` (seconds) bounds the
    repetition of one call.

    A call may also never come back: `send_offsets_to_transaction` waits without a bound while the group's coordinator
    is away. Its client is given up like one with a fatal error; where that happens again and again, `patience` ends the
    process.
    """

    def __init__(self, channel: Channel, workload: str, patience: Patience, timeout: float = 15.0) -> None:
        self._channel = channel
        self._workload = workload
        self._patience = patience
        self._timeout = timeout
        self._prepared = False
        self._calls = Calls()
        self._given_up = 0  # clients, since the last transaction that went through
        self._log = logger_for(workload, group=workload)
        self.spent = Timing()
        """Of all transactions, however they ended."""
        self.ended = dict.fromkeys(Ending, 0)
        self.committed_at: float | None = None
        """When the last one was committed: seconds since the epoch."""

    def prepare(self) -> KafkaError | None:
        """Take the transactional id, where that has not been done; return why it could not be."""
        if self._prepared:
            return None
        if self._given_up >= _MOST_GIVEN_UP:  # the process is about to end
            return KafkaError(KafkaError._TIMED_OUT, "too many calls of Kafka clients did not come back")
        try:
            self._insist(self._channel.client.init_transactions)
        except KafkaException as raised:
            error: KafkaError = raised.args[0]
            if not error.retriable():
                self._channel.renew()
            return error
        self._prepared = True
        return None

    def run(
        self, tickets: Sequence[Ticket], positions: list[TopicPartition], metadata: Any
    ) -> tuple[Ending, KafkaError | None]:
        """Send the outputs of tickets and commit offsets, in one transaction; return how it ended, and why.

        `metadata` is the consumer group's, as it was when the records were taken: the brokers refuse it after the
        group has moved on. Where an output is refused, the tickets tell which.
        """
        begun = time.monotonic()
        ending, error = self._run(tickets, positions, metadata)
        self.spent.add(time.monotonic() - begun)
        self.ended[ending] += 1
        if ending is Ending.COMMITTED:
            self.committed_at = time.time()
        return ending, error

    def _run(
        self, tickets: Sequence[Ticket], positions: list[TopicPartition], metadata: Any
    ) -> tuple[Ending, KafkaError | None]:
        for ticket in tickets:
            ticket.reset()
        error = self.prepare()
        if error is not None:
            return Ending.ABORTED, error
        client = self._channel.client
        committing = False
        refused: KafkaError | None = None
        try:
            client.begin_transaction()
            for ticket in tickets:
                for output in ticket.outputs:
                    self._channel.send(ticket, output)
            self._channel.flush()
            error = refused = next((error for ticket in tickets for _, _, error in ticket.errors), None)
            if error is None:
                if positions:
                    self._insist(client.send_offsets_to_transaction, positions, metadata)
                committing = True
                self._insist(client.commit_transaction)
                self._given_up = 0
                return Ending.COMMITTED, None
        except KafkaException as raised:
            error = raised.args[0]
        if not is_fatal(error) and (not committing or error.txn_requires_abort()):
            try:
                self._insist(client.abort_transaction)
            except KafkaException:
                pass  # what it left open is ended by the next producer
            else:
                if refused is not None:  # the client may purge what its next transaction sends
                    self._renew()
                return Ending.ABORTED, error
        self._renew()
        return (Ending.UNKNOWN if committing else Ending.ABORTED), error

    def _renew(self) -> None:
        self._prepared = False
        self._channel.renew()

    def _insist(self, call: Callable[..., None], *arguments: Any) -> None:
        """Insist on a call; raise KafkaException for what it says in the end, a fatal one where it never says it."""
        within = self._timeout + _OVERDUE
        try:
            self._calls.make(partial(insist, call, *arguments, timeout=self._timeout), within)
        except Overdue:
            said = f"{call.__name__} has not come back for {within:g} s"
            self._given_up += 1
            self._log.warning("A Kafka client is given up", why=said, in_a_row=self._given_up)
            if self._given_up >= _MOST_GIVEN_UP:
                hanging = ClusterError(
                    f"{self._workload} has given up {self._given_up} Kafka clients in a row: {said}",
                    next_step="see whether the brokers lead all partitions of __consumer_offsets and "
                    "__transaction_state; then start the process anew: nothing was committed, nothing is lost",
                )
                self._patience.trouble("calls", hanging, seconds=0)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, said, fatal=True)) from None


def insist(call: Callable[..., None], *arguments: Any, timeout: float) -> None:
    """Repeat a call of a transactional client while its error is retriable, for some seconds.

    A call that timed out goes on where it was.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            call(*arguments, _SLICE)
        except KafkaException as raised:
            error: KafkaError = raised.args[0]
            retriable = error.retriable() and not error.txn_requires_abort() and not is_fatal(error)
            if not retriable or time.monotonic() > deadline:
                raise
            if error.code() != KafkaError._TIMED_OUT:
                time.sleep(_PAUSE)
        else:
            return
