"""Work that is spread over the machine's cores."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

__all__ = ["spread"]

_T = TypeVar("_T")
_R = TypeVar("_R")

_WORTH_A_PROCESS = 100
"""Items below which starting a process takes longer than doing them."""

_work: Callable[[Sequence[Any]], Any] | None = None


def spread(work: Callable[[Sequence[_T]], _R], items: Sequence[_T]) -> list[_R]:
    """Do work on all items in as many parts as it is worth, and return what came of each part, in order.

    The parts run in processes that are forked from this one, so `work` may be a closure; what it returns is pickled.
    Where processes cannot be forked, one part holds everything.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(cores, len(items) // _WORTH_A_PROCESS)
    if count < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return [work(items)]
    parts = [items[len(items) * part // count : len(items) * (part + 1) // count] for part in range(count)]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_adopt, initargs=(work,)) as pool:
        return list(pool.map(_do, parts))


def _adopt(work: Callable[[Sequence[Any]], Any]) -> None:
    global _work  # one worker process does one work
    _work = work
    gc.disable()  # the process ends with its part: what it makes is freed then, and looking for cycles costs a sixth


def _do(part: Sequence[Any]) -> Any:
    if _work is None:  # pragma: no cover  # the initializer has run
        raise AssertionError("nothing to do")
    return _work(part)
