"""No offset is committed before every record below it is finished, and none for an assignment that has ended."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lockgate.notes import Finished
from lockgate.runtime.offsets import Offsets, Progress

PLACES = (("orders", 0), ("orders", 1), ("orders.retry.work.1", 0))
PLACE = PLACES[0]


@attrs.define
class _Broker:
    """One partition as the brokers and a careful observer see it."""

    committed: int = 0
    finished: set[int] = attrs.field(factory=set)
    """Records whose outcome is on the brokers, by whichever owner."""
    records: set[int] = attrs.field(factory=set)
    """Offsets that were delivered; the others are markers or compacted away."""

    def commit(self, offset: int) -> None:
        unfinished = {record for record in self.records if record < offset} - self.finished
        assert not unfinished, f"{offset} was committed before {sorted(unfinished)}"
        self.committed = offset


@attrs.define
class _Owned:
    progress: Progress
    position: int
    in_hand: set[int] = attrs.field(factory=set)


class _Process(RuleBasedStateMachine):
    """One process among others: partitions come, go and are lost while their records are in hand."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = Offsets()
        self.brokers = {place: _Broker() for place in PLACES}
        self.owned: dict[tuple[str, int], _Owned] = {}
        self.stale: list[tuple[Progress, int]] = []  # in hand under assignments that have ended

    @rule(place=st.sampled_from(PLACES))
    def assigned(self, place: tuple[str, int]) -> None:
        if place not in self.owned:
            self.owned[place] = _Owned(self.offsets.assign(place), self.brokers[place].committed)

    @rule(place=st.sampled_from(PLACES), lost=st.booleans())
    def taken_away(self, place: tuple[str, int], lost: bool) -> None:
        if place not in self.owned:
            return
        if not lost:
            self.commit(arrives=True)
        owned = self.owned.pop(place)
        self.offsets.forget(place)
        self.stale += [(owned.progress, offset) for offset in owned.in_hand]
        broker = self.brokers[place]
        if lost:  # whoever has it now goes on from the last commit
            broker.commit(max(broker.committed, max(broker.finished, default=-1) + 1, self._delivered(place)))

    def _delivered(self, place: tuple[str, int]) -> int:
        broker = self.brokers[place]
        broker.finished |= broker.records  # by its new owner
        return max(broker.records, default=-1) + 1

    @precondition(lambda self: self.owned)
    @rule(data=st.data(), gap=st.integers(0, 3), waits=st.booleans())
    def read(self, data: st.DataObject, gap: int, waits: bool) -> None:
        place = data.draw(st.sampled_from(sorted(self.owned)))
        owned, broker = self.owned[place], self.brokers[place]
        again = sorted(record for record in broker.records if record >= owned.position)
        offset = again[0] if again else owned.position + gap
        broker.records.add(offset)
        owned.progress.enter(offset)
        if waits:
            owned.progress.hold(offset)
            owned.in_hand.add(offset)
            broker.finished.discard(offset)  # it is under way once more
        else:
            broker.finished.add(offset)
        owned.position = offset + 1
        owned.progress.read_to(offset + 1)

    @precondition(lambda self: any(owned.in_hand for owned in self.owned.values()))
    @rule(data=st.data())
    def acknowledged(self, data: st.DataObject) -> None:
        waiting = sorted((place, offset) for place, owned in self.owned.items() for offset in owned.in_hand)
        place, offset = data.draw(st.sampled_from(waiting))
        self.owned[place].progress.finish(offset)
        self.owned[place].in_hand.discard(offset)
        self.brokers[place].finished.add(offset)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def acknowledged_too_late(self, data: st.DataObject) -> None:
        progress, offset = data.draw(st.sampled_from(self.stale))
        assert not self.offsets.current(progress)
        progress.finish(offset)
        progress.read_to(offset + 1)

    @rule(arrives=st.booleans())
    def commit(self, arrives: bool) -> None:
        for progress, offset in self.offsets.outstanding():
            assert progress is self.owned[progress.place].progress, "of an assignment that has ended"
            progress.committed(offset)
            if arrives:
                assert offset >= self.brokers[progress.place].committed
                self.brokers[progress.place].commit(offset)
            else:
                progress.commit_failed()
        if arrives:
            assert not self.offsets.outstanding()

    @precondition(lambda self: self.owned)
    @rule(data=st.data())
    def goes_back(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.owned)))
        owned = self.owned[place]
        offset = owned.progress.rewind()
        if offset is not None:
            assert offset <= min(owned.in_hand, default=offset)
            owned.position = offset
            owned.in_hand.clear()

    @invariant()
    def what_may_be_committed_is_finished(self) -> None:
        for place, owned in self.owned.items():
            offset = owned.progress.committable()
            if offset is not None:
                broker = self.brokers[place]
                assert not {record for record in owned.in_hand if record < offset}
                assert {record for record in broker.records if broker.committed <= record < offset} <= broker.finished
                assert offset == min(owned.in_hand, default=owned.position), "and nothing finished is left out"


TestProcess = _Process.TestCase


class _Transactions(RuleBasedStateMachine):
    """Batches that are committed as a whole, in part (halves), or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = Offsets()
        self.progress = self.offsets.assign(PLACE)
        self.committed = 0
        self.position = 0
        self.open: list[int] = []
        self.batch = 0  # where it began

    @rule(gap=st.integers(0, 2), sends=st.booleans())
    def read(self, gap: int, sends: bool) -> None:
        offset = self.position + gap
        if self.position == self.batch:
            self.batch = offset
        self.progress.enter(offset)
        if sends:
            self.progress.hold(offset)
            self.open.append(offset)
        self.position = offset + 1
        self.progress.read_to(self.position)

    @rule(data=st.data())
    def commits(self, data: st.DataObject) -> None:
        some = data.draw(st.integers(0, len(self.open)))
        for offset in self.open[:some]:
            self.progress.finish(offset)
        self.open = self.open[some:]
        for progress, offset in self.offsets.outstanding():
            assert offset <= min(self.open, default=offset)
            progress.committed(offset)
            self.committed = self.batch = offset

    @rule()
    def aborts(self) -> None:
        again = self.progress.restart()
        if again is None:
            assert self.position == self.batch
        else:
            assert self.committed <= again <= min(self.open, default=again)
            assert again == self.batch, "nothing of an aborted transaction counts"
            self.position = self.batch = again
        self.open = []
        assert not self.offsets.outstanding()


TestTransactions = _Transactions.TestCase


def test_a_failed_commit_is_sent_again() -> None:
    offsets = Offsets()
    progress = offsets.assign(PLACE)
    progress.read_to(5)
    progress.committed(5)
    assert offsets.outstanding() == []
    progress.commit_failed()
    assert offsets.outstanding() == [(progress, 5)]


def test_a_partition_that_comes_back_begins_anew() -> None:
    offsets = Offsets()
    before = offsets.assign(PLACE)
    before.hold(4)
    before.read_to(5)
    offsets.forget(PLACE)
    after = offsets.assign(PLACE)
    after.hold(4)
    after.read_to(5)
    before.finish(4)
    assert after.committable() == 4, "what the old assignment finishes says nothing of the new one"
    assert not offsets.current(before)


def test_what_is_not_assigned_is_not_committed() -> None:
    offsets = Offsets()
    offsets.of(PLACE).read_to(5)
    assert offsets.outstanding() == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50))))
def test_partitions_do_not_mix(reads: list[tuple[int, int]]) -> None:
    offsets = Offsets()
    furthest: dict[int, int] = {}
    for partition in range(4):
        offsets.assign(("orders", partition))
    for partition, offset in reads:
        offsets.of(("orders", partition)).read_to(offset)
        furthest[partition] = max(offset, furthest.get(partition, 0))
    found = [(*progress.place, offset) for progress, offset in offsets.outstanding()]
    assert sorted(found) == sorted(("orders", *entry) for entry in furthest.items())
    chosen = {("orders", 0), ("orders", 2)}
    assert {progress.place for progress, _ in offsets.outstanding(chosen)} <= chosen


@given(
    gaps=st.lists(st.tuples(st.integers(1, 10**6), st.booleans()), min_size=1, max_size=300),
    first=st.integers(0, 10**9),
)
def test_a_commits_note_tells_what_behind_it_is_finished(gaps: list[tuple[int, bool]], first: int) -> None:
    progress = Progress(PLACE)
    progress.exact = True
    offset = first
    held: set[int] = set()
    done: set[int] = set()
    for gap, unfinished in gaps:
        offset += gap
        (held if unfinished else done).add(offset)
        if unfinished:
            progress.hold(offset)
        progress.read_to(offset + 1)
    committed = progress.committable()
    assert committed is not None
    assert progress.outstanding() == committed
    note = progress.note()
    assert len(note) <= 4096
    finished = Finished(committed, note)
    assert all(offset in finished for offset in done)
    assert not any(offset in finished for offset in held)
    assert offset + 1 not in finished
    progress.committed(committed)
    assert progress.outstanding() is None
    for last in sorted(held)[1:2]:
        progress.finish(last)  # the offset stays, the note does not
        assert progress.outstanding() == committed


@given(
    reads=st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=40),
    endings=st.lists(st.tuples(st.integers(0, 39), st.sampled_from(["finish", "commit", "hold again"]))),
)
def test_a_note_has_one_entry_a_run_however_many_markers_lie_in_it(
    reads: list[tuple[int, bool]], endings: list[tuple[int, str]]
) -> None:
    progress = Progress(PLACE)
    progress.exact = True
    offset = last = -1
    offsets: list[int] = []
    for gap, unfinished in reads:
        offset += gap
        progress.follows(offset, last)
        if unfinished:
            progress.hold(offset)
        progress.read_to(offset + 1)
        offsets.append(offset)
        last = offset
    finished: list[int] = []
    for index, what in endings:
        chosen = offsets[index % len(offsets)]
        if what == "finish" and progress.is_held(chosen):
            progress.finish(chosen)
            finished.append(chosen)
        elif what == "hold again":  # a transaction that was to finish them was aborted
            for each in finished:
                progress.hold(each)
            finished = []
        elif what == "commit":
            progress.committed(progress.committable() or 0)
            finished = []
        note = progress.note()
        assert progress.runs == (note.count(",") + 1 if note else 0)
        known = Finished(progress.committable() or 0, note)
        assert [each for each in offsets if each not in known] == [each for each in offsets if progress.is_held(each)]
    if all(unfinished for _, unfinished in reads) and not endings:
        assert progress.runs == 1, "no record lies between them"


def test_a_run_of_thousands_takes_a_few_bytes() -> None:
    progress = Progress(PLACE)
    progress.exact = True
    for offset in range(0, 100_000, 2):  # every other offset is a transaction's marker
        progress.follows(offset, offset - 2)
        progress.hold(offset)
        progress.read_to(offset + 1)
    assert (progress.note(), progress.runs) == ("99999:0~99998", 1)
    progress.finish(50_000)
    assert (progress.note(), progress.runs) == ("99999:0~49998,4~49996", 2)
