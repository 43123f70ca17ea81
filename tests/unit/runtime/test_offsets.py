"""No offset is committed before every record below it is finished."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lockgate.runtime.offsets import Offsets

PLACE = ("orders", 0)


class _Partition(RuleBasedStateMachine):
    """One partition against a model that remembers every record."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = Offsets()
        self.next = 0
        self.unfinished: set[int] = set()
        self.finished: set[int] = set()
        self.committed = -1

    @rule(gap=st.integers(0, 3), waits=st.booleans())
    def read(self, gap: int, waits: bool) -> None:
        offset = self.next + gap  # compacted away, or taken by a transaction marker
        if waits:
            self.offsets.hold(PLACE, offset)
            self.unfinished.add(offset)
        else:
            self.finished.add(offset)
        self.next = offset + 1
        self.offsets.read_to(PLACE, self.next)

    @precondition(lambda self: self.unfinished)
    @rule(data=st.data())
    def acknowledged(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.unfinished)))
        self.offsets.finish(PLACE, offset)
        self.unfinished.discard(offset)
        self.finished.add(offset)

    @rule(arrives=st.booleans())
    def commit(self, arrives: bool) -> None:
        for topic, partition, offset in self.offsets.outstanding():
            assert (topic, partition) == PLACE
            assert offset > self.committed
            self.offsets.committed(PLACE, offset)
            if arrives:
                self.committed = offset
            else:
                self.offsets.commit_failed(PLACE)
        if arrives:
            assert not self.offsets.outstanding()

    @precondition(lambda self: self.next > 0)
    @rule()
    def rewind(self) -> None:
        first = min(self.unfinished, default=self.next)
        again = self.offsets.rewind(PLACE)
        assert again is not None
        assert again <= first
        assert not [offset for offset in self.unfinished if offset < again]
        self.next = again
        self.unfinished.clear()

    @invariant()
    def nothing_unfinished_lies_below(self) -> None:
        committable = self.offsets.committable(PLACE)
        if committable is not None:
            assert all(offset >= committable for offset in self.unfinished)
            assert committable >= self.committed

    @invariant()
    def everything_finished_at_the_start_may_be_committed(self) -> None:
        if self.next:
            assert self.offsets.committable(PLACE) == min(self.unfinished, default=self.next)


TestPartition = _Partition.TestCase


def test_a_failed_commit_is_sent_again() -> None:
    offsets = Offsets()
    offsets.read_to(PLACE, 5)
    offsets.committed(PLACE, 5)
    assert offsets.outstanding() == []
    offsets.commit_failed(PLACE)
    assert offsets.outstanding() == [("orders", 0, 5)]


def test_a_forgotten_partition_is_not_committed() -> None:
    offsets = Offsets()
    offsets.hold(PLACE, 4)
    offsets.read_to(PLACE, 5)
    offsets.forget(PLACE)
    offsets.finish(PLACE, 4)
    offsets.committed(PLACE, 5)
    assert offsets.outstanding() == []
    assert offsets.committable(PLACE) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50))))
def test_partitions_do_not_mix(reads: list[tuple[int, int]]) -> None:
    offsets = Offsets()
    furthest: dict[int, int] = {}
    for partition, offset in reads:
        offsets.read_to(("orders", partition), offset)
        furthest[partition] = max(offset, furthest.get(partition, 0))
    assert sorted(offsets.outstanding()) == sorted(("orders", *entry) for entry in furthest.items())
