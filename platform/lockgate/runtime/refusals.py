"""What to do about outputs that the brokers did not take: how long to wait, and when waiting has no point."""

from __future__ import annotations

from collections.abc import Sequence

from lockgate.runtime.clients import trouble_of
from lockgate.runtime.logs import logger_for
from lockgate.runtime.patience import Patience
from lockgate.runtime.publisher import Ticket

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

    def delay(self, stuck: Sequence[Ticket]) -> int:
        """Note what they did not take; return after how many milliseconds to try again."""
        delay = _BACKOFF_MS[min(self._in_a_row, len(_BACKOFF_MS) - 1)]
        self._in_a_row += 1
        _, topic, error = stuck[0].errors[0]
        self._log.warning(
            "The brokers did not take the outputs; these records are read again",
            records=len(stuck),
            first=str(stuck[0].record.source),
            to=topic,
            error=error.str(),
            wait_ms=delay,
        )
        for ticket in stuck:
            for _, topic, error in ticket.errors:
                trouble = trouble_of(error, self._workload, f"write {topic}")
                if trouble is not None and trouble[0] != "cluster":
                    self._patience.trouble(*trouble)
        return delay
