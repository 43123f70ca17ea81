"""The time that due times are held against: it goes on evenly, whatever is done to this machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["SteadyClock", "since_boot"]


def since_boot() -> float:
    """Return seconds of a clock that nobody sets; where the system can tell, it goes on while the machine sleeps."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux has it
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class SteadyClock:
    """Return the seconds since the epoch: the machine's time at the start, and what has passed since.

    What brokers stamp with their own time corrects it where both cannot be right. `wall` is asked once.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = since_boot) -> None:
        self._steady = steady
        self._epoch = min(_reading(wall, steady) for _ in range(5))[1]

    def __call__(self) -> float:
        """Return the time."""
        return self._steady() + self._epoch

    def heard(self, stamp: int, sent: float) -> None:
        """Learn that a broker's clock stood at `stamp` (milliseconds since the epoch) at some time since `sent`.

        `sent` is a reading of `since_boot`.
        """
        earliest = stamp / 1000 - self._steady()
        latest = (stamp + 1) / 1000 - sent  # stamps are cut to whole milliseconds
        self._epoch = min(max(self._epoch, earliest), latest)


def _reading(wall: Callable[[], float], steady: Callable[[], float]) -> tuple[float, float]:
    """Return how long two clocks took to read, and their difference: late by as much at most, and never early."""
    before, now, after = steady(), wall(), steady()
    return after - before, now - after
