"""The end of a soak: how far a subject is from the end of everything, said while it is waited for.

A process that stands still is told from one that is slow: where nothing has moved from one line to the next, the
threads of its processes are printed, once.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults import Left, Subject
from tests.worlds import Running

__all__ = ["Settling", "telling"]

_TOLD = 15.0
_SHOWN = 1000


def telling(folder: Path) -> Path:
    """Write what lets processes print where their threads are, on SIGUSR1; return what has to be their PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import faulthandler, signal\nfaulthandler.register(signal.SIGUSR1, all_threads=True)\n", encoding="utf-8"
    )
    return folder


class Settling:
    """Wait for the end of a load of a subject."""

    def __init__(self, subject: Subject, load: str, written: int) -> None:
        self._subject = subject
        self._load = load
        self._written = written
        self._known: tuple[int, Left | None] | None = None
        self._told = 0.0
        self._dumped = False

    def wait(self, processes: Sequence[Running], patience: float) -> float:
        """Return after how many seconds everything has come to its end; raise AssertionError where it does not."""
        started = self._told = time.monotonic()

        def tell(left: Left | None) -> None:
            if time.monotonic() >= self._told + _TOLD:
                self._tell(left, processes)

        self._subject.settle(processes[0], patience, tell)
        return time.monotonic() - started

    def _tell(self, left: Left | None, processes: Sequence[Running]) -> None:
        without = self._subject.verdict(self._load, self._written).lost
        before, self._known, self._told = self._known, (without, left), time.monotonic()
        moved = "" if before is None else f", {before[0] - without} fewer than at the last look"
        still = before == self._known and left is not None
        if still:
            moved = ", NOTHING has moved since the last look"
        self._say(f"{self._subject.mode}: {self._line(left)}{moved}")
        if still and not self._dumped:
            self._dumped = True
            for process in processes:
                self._say(threads_of(process))

    def _line(self, left: Left | None) -> str:
        without = "some" if self._known is None else str(self._known[0])
        line = f"{without} of {self._written} records without an outcome, "
        if left is None:
            return line + "and the brokers do not say what the group has committed"
        name = self._subject.world.source_topic
        shown = (f"{topic.removeprefix(name) or 'domain topic'} {count}" for topic, count in left.items())
        return f"{line}offsets not committed: {', '.join(shown)}"

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def threads_of(running: Running) -> str:
    """Return where the threads of a process are, as it says itself."""
    if running.process.poll() is not None:
        return f"process {running.process.pid} has ended: {running.text[-_SHOWN:]}"
    before = len(running.text)
    running.signal(signal.SIGUSR1)
    time.sleep(1)
    text = running.text[max(0, before - _SHOWN) :]
    return f"the last lines of process {running.process.pid}, and where its threads are:\n{text}"
