"""Retry tiers, waiting partitions, batch sizes, patience: the loop's decisions without its clients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import ClusterDenied, ClusterError
from lockgate.runtime.logs import partitions_text
from lockgate.runtime.pace import Pace
from lockgate.runtime.patience import Patience
from lockgate.runtime.retries import Retry, next_retry
from lockgate.runtime.waiting import Waiting

DELAYS = st.lists(st.integers(0, 10**9), max_size=6)
NOW = st.floats(0, 4e12)


@given(DELAYS, NOW)
def test_a_record_walks_every_tier_once_and_in_order(delays: list[int], now: float) -> None:
    walked = []
    attempt = 1
    while (retry := next_retry(delays, attempt, now)) is not None:
        walked.append(retry.tier)
        attempt += 1
    assert walked == list(range(1, len(delays) + 1))


@given(DELAYS.filter(bool), NOW)
def test_a_retry_is_never_due_early(delays: list[int], now: float) -> None:
    retry = next_retry(delays, 1, now)
    assert retry is not None
    assert retry.due >= now + delays[0]


def test_a_workload_without_tiers_dead_letters_at_once() -> None:
    assert next_retry((), 1, 0.0) is None
    assert next_retry((1000,), 1, 0.2) == Retry(1, 1001)
    assert next_retry((1000,), 2, 0.2) is None


@given(st.dictionaries(st.tuples(st.just("t"), st.integers(0, 20)), NOW), st.lists(NOW))
def test_a_partition_never_waits_too_briefly_nor_for_ever(
    until: dict[tuple[str, int], float], times: list[float]
) -> None:
    waiting = Waiting()
    for place, due in until.items():
        waiting.wait(place, due)
    seen: dict[tuple[str, int], float] = {}
    for now in [*sorted(times), 5e12]:
        for place in waiting.ready(now):
            assert place not in seen
            seen[place] = now
            assert until[place] <= now
        assert all(due > now for place, due in until.items() if place not in seen)
    assert seen.keys() == until.keys()
    assert len(waiting) == 0


def test_a_poll_ends_when_the_nearest_partition_is_due() -> None:
    waiting = Waiting()
    assert waiting.timeout(0, 0.2) == 0.2
    waiting.wait(("t", 0), 1_050)
    waiting.wait(("t", 1), 9_000)
    assert waiting.timeout(1_000, 0.2) == pytest.approx(0.05)
    assert waiting.timeout(2_000, 0.2) == 0.0
    waiting.forget(("t", 0))
    assert waiting.timeout(2_000, 0.2) == 0.2


@given(st.lists(st.floats(1e-7, 30), min_size=1, max_size=60))
def test_a_batch_stays_within_bounds(seconds_each: list[float]) -> None:
    pace = Pace()
    for each in seconds_each:
        pace.handled(pace.size, pace.size * each)
        assert 1 <= pace.size <= 1000
        assert pace.size == 1 or pace.size * each <= pace.target


def test_a_batch_grows_while_handlers_are_fast_and_shrinks_at_once_when_they_are_slow() -> None:
    pace = Pace()
    for _ in range(5):
        pace.handled(pace.size, 0.001)
    assert pace.size == 1000
    pace.handled(10, 20.0)
    assert pace.size == 1


def test_a_small_batch_says_nothing_about_larger_ones() -> None:
    pace = Pace()
    pace.handled(2, 0.001)
    assert pace.size == 16
    pace.handled(0, 0.0)
    assert pace.size == 16


@given(wait=st.floats(0.1, 30), each=st.floats(0.0001, 0.01))
def test_brokers_that_are_slow_to_answer_do_not_make_batches_small(wait: float, each: float) -> None:
    pace = Pace()
    for _ in range(20):
        pace.handled(pace.size, pace.size * each, wait)
    assert pace.size >= min(pace.most, int(pace.target / each)) / 2


@given(each=st.floats(0.001, 0.1), fixed=st.floats(0, 1))
def test_a_wait_that_grows_with_the_batch_bounds_it(each: float, fixed: float) -> None:
    pace = Pace(most=10_000)
    for _ in range(100):
        taken = pace.size
        pace.handled(taken, 0.0, fixed + taken * each)
        assert pace.size <= 4 * taken
        assert taken * each <= 4 * 4 * pace.target or pace.size < taken


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_trouble_is_raised_when_it_lasts() -> None:
    clock = _Clock()
    patience = Patience(30, clock)
    assert patience.trouble("write a", ClusterDenied("no"))
    clock.now = 29
    assert not patience.trouble("write a", ClusterDenied("still no"))
    patience.check()
    clock.now = 30
    with pytest.raises(ClusterDenied, match="still no"):
        patience.check()


def test_a_trouble_that_is_over_is_forgotten() -> None:
    clock = _Clock()
    patience = Patience(30, clock)
    patience.trouble("write a", ClusterDenied("no"))
    patience.trouble("login", ClusterError("no"), seconds=1)
    assert patience.troubled
    assert patience.over("login")
    assert not patience.over("login")
    clock.now = 29
    patience.over("write a")
    patience.trouble("write a", ClusterDenied("again"))
    clock.now = 58
    patience.check()


def test_partitions_are_listed_in_runs() -> None:
    places = [("b", 7), ("a", 1), ("a", 0), ("a", 2), ("a", 5), ("b", 8)]
    assert partitions_text(places) == "a:0-2,5 b:7-8"
    assert partitions_text([]) == "none"
