"""Lockgate: one process or two of a workload whose handler computes; the rate while all of them are at work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from job import Job

_SETTLED = 0.5
"""Seconds after the last one's first event at which counting begins."""
_BURN = 4000
"""Steps of a handler: some tenths of a millisecond."""
_PATIENCE = 60.0
Marks = list[tuple[float, int]]
"""When so many events had been handled."""


def member(job: Job) -> None:
    """Be one of the processes: say now and then how many events it has handled, until it is told to end."""
    job.assume()
    from lockgate_run import run

    from lockgate import Service
    from lockgate.runtime.signals import Stop
    from lockgate.runtime.worker import stop_with_parent

    service, stop = Service("bench-ours"), Stop()
    stop.install()
    stop_with_parent(stop, os.getppid())

    @service.handler(job.workload, event_type=job.event_type)
    def burn(event: dict[str, Any]) -> None:
        total = 0
        for step in range(_BURN):
            total += step
        job.seen += 1
        if job.seen % 50 == 1:
            print(time.monotonic(), job.seen, flush=True)

    run(job, service, stop)


class Member:
    """Run one of the processes, and note what it says."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "member"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            json.dump(told, stdin)
        self.marks: Marks = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            at, seen = line.split()
            self.marks.append((float(at), int(seen)))

    def end(self) -> None:
        """End it in order."""
        self._process.terminate()
        self._process.wait(30)


def between(marks: Marks, begin: float, end: float) -> float:
    """Return how many events were handled between two times."""
    return count_at(marks, end) - count_at(marks, begin)


def count_at(marks: Marks, at: float) -> float:
    """Return how many events had been handled at a time: what lies between two marks is even."""
    for (earlier, fewer), (later, more) in pairwise(marks):
        if earlier <= at <= later:
            return fewer + (more - fewer) * (at - earlier) / (later - earlier)
    raise SystemExit(f"nothing was said about {at}")


def counted(members: Sequence[Member], wanted: int) -> tuple[float, float]:
    """Wait until so many events were handled while all were at work; return how many, and the seconds."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.05)
        said = [list(one.marks) for one in members]
        if not all(said):
            continue
        begin, end = max(marks[0][0] for marks in said) + _SETTLED, min(marks[-1][0] for marks in said)
        if end > begin and (handled := sum(between(marks, begin, end) for marks in said)) >= wanted:
            return handled, end - begin
    raise SystemExit("the processes did not come to the end of their events")


def main() -> None:
    job = Job()
    if sys.argv[1:] == ["member"]:
        member(job)
        return
    members = [Member(job.told) for _ in range(2 if job.subject.startswith("two") else 1)]
    try:
        handled, seconds = counted(members, job.events)
    finally:
        for one in members:
            one.end()
    job.answer(rate=handled / seconds, seconds=seconds)


main()
