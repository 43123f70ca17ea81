"""What a client gives, as far as everything that it gives has it in common."""

from __future__ import annotations

from lockgate.records import Place


class Placed:
    """Stand in for a message: it lies somewhere."""

    def __init__(self, place: Place, offset: int) -> None:
        self.place = place
        self._offset = offset

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self._offset
