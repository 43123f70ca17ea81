"""How long to put up with refusals: rights that were just granted take a while to reach every broker."""

from __future__ import annotations

import time
from collections.abc import Callable

from lockgate.errors import LockgateError

__all__ = ["Patience"]


class Patience:
    """Bear with a trouble for a while; raise it when it lasts."""

    def __init__(self, seconds: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._troubles: dict[str, tuple[float, LockgateError]] = {}  # when it is raised, and what

    @property
    def troubled(self) -> bool:
        """Tell whether there is any trouble."""
        return bool(self._troubles)

    def trouble(self, key: str, error: LockgateError, seconds: float | None = None) -> bool:
        """Note a trouble; return whether it is a new one, worth a line in the log.

        It may last `seconds` from now on, where it is new.
        """
        known = self._troubles.get(key)
        limit = self._clock() + (self._seconds if seconds is None else seconds) if known is None else known[0]
        self._troubles[key] = (limit, error)
        return known is None

    def over(self, key: str) -> bool:
        """Note that a trouble is over; return whether there was one."""
        return self._troubles.pop(key, None) is not None

    def check(self) -> None:
        """Raise the first trouble that has lasted too long."""
        if self._troubles:
            now = self._clock()
            for limit, error in self._troubles.values():
                if now >= limit:
                    raise error
