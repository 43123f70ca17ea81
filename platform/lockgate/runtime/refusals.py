"""What to do about outputs that the brokers did not take: how long to wait, and when waiting has no point."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError

from lockgate.runtime.channel import Ticket
from lockgate.runtime.clients import trouble_of
from lockgate.runtime.commits import COMMITTING
from lockgate.runtime.logs import logger_for
from lockgate.runtime.patience import Patience
from lockgate.runtime.transactions import TRANSACTING, Transactions

__all__ = ["Refusals"]

_BACKOFF_MS = (500, 1000, 2000, 5000, 10000)


class Refusals:
    """Count refusals in a row, and tell patience of those that only an administrator can mend."""

    def __init__(self, workload: str, patience: Patience) -> None:
        self._workload = workload
        self._patience = patience
        self._in_a_row = 0
        self._log = logger_for(workload, group=workload)

    def over(self, finished: Sequence[Ticket]) -> None:
        """Note what the brokers took."""
        self._in_a_row = 0
        if self._patience.troubled:
            for topic in {topic for ticket in finished for topic in ticket.taken}:
                self._patience.over(f"write {topic}")

    def delay(self, stuck: Sequence[Ticket], error: KafkaError | None = None, doing: str = "") -> int:
        """Note what they did not take; return in how many milliseconds to try again.

        `error` is that of a transaction as a whole, `doing` what it kept the workload from.
        """
        wait = _BACKOFF_MS[min(self._in_a_row, len(_BACKOFF_MS) - 1)]
        self._in_a_row += 1
        refused = [(topic, refusal) for ticket in stuck for _, topic, refusal in ticket.errors]
        self._log.warning(
            "The brokers did not take the outputs; these records are read again",
            records=len(stuck),
            first=str(stuck[0].record.source) if stuck else "",
            to=refused[0][0] if refused else "",
            error=error.str() if error is not None else refused[0][1].str(),
            wait_ms=wait,
        )
        if error is not None and not refused:
            self.trouble(error, doing)
        for topic, refusal in refused:
            self.trouble(refusal, f"write {topic}")
        return wait

    def delay_of_transaction(self, tickets: Sequence[Ticket], error: KafkaError | None) -> int:
        """Note a transaction that did not go through; return in how many milliseconds to try again."""
        denied = error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED
        return self.delay(tickets, error, COMMITTING if denied else TRANSACTING)

    def got_id(self, transactions: Transactions) -> bool:
        """Take the transactional id; tell whether the brokers gave it."""
        error = transactions.prepare()
        if error is None:
            self._patience.over(TRANSACTING)
            return True
        self._log.warning("Waiting for the transaction coordinator", error=error.str())
        self.trouble(error, TRANSACTING)
        return False

    def trouble(self, error: KafkaError, doing: str) -> None:
        """Give up in a while where the brokers refuse for good."""
        trouble = trouble_of(error, self._workload, doing)
        if trouble is not None and trouble[0] != "cluster":
            self._patience.trouble(*trouble)
