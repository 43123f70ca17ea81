"""How many records to take at once. Pure: no client, no clock."""

from __future__ import annotations

from collections import deque

__all__ = ["Pace"]

_FIRST = 16
_GROWTH = 4
_WAITS = 8
"""Batches whose shortest wait counts as what a batch costs whatever its size."""


class Pace:
    """Choose a batch size whose handling takes about as long as a loop may be deaf: to signals, revocations, polls."""

    def __init__(self, target: float = 0.5, most: int = 1000) -> None:
        self.target = target
        """Seconds."""
        self.most = most
        self.size = _FIRST
        self._waits: deque[float] = deque(maxlen=_WAITS)

    def handled(self, records: int, seconds: float, waited: float = 0.0) -> None:
        """Note how long a batch took: shrink at once, grow step by step.

        `waited` are the seconds until the brokers had what it led to. What of them is the same for a batch of any size
        is no reason for a smaller one: then ever fewer records would share the wait, down to one.
        """
        if records <= 0:
            return
        self._waits.append(waited)
        seconds += waited - min(self._waits)
        fitting = self.most if seconds <= 0 else int(self.target * records / seconds)
        self.size = max(1, min(self.most, fitting, self.size * _GROWTH if records >= self.size else self.size))
