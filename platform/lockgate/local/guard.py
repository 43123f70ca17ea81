"""A guard that takes the stack along when the command that started it ends, however it ends.

It is a small process of its own that reads a pipe: when its other end closes without a word of release, even by
`kill -9`, the guard ends what was entrusted to it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import psutil

from lockgate.local.processes import Processes, end, leftovers
from lockgate.local.programs import mark

__all__ = ["Guard", "guarded", "keep_watch"]

_RELEASE = "release"
_GRACE_SECONDS = 15.0
_OTHERS_SECONDS = 5.0


class Guard:
    """Speak to the guard of some state folders."""

    def __init__(self, homes: Iterable[Path]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lockgate.local", "guard", *map(str, homes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C on the terminal is not for the guard
            text=True,
        )

    def entrust(self, pid: int) -> None:
        """Have one more process ended should this one vanish: a service that runs beside the stack."""
        self._say(f"{pid}")

    def release(self) -> None:
        """Send the guard home: nothing is ended."""
        self._say(_RELEASE)
        self.abandon()

    def abandon(self) -> None:
        """Close the pipe and wait for the guard; unless released, it ends what is left."""
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()

    def _say(self, line: str) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # somebody ended the guard
                pipe.write(f"{line}\n")
                pipe.flush()


@contextlib.contextmanager
def guarded(*homes: Path) -> Iterator[Guard]:
    """Guard state folders while the block runs.

    A block that comes to its end keeps what it started. One that raises, a second Ctrl-C on its way down included,
    leaves nothing.
    """
    guard = Guard(homes)
    try:
        yield guard
    except BaseException:
        guard.abandon()
        raise
    guard.release()


def keep_watch(words: IO[str], homes: Iterable[Path]) -> bool:
    """Read the pipe to its end; end everything entrusted unless released. Return whether it had to."""
    others: list[psutil.Process] = []
    for line in words:
        word = line.strip()
        if word == _RELEASE:
            return False
        with contextlib.suppress(psutil.NoSuchProcess, ValueError):
            others.append(psutil.Process(int(word)))
    _end_all(others)
    for home in homes:
        processes = Processes(home / "run")
        processes.stop(processes.names(), _GRACE_SECONDS)
        for pid, started in list(leftovers(mark(home), set())):
            end(pid, started)
    return True


def _end_all(processes: list[psutil.Process]) -> None:
    # A service's own children go with it; psutil compares start times, so a reused id is left alone.
    family = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            family += process.children(recursive=True)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(family, timeout=_OTHERS_SECONDS)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
