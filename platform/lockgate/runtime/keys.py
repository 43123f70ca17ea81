"""The order of keys through retries, for the partitions of one number. Pure: no client, no clock.

docs/decisions/0022-order-by-key.md tells the algorithm, and why it is right.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

__all__ = ["Action", "Ident", "Keys"]

T = TypeVar("T")

Ident = tuple[int, int, int]
"""A record's offset in the domain topic, its replay round, and a number for copies that agree in both: copies of a key
are handled in this order."""

Action = tuple[Literal["run", "park", "skip"], T]
"""Handle a record after those of its key that are at work; send it to the parked topic; or pass over it."""


class _Key(Generic[T]):
    """Hold what is known of a key that has copies in retry topics; any other key needs nothing."""

    __slots__ = ("at_work", "behind", "copies", "hand", "tiered")

    def __init__(self) -> None:
        self.copies: list[Ident] = []  # in order; all of them, read or not
        self.tiered: set[Ident] = set()  # those that wait in a tier
        self.hand: dict[Ident, T] = {}  # those that were read, and whose turn it is not yet
        self.behind: deque[tuple[Ident, T]] = deque()  # records of the domain topic that were read meanwhile
        self.at_work: Ident | None = None


class Keys(Generic[T]):
    """Decide, for every record, whether its key's turn has come.

    A copy is handled when it is the first of its key's copies; a record of the domain topic when there is none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: dict[bytes, _Key[T]] = {}
        self._copies = 0

    @property
    def full(self) -> bool:
        """Tell whether there are so many copies that nothing more may be taken from the domain topic."""
        return self._copies >= self._most

    def found(self, key: bytes, source: int, replay: int, *, tiered: bool) -> None:
        """Note a copy that was there when the partitions were assigned; it arrives later."""
        state = self._keys.setdefault(key, _Key())
        number = sum(ident[:2] == (source, replay) for ident in state.copies)
        self._add(state, (source, replay, number), tiered=tiered)

    def take(self, key: bytes, offset: int, item: T) -> list[Action[T]]:
        """Decide on a record of the domain topic."""
        state = self._keys.get(key)
        if state is None:
            return [("run", item)]
        if (offset, 0, 0) in state.copies:
            return [("skip", item)]  # its copy has what becomes of it; only its own offset was not committed
        state.behind.append(((offset, 0, 0), item))
        return self._next(key, state)

    def admit(self, key: bytes, source: int, replay: int) -> Ident:
        """Return by what a copy that was read from a retry topic is known from now on."""
        state = self._keys.setdefault(key, _Key())
        same = [ident for ident in state.copies if ident[:2] == (source, replay)]
        for ident in same:
            if ident not in state.hand and ident != state.at_work:
                return ident
        ident = (source, replay, same[-1][2] + 1 if same else 0)  # an operator's replay
        self._add(state, ident, tiered=False)
        return ident

    def arrive(self, key: bytes, ident: Ident, item: T) -> list[Action[T]]:
        """Decide on a copy that was admitted, and is due."""
        state = self._keys[key]
        state.tiered.discard(ident)
        state.hand[ident] = item
        return self._next(key, state)

    def finish(self, key: bytes, ident: Ident) -> list[Action[T]]:
        """Note that the outcome of a record is on the brokers."""
        state = self._keys.get(key)
        if state is None or ident not in state.copies:
            return []
        state.copies.remove(ident)
        state.tiered.discard(ident)
        self._copies -= 1
        if state.at_work == ident:
            state.at_work = None
        return self._next(key, state)

    def retry(self, key: bytes, ident: Ident, behind: Sequence[tuple[Ident, T, bool]]) -> list[Action[T]]:
        """Note that a record goes to a tier, and take back what was to be handled behind it: `(…, …, is a copy)`."""
        state = self._keys.setdefault(key, _Key())
        if ident in state.copies:
            state.tiered.add(ident)
        else:
            self._add(state, ident, tiered=True)
        if state.at_work == ident:
            state.at_work = None
        for other, item, copy in reversed(behind):
            if copy:
                state.hand[other] = item
                state.at_work = None
            else:
                state.behind.appendleft((other, item))
        return self._next(key, state)

    def _add(self, state: _Key[T], ident: Ident, *, tiered: bool) -> None:
        insort(state.copies, ident)
        self._copies += 1
        if tiered:
            state.tiered.add(ident)

    def _next(self, key: bytes, state: _Key[T]) -> list[Action[T]]:
        if not state.copies:  # the key is free
            del self._keys[key]
            return [("run", item) for _, item in state.behind]
        if state.at_work is not None:
            return []
        first = state.copies[0]
        if first in state.hand:
            state.at_work = first
            return [("run", state.hand.pop(first))]
        if first not in state.tiered:
            return []  # it is on its way through the parked topic
        parked: list[Action[T]] = []
        for ident, item in state.behind:
            self._add(state, ident, tiered=False)
            parked.append(("park", item))
        state.behind.clear()
        return parked
