"""When all is quiet: waiting goes on while something moves, and ends when nothing does."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import cast

import pytest

from lockgate.demo.settle import Lag, Observer, Unsettled, settle, watching
from lockgate.errors import ClusterUnavailable, LockgateError


class Seen:
    """Show lags one after the other, the last one for ever; None stands for brokers that do not answer."""

    def __init__(self, *totals: int | None) -> None:
        self._totals: Iterator[int | None] = iter(totals)
        self._last: int | None = None

    def lags(self) -> list[Lag]:
        self._last = next(self._totals, self._last)
        if self._last is None:
            raise ClusterUnavailable("no answer")
        return [Lag("worker", "a", {"a": self._last, "a.retry.worker.1": 0})]


def wait(seen: Seen, stalled_after: float = 5.0) -> list[int]:
    shown: list[int] = []
    settle(
        cast("Observer", seen),
        stalled_after=stalled_after,
        progress=lambda lags: shown.append(sum(lag.total for lag in lags)),
        pause=0.001,
    )
    return shown


def test_it_waits_until_nothing_is_open() -> None:
    assert wait(Seen(5, 5, 9, 1, 0)) == [5, 5, 9, 1, 0]


def test_brokers_that_are_away_for_a_while_are_waited_for() -> None:
    assert wait(Seen(5, None, None, 3, 0)) == [5, 3, 0]


def test_it_gives_up_where_nothing_moves_and_says_who_is_stuck() -> None:
    with pytest.raises(Unsettled, match=r"worker \(5\)"):
        wait(Seen(9, 5), stalled_after=0.02)


def test_it_gives_up_on_brokers_that_never_answer() -> None:
    with pytest.raises(ClusterUnavailable):
        wait(Seen(None), stalled_after=0.02)


def test_a_service_that_has_ended_makes_waiting_pointless() -> None:
    def check() -> None:
        raise LockgateError("it ended by itself")

    with pytest.raises(LockgateError, match="ended by itself"):
        settle(cast("Observer", Seen(5)), stalled_after=5, check=check)


def test_lags_are_shown_while_something_else_goes_on_and_not_after() -> None:
    shown: list[int] = []
    three = threading.Event()

    def show(lags: Sequence[Lag]) -> None:
        shown.append(lags[0].total)
        if len(shown) == 3:
            three.set()

    with watching(cast("Observer", Seen(5, None, 4, 3)), show, pause=0.001):
        assert three.wait(10)
    assert shown[:3] == [5, 4, 3]
    assert "lags" not in {thread.name for thread in threading.enumerate()}
