"""A clock that stands until it is moved."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """Give the seconds since the epoch; it starts at the time of its making, cut to milliseconds."""

    def __init__(self) -> None:
        self._ms = time.time_ns() // 1_000_000

    def __call__(self) -> float:
        """Return the seconds since the epoch."""
        return self._ms / 1000

    @property
    def ms(self) -> int:
        """Return the milliseconds since the epoch."""
        return self._ms

    def advance(self, ms: int) -> None:
        """Move on; raise ValueError for a step back, which no clock of a broker takes."""
        if ms < 0:
            raise ValueError(f"time goes on, not back: {ms} ms")
        self._ms += ms
