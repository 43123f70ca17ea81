"""How a batch is settled: what it led to is on the brokers and its offsets are committed, or it is gone back to."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Protocol

from confluent_kafka import KafkaException, TopicPartition

from lockgate.errors import ClusterError
from lockgate.records import Place
from lockgate.runtime.channel import Ticket
from lockgate.runtime.commits import COMMITTING, HOPELESS, Commits
from lockgate.runtime.intake import Leaving
from lockgate.runtime.logs import logger_for
from lockgate.runtime.offsets import Progress
from lockgate.runtime.parts import Parts
from lockgate.runtime.refusals import Refusals
from lockgate.runtime.transactions import TRANSACTING, Ending, Transactions

__all__ = ["AtLeastOnce", "CutSettlement", "ExactlyOnce", "Settlement"]

_ASK_AGAIN = 0.5


class Settlement(Leaving, Protocol):
    """Say what the loop asks for; the three ways to do it are below."""

    @property
    def most(self) -> int:
        """Return how many records a batch may have."""

    def prepare(self) -> bool:
        """Make ready for the first batch; tell whether that is done, or has to be asked for again in a while."""

    def settle(self) -> None:
        """See a batch through: when this returns, nothing of it is open."""

    def abandon(self) -> None:
        """Settle what an outage has left of a batch: what can still be unsaid is read again once it is over."""

    def commit(self) -> None:
        """Commit what is finished and was not committed yet, now or soon."""

    def close(self) -> None:
        """Settle and commit what is finished, for the last time."""


class _Plain:
    """Commit offsets in requests of their own, now and then, behind what they answer for."""

    most = 10_000  # brokers answer as late for one dead letter as for many: a batch waits for it once

    def __init__(self, parts: Parts) -> None:
        intake = parts.intake
        self.commits = Commits(parts.workload.name, intake.consumer, intake.offsets, parts.patience)

    def commit(self) -> None:
        """Commit in the background."""
        self.commits.now_and_then()

    def before_poll(self) -> None:
        """Wait for the commit under way."""
        self.commits.settle()

    def leave(self, places: Collection[Place]) -> None:
        """Commit, and wait for it."""
        self.commits.last(places)

    def lose(self) -> None:
        """Wait for a commit that is under way: it is refused, or was in time."""
        self.commits.settle()

    def close(self) -> None:
        """Commit what is finished, for the last time."""
        self.commits.close()


class AtLeastOnce(_Plain):
    """Wait for the brokers' answers to a batch's outputs; commit offsets now and then, behind them."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._outcomes = parts.outcomes
        self._intake = parts.intake
        self._refusals = Refusals(parts.workload.name, parts.patience)

    def prepare(self) -> bool:
        """Have nothing to prepare."""
        return True

    def settle(self) -> None:
        """Wait for the answers; go back to records whose outputs the brokers did not take."""
        finished, stuck = self._outcomes.settle()
        if finished:
            self._refusals.over(finished)
        if stuck:
            until = self._intake.now() + self._refusals.delay(stuck)
            for progress in {ticket.progress for ticket in stuck}:
                self._intake.go_back(progress, progress.rewind(), until)

    def abandon(self) -> None:
        """Wait for the answers: what was sent counts."""
        self.settle()

    def close(self) -> None:
        """Settle and commit."""
        try:
            self.settle()
        finally:
            super().close()


class CutSettlement(_Plain):
    """Commit all that is finished in one request, with notes: what the brokers hold is the state of one moment."""

    def __init__(self, parts: Parts, transactions: Transactions) -> None:
        super().__init__(parts)
        self.transactions = transactions
        self._refusals = Refusals(parts.workload.name, parts.patience)

    def prepare(self) -> bool:
        """Take the transactional id; tell whether the brokers gave it."""
        return self._refusals.got_id(self.transactions)

    def settle(self) -> None:
        """Have nothing open: the loop sees to its transactions."""

    def abandon(self) -> None:
        """Have nothing open: there are no batches."""


class ExactlyOnce:
    """Put a batch's outputs and offsets into one transaction; what is aborted is read again.

    The outputs are kept until the handlers are through, so no handler lengthens a transaction; and what the brokers
    refuse for good is found by sending halves, without running the handlers again.
    """

    most = 10_000  # a transaction costs the same for many records as for few

    def __init__(self, parts: Parts, transactions: Transactions) -> None:
        workload = parts.workload.name
        self._workload = workload
        self._outcomes = parts.outcomes
        self._intake = parts.intake
        self._patience = parts.patience
        self._publisher = parts.publisher
        self._transactions = transactions
        self._refusals = Refusals(workload, parts.patience)
        self._not_before = 0.0
        self._log = logger_for(workload, group=workload)

    def prepare(self) -> bool:
        """Take the transactional id; tell whether the brokers gave it."""
        return self._refusals.got_id(self._transactions)

    def settle(self) -> None:
        """Commit the batch, or go back to where the last one ended."""
        self._transact(self._publisher.take())
        self._outcomes.drop()  # notes on partitions that went meanwhile: another process sees to their records

    def abandon(self) -> None:
        """Commit the batch up to the first record of each partition that failed, and go back to that one."""
        tickets = self._publisher.take()
        first: dict[Progress, int] = {}
        for ticket in tickets:
            if ticket.failure is not None and (ticket.failure.stage, ticket.failure.reason) == ("handle", "error"):
                first.setdefault(ticket.progress, ticket.record.offset)
        if self._transact([one for one in tickets if one.record.offset < first.get(one.progress, 1 << 63)]):
            for progress in first:
                self._intake.go_back(progress, progress.rewind(), self._intake.now())
        self._outcomes.drop()

    def commit(self) -> None:
        """Commit what came without a batch: positions behind transaction markers."""
        if self._intake.now() >= self._not_before:
            self._transact([])

    def before_poll(self) -> None:
        """Have nothing under way: transactions are this thread's own."""

    def leave(self, places: Collection[Place]) -> None:
        """Have nothing to commit: every batch is settled before the next poll."""

    def lose(self) -> None:
        """Have nothing under way: no transaction outlives its batch, and the brokers refuse one that is late."""

    def close(self) -> None:
        """Settle what was handled last."""
        self.settle()

    def _transact(self, tickets: list[Ticket]) -> bool:
        """Commit tickets, and whatever else is finished; tell whether that went well."""
        tickets = [ticket for ticket in tickets if self._intake.offsets.current(ticket.progress)]
        entries = self._outstanding(tickets)
        if not tickets and not entries:
            return True
        positions = [TopicPartition(*progress.place, offset) for progress, offset in entries]
        ending, error = self._transactions.run(tickets, positions, self._intake.metadata)
        if ending is Ending.COMMITTED or (ending is Ending.UNKNOWN and self._was_committed(entries)):
            for ticket in tickets:
                ticket.progress.finish(ticket.record.offset)
            for progress, offset in entries:
                progress.committed(offset)
            self._outcomes.finish(tickets)
            self._refusals.over(tickets)
            self._patience.over(COMMITTING)
            self._patience.over(TRANSACTING)
            return True
        if self._publisher.refused(tickets):
            if len(tickets) > 1:
                half = len(tickets) // 2
                return self._transact(tickets[:half]) and self._transact(tickets[half:])
            self._publisher.replace(tickets[0])
            return self._transact(tickets)
        self._not_before = until = self._intake.now() + self._refusals.delay_of_transaction(tickets, error)
        self._outcomes.drop()
        for progress in self._intake.offsets:
            self._intake.go_back(progress, progress.restart(), until)
        return False

    def _outstanding(self, tickets: Sequence[Ticket]) -> list[tuple[Progress, int]]:
        """Return what may be committed together with tickets."""
        for ticket in tickets:
            ticket.progress.finish(ticket.record.offset)
        entries = self._intake.offsets.outstanding()
        for ticket in tickets:
            ticket.progress.hold(ticket.record.offset)
        return entries

    def _was_committed(self, entries: Sequence[tuple[Progress, int]]) -> bool:
        """Find out what became of a transaction whose end nobody saw: all of it was committed, or nothing."""
        while True:
            error = self._transactions.prepare()  # first: it ends what the last producer left open
            if error is None:
                try:
                    return self._intake.committed(entries)
                except KafkaException as raised:
                    error = raised.args[0]
            if error.code() in HOPELESS:
                raise ClusterError(f"{self._workload} cannot learn what it has committed: {error.str()}")
            self._log.warning("Waiting to learn whether the last transaction was committed", error=error.str())
            self._refusals.trouble(error, COMMITTING)
            self._patience.check()
            time.sleep(_ASK_AGAIN)
