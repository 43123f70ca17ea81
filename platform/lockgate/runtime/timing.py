"""How often something was done, and how long it took: two plain numbers."""

from __future__ import annotations

__all__ = ["Timing"]


class Timing:
    """Add up; whoever reads it in another thread sees the two numbers as they are at that moment."""

    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Note that something was done so many times in so many seconds."""
        self.count += count
        self.seconds += seconds
