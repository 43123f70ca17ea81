"""Which records are finished, and so how far each partition may be committed. Pure: no client, no clock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator

from lockgate.notes import note_of
from lockgate.records import Place

__all__ = ["Offsets", "Progress"]


class Progress:
    """Track one partition during one assignment: what was read, what of it is unfinished, and what was committed.

    A record is finished once its outcome is on the brokers. What may be committed is the first unfinished offset, or
    one past the last that was read; offsets that no record has (compacted away, transaction markers) need no care.

    Work in hand keeps the value of the assignment that it was taken under. Once that assignment has ended, `Offsets`
    no longer knows the value: whatever is still noted on it is never committed.
    """

    __slots__ = (
        "_before",
        "_begins",
        "_behind",
        "_committed",
        "_ends",
        "_entered",
        "_gone",
        "_held",
        "_next",
        "_noted",
        "exact",
        "place",
    )

    def __init__(self, place: Place) -> None:
        self.place = place
        self.exact = False
        """Whether commits also say which records are unfinished."""
        self._begins: list[int] = []  # of the runs in which unfinished records lie, where commits say which
        self._ends: list[int] = []
        self._before: dict[int, int] = {}  # for records with nothing but markers before them, the one before those
        self._behind: dict[int, int] = {}  # the same the other way round
        self._gone: list[int] = []  # what was finished since the last commit
        self._noted = ""
        self._next = -1
        self._entered = -1
        self._committed = -1
        self._held: set[int] = set()

    def enter(self, offset: int) -> None:
        """Note the first record that is taken since the last commit; `restart` goes back to it."""
        if self._entered < 0:
            self._entered = offset

    def read_to(self, offset: int) -> None:
        """Note that every record below `offset` is finished or held."""
        if offset > self._next:
            self._next = offset

    def hold(self, offset: int) -> None:
        """Note that a record's outcome is under way; call it before `read_to` passes that offset."""
        if self.exact and offset not in self._held:
            self._join(offset)
        self._held.add(offset)

    @property
    def runs(self) -> int:
        """Return in how many runs unfinished records lie, where commits say which: a commit's note grows with it."""
        return len(self._begins)

    def follows(self, offset: int, before: int) -> None:
        """Note that no record lies between two that were read one after the other; call it before `hold`."""
        if before in self._held and offset - before > 1:
            self._before[offset] = before
            self._behind[before] = offset

    def was_read(self, offset: int) -> bool:
        """Tell whether a record was read in this assignment."""
        return offset < self._next

    def is_held(self, offset: int) -> bool:
        """Tell whether a record's outcome is under way."""
        return offset in self._held

    def finish(self, offset: int) -> None:
        """Note that a held record's outcome is on the brokers."""
        if self.exact and offset in self._held:
            self._split(offset)
            self._gone.append(offset)
        self._held.discard(offset)

    def committable(self) -> int | None:
        """Return the offset that may be committed, or None where nothing was read."""
        if self._begins:
            reached = min(self._next, self._begins[0])
        else:
            reached = min(self._next, *self._held) if self._held else self._next
        return reached if reached >= 0 else None

    def outstanding(self) -> int | None:
        """Return the offset that may be committed and was not yet, or None."""
        offset = self.committable()
        if offset is None or (offset <= self._committed and not (self.exact and self.note() != self._noted)):
            return None
        return offset

    def note(self) -> str:
        """Return what a commit says beside its offset: how far was read, and what of it is unfinished."""
        return note_of(self._next, zip(self._begins, self._ends, strict=True))

    @property
    def last_committed(self) -> int | None:
        """Return what was committed last in this assignment; None where that is not known."""
        return self._committed if self._committed >= 0 else None

    def is_committed(self, offset: int) -> bool:
        """Tell whether a record is behind what was committed."""
        return offset < self._committed

    def committed(self, offset: int) -> None:
        """Note a commit that was sent: it is not sent again unless it fails or more is finished."""
        self._committed = offset
        self._noted = self.note()
        for gone in self._gone:
            if gone not in self._held:
                self._behind.pop(self._before.pop(gone, -1), None)
                self._before.pop(self._behind.pop(gone, -1), None)
        self._gone.clear()
        if self._entered >= 0:
            self._entered = offset if offset < self._next else -1

    def commit_failed(self) -> None:
        """Note that a commit did not arrive: the next one carries the partition again."""
        self._committed = -1

    def rewind(self) -> int | None:
        """Go back to the first unfinished record and return its offset, or None where nothing was read."""
        offset = self.committable()
        self._forget_held()
        if offset is not None:
            self._next = offset
        return offset

    def restart(self) -> int | None:
        """Go back to the first record since the last commit and return its offset, or None where nothing was taken."""
        self._forget_held()
        if self._entered < 0:
            return None
        offset, self._entered = self._entered, -1
        self._next = self._committed
        return offset

    def _forget_held(self) -> None:
        self._held.clear()
        self._begins.clear()
        self._ends.clear()

    def _neighbours(self, offset: int) -> tuple[int | None, int | None]:
        """Return the records directly before and behind one, where they are unfinished."""
        before, behind = self._before.get(offset, offset - 1), self._behind.get(offset, offset + 1)
        return before if before in self._held else None, behind if behind in self._held else None

    def _join(self, offset: int) -> None:
        """Add a record to the runs."""
        begins, ends = self._begins, self._ends
        before, behind = self._neighbours(offset)
        run = bisect_left(begins, offset)
        if before is None and behind is None:
            begins.insert(run, offset)
            ends.insert(run, offset)
        elif before is None:
            begins[run] = offset
        elif behind is None:
            ends[run - 1] = offset
        else:
            del begins[run], ends[run - 1]

    def _split(self, offset: int) -> None:
        """Take a record out of the runs."""
        begins, ends = self._begins, self._ends
        before, behind = self._neighbours(offset)
        run = bisect_right(begins, offset) - 1
        if before is None and behind is None:
            del begins[run], ends[run]
        elif before is None and behind is not None:
            begins[run] = behind
        elif before is not None and behind is None:
            ends[run] = before
        elif before is not None and behind is not None:
            begins.insert(run + 1, behind)
            ends.insert(run, before)


class Offsets:
    """Hold the progress of every partition that is assigned now."""

    def __init__(self) -> None:
        self._assigned: dict[Place, Progress] = {}

    def __iter__(self) -> Iterator[Progress]:
        return iter(tuple(self._assigned.values()))

    def assign(self, place: Place) -> Progress:
        """Begin a new assignment of a partition, with nothing known."""
        self._assigned[place] = progress = Progress(place)
        return progress

    def of(self, place: Place) -> Progress:
        """Return a partition's progress; where it is not assigned (any more), one that is never committed."""
        return self._assigned.get(place) or Progress(place)

    def current(self, progress: Progress) -> bool:
        """Tell whether the assignment that a progress belongs to still holds."""
        return self._assigned.get(progress.place) is progress

    def forget(self, place: Place) -> None:
        """End an assignment."""
        self._assigned.pop(place, None)

    def outstanding(self, places: Collection[Place] | None = None) -> list[tuple[Progress, int]]:
        """Return what may be committed and was not yet, of some partitions (None: of all)."""
        found = []
        for progress in tuple(self._assigned.values()):
            offset = progress.outstanding()
            if offset is not None and (places is None or progress.place in places):
                found.append((progress, offset))
        return found
