"""What stands where a process has threads and a clock: they go on when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import pytest
from confluent_kafka import KafkaException

from lockgate.records import Place
from lockgate.runtime import commits, concurrent, control, intake, loop, outage, parked, settlement, transactions
from lockgate.runtime.encoding import EventEncoder
from lockgate.runtime.lanes import Job, Lanes
from lockgate.runtime.pools import _handle


class Host(Protocol):
    """The process that threads belong to."""

    commits: Laters | None
    pool: Slots | None

    def moment(self, name: str) -> str | None:
        """Tell what happens at a moment."""

    def begins(self, message: Any, envelope: Any) -> None:
        """Note that a handler begins."""

    def end_after_grace(self) -> None:
        """End at once where the grace of its stop is over."""


class Made:
    """The process that is being made: what is assembled meanwhile belongs to it."""

    by: Host


class Time:
    """Stand in for the module: it goes on when a test says so, or when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


TIME = Time()
PROBES_OF_ONE = 3
"""How often a record is a probe that fails before it goes on to its retry topic."""


class Later(Future[Any]):
    """A commit under way: it reaches the brokers when it is waited for, or when the test says so."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__()
        self._call = call

    def arrive(self) -> None:
        if not self.done():
            try:
                self.set_result(self._call())
            except KafkaException as error:
                self.set_exception(error)


class Laters:
    """Stand in for the thread that commits."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.under_way: list[Later] = []
        Made.by.commits = self

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Later:
        self.under_way.append(Later(lambda: call(*arguments)))
        return self.under_way[-1]

    def shutdown(self) -> None:
        pass

    def arrive(self) -> None:
        for later in self.under_way:
            later.arrive()
        self.under_way.clear()


def _wait(futures: Iterable[Later], timeout: float | None = None) -> tuple[list[Later], list[Later]]:
    for future in futures:
        future.arrive()
    return list(futures), []


class NoKeepAlive:
    """Stand where a thread polls beside a slow handler: here, no handler is slow for longer than a step."""

    steering = False

    def __init__(self, *_: Any) -> None:
        pass

    def busy(self) -> None:
        pass

    def idle(self) -> list[Any]:
        return []

    @contextmanager
    def kept_out(self) -> Iterator[bool]:
        yield True

    def forget(self, place: Place) -> bool:
        return False

    def close(self) -> None:
        pass


class Turn:
    """Stand in for the lock of lanes: whenever the loop lets go of it, threads of handlers may have their turn."""

    def __init__(self, pool: Slots) -> None:
        self._pool = pool

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._pool.lanes_are_free()


class Slots:
    """A pool whose handlers begin and end when the test says so, in any order."""

    def __init__(self, workload: str, size: int, _: Any, lanes: Lanes, encoder: EventEncoder) -> None:
        self._workload, self._size, self._lanes, self._encoder = workload, size, lanes, encoder
        self._owner = Made.by
        self._owner.pool = self
        turn: Any = Turn(self)
        lanes.lock = turn
        self.running: list[Job] = []
        self._ended: list[Job] = []
        self._leaving: list[Job] = []  # those whose end the loop may see, and whose threads still have them
        self._at_it = False
        self.hanging = False
        """Whether handlers do not end, however long they are waited for."""
        self.late = False
        """Whether threads take no record yet, although there are some for them."""

    def start(self) -> None:
        pass

    def add(self, jobs: Sequence[Job]) -> None:
        self._lanes.add(jobs)
        self.wake()

    def wake(self) -> None:
        if not self.late:
            self.take()

    def take(self) -> None:
        """Let threads that are free take what there is."""
        before, self._at_it = self._at_it, True
        while len(self.running) + len(self._leaving) < self._size and (job := self._lanes.take()) is not None:
            self.running.append(job)
            self._owner.begins(job.message, job.envelope)
        self._at_it = before

    def end(self, index: int, *, lingering: bool = False) -> None:
        """Let a handler end; if it lingers, its thread stops before it lets the lane go on."""
        job = self.running.pop(index % len(self.running))
        nobody: Any = None  # there is no coroutine to run
        _handle(job, self._workload, self._encoder, nobody)
        self._ended.append(job)
        if lingering:
            self._leaving.append(job)
        else:
            self._let_go([job])

    def go_on(self) -> None:
        """Let threads go on that had stopped."""
        leaving, self._leaving = self._leaving, []
        self._let_go(leaving)

    def _let_go(self, jobs: Sequence[Job]) -> None:
        before, self._at_it = self._at_it, True
        for job in jobs:
            self._lanes.done(job)
        self._at_it = before
        self.wake()

    @property
    def unseen(self) -> int:
        """Return how many handlers have ended without the loop's having seen it."""
        return len(self._ended)

    def lanes_are_free(self) -> None:
        """Tell that the loop is in the midst of something, and has let go of the lanes."""
        if not self._at_it:
            self._owner.moment("lanes")

    def others(self) -> None:
        """Let all threads have their turn, the last one first, while the loop is in the midst of something."""
        if self._at_it:
            return
        self._at_it = True
        self.go_on()
        for _ in range(0 if self.hanging else len(self.running)):
            self.end(-1)
        self.take()
        self._at_it = False

    def finished(self) -> list[Job]:
        ended, self._ended = self._ended, []
        return ended

    def wait(self, seconds: float) -> None:
        if self._leaving:
            self.go_on()
        elif self.running and not self.hanging:
            self.end(0)
        else:
            TIME.sleep(1)
            self._owner.end_after_grace()

    def close(self) -> None:
        pass


def replaced(patch: pytest.MonkeyPatch) -> None:
    """Put the doubles in the place of threads and of time."""
    for module in (commits, concurrent, control, loop, settlement, transactions):
        patch.setattr(module, "time", TIME)
    patch.setattr(commits, "ThreadPoolExecutor", Laters)
    patch.setattr(commits, "wait", _wait)
    patch.setattr(commits, "_EVERY", 0.0)
    patch.setattr(concurrent, "pool_for", Slots)
    patch.setattr(intake, "KeepAlive", NoKeepAlive)
    patch.setattr(outage, "Outage", partial(outage.Outage, clock=TIME.monotonic))
    patch.setattr(outage, "_PROBES_OF_ONE", PROBES_OF_ONE)
    patch.setattr(parked, "_MOST_RUNS", 3)  # what is put off has to make room for others before long
