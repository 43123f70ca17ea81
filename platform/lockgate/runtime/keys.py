"""The order of keys through retries, for the partitions of one number. Pure: no client, no clock.

docs/decisions/0022-order-by-key.md tells the algorithm, and why it is right; 0031-holding-keys.md what holds do.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

__all__ = ["Action", "Ident", "Keys", "marker"]

T = TypeVar("T")

Ident = tuple[int, int, int]
"""A record's offset in the domain topic, its replay round, and a number for copies that agree in both: copies of a key
are handled in this order."""

Action = tuple[Literal["run", "park", "skip", "off"], T]
"""Handle a record after those of its key that are at work; send it to the parked topic; pass over it; or let go of it
for now: it is read again from the parked topic (`put_off`), or sent there."""

_HOLD = -1
"""The number of what stands for a dead letter: it goes before copies of the same record and round."""


def marker(source: int, replay: int) -> Ident:
    """Return by what the hold that a dead letter has put on its key is known."""
    return source, replay, _HOLD


class _Key(Generic[T]):
    """Hold what is known of a key that has copies in retry topics; any other key needs nothing."""

    __slots__ = ("at_work", "behind", "copies", "hand", "held", "off", "tiered")

    def __init__(self) -> None:
        self.copies: list[Ident] = []  # in order; all of them, read or not
        self.tiered: set[Ident] = set()  # those that wait in a tier
        self.held: set[Ident] = set()  # those that stand for a dead letter
        self.hand: dict[Ident, T] = {}  # those that were read, and whose turn it is not yet
        self.off: dict[Ident, int] = {}  # those that were read and put off, and where in the parked topic they lie
        self.behind: list[tuple[Ident, T]] = []  # records of the domain topic that were read meanwhile
        self.at_work: Ident | None = None

    def has(self, ident: Ident) -> bool:
        index = bisect_left(self.copies, ident)
        return index < len(self.copies) and self.copies[index] == ident

    def waits(self) -> bool:
        """Tell whether the first copy stays for long: in a tier, or until it is released."""
        first = self.copies[0]
        return first in self.tiered or first in self.held


class Keys(Generic[T]):
    """Decide, for every record, whether its key's turn has come.

    A copy is handled when it is the first of its key's copies; a record of the domain topic when there is none. What
    stands for a dead letter that holds its key is a copy that is never handled: it goes when it is released.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: dict[bytes, _Key[T]] = {}
        self._copies = 0
        self._off: dict[int, tuple[bytes, Ident]] = {}  # by where they lie
        self._held = 0
        self._again: set[int] = set()  # where in the parked topic something lies whose turn has come

    @property
    def full(self) -> bool:
        """Tell whether there are so many copies that nothing more may be taken from the domain topic."""
        return self._copies >= self._most

    @property
    def waiting(self) -> int:
        """Return how many keys have copies."""
        return len(self._keys)

    @property
    def copies(self) -> int:
        """Return how many copies there are; what stands for a dead letter that holds its key is one."""
        return self._copies

    @property
    def held(self) -> int:
        """Return how many keys are held."""
        return self._held

    def found(self, key: bytes, source: int, replay: int, *, tiered: bool) -> None:
        """Note a copy that was there when the partitions were assigned; it arrives later."""
        state = self._keys.setdefault(key, _Key())
        self._add(state, self._further(state, source, replay), tiered=tiered)

    def found_held(self, key: bytes, source: int, replay: int) -> None:
        """Note that a dead letter held its key when the partitions were assigned."""
        self._hold(self._keys.setdefault(key, _Key()), marker(source, replay))

    def knows(self, key: bytes, offset: int) -> bool:
        """Tell whether a record of the domain topic has a copy, or is a dead letter of a held key."""
        state = self._keys.get(key)
        if state is None:
            return False
        index = bisect_left(state.copies, marker(offset, 0))
        return index < len(state.copies) and state.copies[index][0] == offset

    def take(self, key: bytes, offset: int, item: T) -> list[Action[T]]:
        """Decide on a record of the domain topic."""
        state = self._keys.get(key)
        if state is None:
            return [("run", item)]
        if self.knows(key, offset):
            return [("skip", item)]  # its copy has what becomes of it; only its own offset was not committed
        state.behind.append(((offset, 0, 0), item))
        return self._next(key, state)

    def admit(self, key: bytes, source: int, replay: int, *, tiered: bool) -> Ident:
        """Return by what a copy that was read from a retry topic, a tier or the parked one, is known from now on.

        Copies that agree in offset and round may lie in both, where a letter was replayed twice; a copy of the parked
        topic that is taken for one in a tier is waited for as long as that one, which comes under another name.
        """
        state = self._keys.setdefault(key, _Key())
        for ident in self._same(state, source, replay):
            read = ident in state.hand or ident in state.off or ident == state.at_work
            if not read and (ident in state.tiered) is tiered:
                return ident
        ident = self._further(state, source, replay)  # an operator's replay
        self._add(state, ident, tiered=False)
        return ident

    def is_near(self, key: bytes, ident: Ident) -> bool:
        """Tell whether every copy before an admitted one is in hand or at work: its turn comes without another read."""
        state = self._keys[key]
        before = bisect_left(state.copies, ident)
        if before > len(state.hand) + 1:
            return False
        return all(other in state.hand or other == state.at_work for other in state.copies[:before])

    def put_off(self, key: bytes, ident: Ident, position: int) -> None:
        """Keep no more of an admitted copy than where in the parked topic it lies; `again` tells when it is needed."""
        self._keys[key].off[ident] = position
        self._off[position] = key, ident

    def put_off_at(self, position: int) -> Ident | None:
        """Return what was put off and lies somewhere."""
        found = self._off.get(position)
        return None if found is None else found[1]

    def first_put_off(self) -> int | None:
        """Return where the first of all that were put off lies."""
        return min(self._off, default=None)

    def again(self) -> int | None:
        """Return from where on to read the parked topic again, if something lies there whose turn has come."""
        first = min(self._again, default=None)
        self._again.clear()
        return first

    def moved(self, key: bytes, ident: Ident) -> None:
        """Note that a copy that was put off is not there any more: it arrives once more, or is a dead letter soon."""
        self._forget(self._keys[key], ident)

    def arrive(self, key: bytes, ident: Ident, item: T) -> list[Action[T]]:
        """Decide on a copy that was admitted, and is due."""
        state = self._keys[key]
        state.tiered.discard(ident)
        self._forget(state, ident)
        state.hand[ident] = item
        return self._next(key, state)

    def finish(self, key: bytes, ident: Ident) -> list[Action[T]]:
        """Note that the outcome of a record is on the brokers, or that a hold is released."""
        state = self._keys.get(key)
        if state is None or not state.has(ident):
            return []
        self._remove(state, ident)
        return self._next(key, state)

    def retry(self, key: bytes, ident: Ident, behind: Sequence[tuple[Ident, T, bool]]) -> list[Action[T]]:
        """Note that a record goes to a tier, and take back what was to be handled behind it: `(…, …, is a copy)`."""
        state = self._keys.setdefault(key, _Key())
        if state.has(ident):
            state.tiered.add(ident)
        else:
            self._add(state, ident, tiered=True)
        return self._stop(key, state, ident, behind)

    def hold(self, key: bytes, ident: Ident, behind: Sequence[tuple[Ident, T, bool]] = ()) -> list[Action[T]]:
        """Note that a record is a dead letter that holds its key, and take back what was to be handled behind it."""
        state = self._keys.setdefault(key, _Key())
        self._hold(state, marker(*ident[:2]))
        if state.has(ident):
            self._remove(state, ident)
        return self._stop(key, state, ident, behind)

    def lies(self, key: bytes, hold: Ident, position: int) -> bool:
        """Note where the marker of a hold lies; tell whether it is needed: another one may stand for the hold."""
        state = self._keys.setdefault(key, _Key())
        self._hold(state, hold)
        if hold in state.off:
            return False
        self.put_off(key, hold, position)
        return True

    def is_held(self, key: bytes, hold: Ident) -> bool:
        """Tell whether a key is held by a dead letter."""
        state = self._keys.get(key)
        return state is not None and hold in state.held

    def place_of(self, key: bytes, hold: Ident) -> int | None:
        """Return where the marker of a hold lies; None where it was not read yet."""
        state = self._keys.get(key)
        return None if state is None else state.off.get(hold)

    def _stop(
        self, key: bytes, state: _Key[T], ident: Ident, behind: Sequence[tuple[Ident, T, bool]]
    ) -> list[Action[T]]:
        if state.at_work == ident:
            state.at_work = None
        for other, item, copy in behind:
            if copy:
                state.hand[other] = item
                state.at_work = None
        state.behind[:0] = [(other, item) for other, item, copy in behind if not copy]
        return self._next(key, state)

    def _same(self, state: _Key[T], source: int, replay: int) -> Sequence[Ident]:
        """Return the copies that agree in offset and round."""
        first = bisect_left(state.copies, (source, replay, 0))
        return state.copies[first : bisect_left(state.copies, (source, replay + 1, _HOLD), first)]

    def _further(self, state: _Key[T], source: int, replay: int) -> Ident:
        same = self._same(state, source, replay)
        return source, replay, same[-1][2] + 1 if same else 0

    def _add(self, state: _Key[T], ident: Ident, *, tiered: bool) -> None:
        insort(state.copies, ident)
        self._copies += 1
        if tiered:
            state.tiered.add(ident)

    def _hold(self, state: _Key[T], hold: Ident) -> None:
        if not state.has(hold):
            self._add(state, hold, tiered=False)
            self._held += not state.held
            state.held.add(hold)

    def _remove(self, state: _Key[T], ident: Ident) -> None:
        del state.copies[bisect_left(state.copies, ident)]
        self._copies -= 1
        state.tiered.discard(ident)
        self._forget(state, ident)
        if ident in state.held:
            state.held.discard(ident)
            self._held -= not state.held
        if state.at_work == ident:
            state.at_work = None

    def _forget(self, state: _Key[T], ident: Ident) -> None:
        position = state.off.pop(ident, None)
        if position is not None:
            del self._off[position]
            self._again.discard(position)

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
        if not state.waits():
            position = state.off.get(first)
            if position is not None:
                self._again.add(position)
            return []  # or it is on its way through the parked topic
        actions: list[Action[T]] = [("off", state.hand.pop(ident)) for ident in sorted(state.hand)]
        for ident, item in state.behind:
            self._add(state, ident, tiered=False)
            actions.append(("park", item))
        state.behind.clear()
        return actions
