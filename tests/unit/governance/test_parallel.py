"""Work that is spread over the machine's cores."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from lockgate.governance import parallel


def test_little_work_stays_in_this_process() -> None:
    assert parallel.spread(lambda part: (os.getpid(), list(part)), range(5)) == [(os.getpid(), [0, 1, 2, 3, 4])]
    assert parallel.spread(len, []) == [0]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # other tests have left threads behind
def test_much_work_is_done_in_order_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_WORTH_A_PROCESS", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    beyond_pickling = object()

    def work(part: Sequence[int]) -> tuple[bool, int, list[int]]:
        return beyond_pickling is not None, os.getpid(), [2 * item for item in part]

    one, other = parallel.spread(work, range(7))
    assert one[2] + other[2] == [0, 2, 4, 6, 8, 10, 12]
    assert os.getpid() not in (one[1], other[1])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # as above
def test_an_error_in_a_part_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)

    def work(part: Sequence[int]) -> int:
        return 1 // part[0]

    with pytest.raises(ZeroDivisionError):
        parallel.spread(work, [1, 0])
