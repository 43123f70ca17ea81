"""Resetting offsets: where each partition goes on, what is read again, and what is never read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import PlanRefused, UsageError
from lockgate.provisioning.progress import PartitionProgress, Progress
from lockgate.provisioning.reset import Reset, Target, plan_reset, refuse_members
from lockgate.records import Place

DOMAIN = (
    PartitionProgress("parcels", "domain", 0, start=10, committed=50, end=100),
    PartitionProgress("parcels", "domain", 1, start=0, committed=None, end=20),
)
RETRIES = (
    PartitionProgress("parcels.retry.tracker.1", "retry", 0, start=0, committed=3, end=7),
    PartitionProgress("parcels.retry.tracker.1", "retry", 1, start=0, committed=0, end=0),
)
PROGRESS = Progress("tracker", 0, DOMAIN + RETRIES)


def never_asked(places: Iterable[Place], at: object) -> Mapping[Place, int]:
    raise AssertionError(f"{at} was looked up in {places}")


def afters(planned: Reset) -> dict[tuple[str, int], int]:
    return {(move.topic.removeprefix("parcels"), move.partition): move.after for move in planned.moves}


def planned(target: Target | None, **options: Any) -> Reset:
    return plan_reset(PROGRESS, target, never_asked, **options)


def test_progress_counts_what_is_before_the_group_and_what_waits() -> None:
    assert [entry.lag for entry in PROGRESS.partitions] == [50, 20, 4, 0]
    assert (PROGRESS.lag, PROGRESS.waiting) == (70, 4)
    # what retention has deleted is not before the group any more
    assert PartitionProgress("parcels", "domain", 0, start=60, committed=50, end=100).lag == 40
    assert PartitionProgress("parcels", "domain", 0, start=0, committed=9, end=5).lag == 0


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target("position", "earliest"), {("", 0): 10, ("", 1): 0}),
        (Target("position", "latest"), {("", 0): 100, ("", 1): 20}),
        (Target("offset", 15), {("", 0): 15, ("", 1): 15}),
        (Target("by", 5), {("", 0): 55, ("", 1): 5}),
        (Target("by", -1000), {("", 0): 10, ("", 1): 0}),
        (Target("by", 1000), {("", 0): 100, ("", 1): 20}),
    ],
)
def test_every_target_moves_the_partitions_of_the_domains_topic_only(
    target: Target, expected: dict[tuple[str, int], int]
) -> None:
    assert afters(planned(target)) == expected


def test_a_time_is_looked_up_in_the_partitions_that_are_to_move() -> None:
    asked: list[object] = []

    def positions(places: Iterable[Place], at: object) -> Mapping[Place, int]:
        asked.extend([list(places), at])
        return {("parcels", 0): 33}

    assert afters(plan_reset(PROGRESS, Target("time", 1_000), positions, partitions=[0])) == {("", 0): 33}
    assert asked == [[("parcels", 0)], 1_000]


def test_going_back_reads_again_and_going_on_passes_over() -> None:
    (back,) = planned(Target("offset", 20), partitions=[0]).moves
    assert (back.before, back.again, back.passed_over) == (50, 30, 0)
    (on,) = planned(Target("offset", 20), partitions=[1]).moves
    assert (on.before, on.again, on.passed_over) == (None, 0, 20)


def test_what_waits_in_retry_topics_stays_and_is_said() -> None:
    assert planned(Target("position", "earliest")).waiting == 4


def test_what_waits_can_be_passed_over_with_the_domains_records_or_alone() -> None:
    alone = planned(None, skip_waiting=True)
    assert afters(alone) == {(".retry.tracker.1", 0): 7}
    assert (alone.passed_over, alone.waiting) == (4, 0)
    both = planned(Target("offset", 10), skip_waiting=True)
    assert afters(both) == {("", 0): 10, ("", 1): 10, (".retry.tracker.1", 0): 7}
    # parked and retried records lie in the partition of their source's number
    assert planned(None, skip_waiting=True, partitions=[1]).moves == ()


def test_a_partition_that_is_there_already_does_not_move() -> None:
    assert planned(Target("offset", 50), partitions=[0]).moves == ()


def test_a_partition_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="there is no partition 2, 7: parcels has the partitions 0 to 1"):
        planned(Target("offset", 1), partitions=[7, 0, 2])


def test_an_offset_that_a_partition_does_not_hold_is_a_mistake_with_all_of_them_named() -> None:
    with pytest.raises(
        UsageError, match=r"offset 200 is not there: parcels-0 holds 10 to 100; parcels-1 holds 0 to 20"
    ):
        planned(Target("offset", 200))


def test_a_running_workload_is_left_alone() -> None:
    refuse_members("tracker", 0)
    with pytest.raises(PlanRefused, match="2 processes of it run"):
        refuse_members("tracker", 2)


@given(
    start=st.integers(0, 50),
    size=st.integers(0, 50),
    committed=st.none() | st.integers(0, 120),
    target=st.one_of(
        st.builds(Target, st.just("position"), st.sampled_from(["earliest", "latest"])),
        st.builds(Target, st.just("by"), st.integers(-200, 200)),
    ),
)
def test_nobody_is_sent_where_no_offset_is(start: int, size: int, committed: int | None, target: Target) -> None:
    entry = PartitionProgress("parcels", "domain", 0, start, committed, start + size)
    for move in plan_reset(Progress("tracker", 0, (entry,)), target, never_asked).moves:
        assert entry.start <= move.after <= entry.end
        # what becomes of the lag is exactly what is said
        after = PartitionProgress("parcels", "domain", 0, start, move.after, start + size)
        if entry.position <= entry.end:
            assert after.lag == entry.lag + move.again - move.passed_over
