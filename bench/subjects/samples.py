"""How long events were on their way, from before they were sent until a handler had them decoded."""

from __future__ import annotations

import statistics
import time

_SETTLED = 1_000_000_000
"""Nanoseconds after the first arrival at which counting begins: by then nothing is left from before."""


class Samples:
    """Collect delays, in nanoseconds, of events that say when they were sent."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._from = 0
        self._found: list[int] = []

    def take(self, sent: str) -> bool:
        """Note an event that was sent at a time of the monotonic clock; tell whether there are enough."""
        now, then = time.monotonic_ns(), int(sent)
        self._from = self._from or now + _SETTLED
        if then >= self._from:
            self._found.append(now - then)
        return len(self._found) >= self._wanted

    def figures(self) -> dict[str, float]:
        """Return the median, and what 99 of 100 events stay below, in milliseconds."""
        cuts = statistics.quantiles(self._found, n=100)
        return {"p50_ms": cuts[49] / 1e6, "p99_ms": cuts[98] / 1e6}
