"""How many records to take at once. Pure: no client, no clock."""

from __future__ import annotations

__all__ = ["Pace"]

_FIRST = 16
_GROWTH = 4


class Pace:
    """Choose a batch size whose handling takes about as long as a loop may be deaf: to signals, revocations, polls."""

    def __init__(self, target: float = 0.5, most: int = 1000) -> None:
        self.target = target
        """Seconds."""
        self.most = most
        self.size = _FIRST

    def handled(self, records: int, seconds: float) -> None:
        """Note how long a batch took: shrink at once, grow step by step."""
        if records <= 0:
            return
        fitting = self.most if seconds <= 0 else int(self.target * records / seconds)
        self.size = max(1, min(self.most, fitting, self.size * _GROWTH if records >= self.size else self.size))
