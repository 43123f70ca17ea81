"""Where handlers run, several at once: threads, or tasks of one event loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from lockgate.runtime.dispatch import Table
from lockgate.runtime.encoding import EventEncoder
from lockgate.runtime.lanes import Job, Lanes
from lockgate.runtime.record import Record
from lockgate.runtime.results import awaited, collect, drained, listed

__all__ = ["Pool", "Tasks", "Threads", "pool_for"]

_LEAVE = 5.0
"""Seconds that threads get to end once nobody waits for their handlers any more."""


class Pool(Protocol):
    """What the loop asks of the place where handlers run."""

    def start(self) -> None:
        """Be ready to run handlers."""

    def add(self, jobs: Sequence[Job]) -> None:
        """Have records handled, each when its lane allows and a slot is free."""

    def wake(self) -> None:
        """Look again for records whose turn it is: lanes have been resumed."""

    def finished(self) -> list[Job]:
        """Return the records whose handlers have ended since the last call, those of a lane in order."""

    def wait(self, seconds: float) -> None:
        """Return as soon as a handler has ended, or the time is over."""

    def close(self) -> None:
        """Run no handlers any more; one that does not end is left behind."""


class _Ended:
    """Collect records whose handlers have ended, and wake whoever waits for them."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._news = threading.Event()

    def append(self, job: Job) -> None:
        self._jobs.append(job)
        self._news.set()

    def finished(self) -> list[Job]:
        self._news.clear()
        found = []
        while self._jobs:
            found.append(self._jobs.popleft())
        return found

    def wait(self, seconds: float) -> None:
        if not self._jobs:
            self._news.wait(seconds)


def pool_for(workload: str, size: int, table: Table, lanes: Lanes, encoder: EventEncoder) -> Pool:
    """Return the pool that suits a workload's handlers: an event loop, if there is an async one among them."""
    handlers = [*table.events.values(), *([table.tombstone] if table.tombstone is not None else ())]
    kind = Tasks if any(_is_async(handler.function) for handler in handlers) else Threads
    return kind(workload, size, lanes, encoder)


class Threads:
    """Run handlers in threads."""

    def __init__(self, workload: str, size: int, lanes: Lanes, encoder: EventEncoder) -> None:
        self._workload = workload
        self._lanes = lanes
        self._encoder = encoder
        self._work = threading.Condition(threading.Lock())
        self._hints = 0  # records that were added and that no waiting thread has looked for yet
        self._closed = False
        self._ended = _Ended()
        self.finished, self.wait = self._ended.finished, self._ended.wait
        self._threads = [
            threading.Thread(target=self._run, name=f"handler-{number}", daemon=True) for number in range(1, size + 1)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def add(self, jobs: Sequence[Job]) -> None:
        """Have records handled."""
        self._lanes.add(jobs)
        with self._work:
            self._hints += len(jobs)
            self._work.notify(len(jobs))

    def wake(self) -> None:
        """Look again for records whose turn it is."""
        with self._work:
            self._hints += len(self._threads)
            self._work.notify_all()

    def close(self) -> None:
        """End the threads that have nothing in hand."""
        with self._work:
            self._closed = True
            self._work.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_LEAVE / len(self._threads))

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while not self._closed:
                job = self._lanes.take()
                if job is None:
                    with self._work:
                        if not self._hints and not self._closed:
                            self._work.wait()
                        self._hints = max(0, self._hints - 1)
                    continue
                begun = time.monotonic()
                _handle(job, self._workload, self._encoder, runner)
                job.seconds = time.monotonic() - begun
                self._ended.append(job)  # first: whoever sees that nothing runs any more finds it among the ended
                self._lanes.done(job)


class Tasks:
    """Run handlers as tasks of one event loop, in a thread of its own; those that are not async in further threads."""

    def __init__(self, workload: str, size: int, lanes: Lanes, encoder: EventEncoder) -> None:
        self._workload = workload
        self._size = size
        self._lanes = lanes
        self._encoder = encoder
        self._ended = _Ended()
        self.finished, self.wait = self._ended.finished, self._ended.wait
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._blocking = ThreadPoolExecutor(size, thread_name_prefix="handler")
        self._thread = threading.Thread(target=self._loop.run_forever, name="handlers", daemon=True)

    def start(self) -> None:
        """Start the event loop."""
        self._thread.start()

    def add(self, jobs: Sequence[Job]) -> None:
        """Have records handled."""
        self._lanes.add(jobs)
        self._loop.call_soon_threadsafe(self._fill)

    def wake(self) -> None:
        """Look again for records whose turn it is."""
        self._loop.call_soon_threadsafe(self._fill)

    def close(self) -> None:
        """Cancel what is still at work, and end the event loop."""
        if self._thread.ident is not None:
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join(_LEAVE)
        self._blocking.shutdown(wait=False, cancel_futures=True)
        if not self._thread.is_alive():
            self._loop.close()

    def _end(self) -> None:
        self._size = 0
        for task in self._tasks:
            task.cancel()
        self._loop.call_soon(self._loop.stop)

    def _fill(self) -> None:
        while len(self._tasks) < self._size and (job := self._lanes.take()) is not None:
            task = self._loop.create_task(self._run(job))
            self._tasks.add(task)

    async def _run(self, job: Job) -> None:
        begun = time.monotonic()
        try:
            await self._handle(job)
        except (
            BaseException
        ) as error:  # an exit that the handler asks for is the loop's to carry out, not this thread's
            job.error = error
        job.seconds = time.monotonic() - begun
        self._ended.append(job)
        self._lanes.done(job)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.discard(task)
        self._fill()

    async def _handle(self, job: Job) -> None:
        function = job.entry[1]
        if not _is_async(function):
            await self._loop.run_in_executor(self._blocking, _handle_alone, job, self._workload, self._encoder)
            return
        result = _called(job, self._workload)
        if inspect.isawaitable(result):
            result = await awaited(result)
        if isinstance(result, AsyncIterable):
            result = await drained(result)
        _encode(job, listed(result), self._encoder)


def _is_async(function: Callable[..., Any]) -> bool:
    plain = inspect.unwrap(function)
    return inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)


def _handle_alone(job: Job, workload: str, encoder: EventEncoder) -> None:
    with asyncio.Runner() as runner:
        _handle(job, workload, encoder, runner)


def _handle(job: Job, workload: str, encoder: EventEncoder, runner: asyncio.Runner) -> None:
    """Handle a record in a thread."""
    try:
        result = _called(job, workload)
        _encode(job, () if result is None else collect(result, runner), encoder)
    except BaseException as error:  # an exit that the handler asks for is the loop's to carry out, not this thread's
        job.error = error


def _called(job: Job, workload: str) -> Any:
    _, function, build, contextual = job.entry
    event = job.event if build is None else build(job.event)
    if contextual:
        return function(event, Record(job.message, job.envelope).context(workload))
    return function(event)


def _encode(job: Job, events: Sequence[Any], encoder: EventEncoder) -> None:
    """Encode all events of a handler before the first is sent."""
    if events:
        job.stage = "publish"
        job.events = [encoder.encode(event) for event in events]
