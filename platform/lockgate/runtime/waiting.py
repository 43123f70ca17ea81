"""Partitions that wait: for the due time of a retry, or for the brokers or the registry to come back. Pure."""

from __future__ import annotations

from lockgate.records import Place

__all__ = ["Waiting"]


class Waiting:
    """Remember until when a paused partition waits; times are milliseconds since the epoch."""

    def __init__(self) -> None:
        self._until: dict[Place, float] = {}

    def __contains__(self, place: object) -> bool:
        return place in self._until

    def __len__(self) -> int:
        return len(self._until)

    def wait(self, place: Place, until: float) -> None:
        """Let a partition wait."""
        self._until[place] = until

    def ready(self, now: float) -> list[Place]:
        """Return the partitions whose time has come, and forget them; never one that is early."""
        if not self._until:
            return []
        ready = [place for place, until in self._until.items() if until <= now]
        for place in ready:
            del self._until[place]
        return ready

    def forget(self, place: Place) -> None:
        """Drop a partition that is another process's now."""
        self._until.pop(place, None)

    def timeout(self, now: float, at_most: float) -> float:
        """Return for how many seconds a poll may block: until the nearest due time, `at_most` else."""
        if not self._until:
            return at_most
        return max(0.0, min(at_most, (min(self._until.values()) - now) / 1000))
