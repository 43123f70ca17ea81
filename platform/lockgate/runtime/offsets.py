"""Which records are finished, and so how far each partition may be committed. Pure: no client, no clock."""

from __future__ import annotations

__all__ = ["Offsets", "Place"]

Place = tuple[str, int]
"""Topic and partition."""


class Offsets:
    """Track, for each partition, what was read, what of it is unfinished, and what was committed.

    A record is finished once its outcome is on the brokers. What may be committed is the first unfinished offset, or
    one past the last that was read; offsets that no record has (compacted away, transaction markers) need no care.
    """

    def __init__(self) -> None:
        self._next: dict[Place, int] = {}
        self._held: dict[Place, set[int]] = {}
        self._committed: dict[Place, int] = {}

    def read_to(self, place: Place, offset: int) -> None:
        """Note that every record below `offset` is finished or held."""
        if offset > self._next.get(place, -1):
            self._next[place] = offset

    def hold(self, place: Place, offset: int) -> None:
        """Note that a record's outcome is under way; call it before `read_to` passes that offset."""
        self._held.setdefault(place, set()).add(offset)

    def finish(self, place: Place, offset: int) -> None:
        """Note that a held record's outcome is on the brokers."""
        held = self._held.get(place)
        if held is not None:
            held.discard(offset)
            if not held:
                del self._held[place]

    def committable(self, place: Place) -> int | None:
        """Return the offset that may be committed, or None where nothing was read."""
        held = self._held.get(place)
        reached = self._next.get(place)
        if held:
            return min(held) if reached is None else min(reached, *held)
        return reached

    def outstanding(self) -> list[tuple[str, int, int]]:
        """Return `(topic, partition, offset)` of what may be committed and was not yet."""
        found = []
        for place in self._next:
            offset = self.committable(place)
            if offset is not None and offset > self._committed.get(place, -1):
                found.append((*place, offset))
        return found

    def committed(self, place: Place, offset: int) -> None:
        """Note a commit that was sent: it is not sent again unless it fails or more is finished."""
        if place in self._next:
            self._committed[place] = offset

    def commit_failed(self, place: Place) -> None:
        """Note that a commit did not arrive: the next one carries the partition again."""
        self._committed.pop(place, None)

    def rewind(self, place: Place) -> int | None:
        """Go back to the first unfinished record and return its offset, or None where nothing was read."""
        offset = self.committable(place)
        self._held.pop(place, None)
        if offset is not None:
            self._next[place] = offset
        return offset

    def forget(self, place: Place) -> None:
        """Drop a partition that is another process's now."""
        self._next.pop(place, None)
        self._held.pop(place, None)
        self._committed.pop(place, None)
