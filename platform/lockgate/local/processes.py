"""Processes that outlive the command that started them, and are never mistaken for others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import psutil

from lockgate.connection import write_private
from lockgate.errors import StackError

__all__ = ["Processes", "Running", "end", "holder_of", "is_alive", "leftovers"]

_CLOCK = 2.0
"""Seconds by which two readings of one process's start may differ."""


@attrs.frozen
class Running:
    """Name one process for good: a process id alone may belong to another process tomorrow."""

    name: str
    pid: int
    started: float
    """Seconds since the epoch."""
    digest: str
    """What it was started with; a different one means that the description has changed since."""


class Processes:
    """Start, find and stop the processes of one stack; each has a record `<name>.json` in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, digest: str
    ) -> Running:
        """Start a process in a session of its own, its output appended to `log`, and remember it."""
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            # No fork in a process that may hold librdkafka's threads, and nothing left to reap for subprocess.
            pid = os.posix_spawn(
                command[0],
                list(command),
                dict(environment),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
            )
        except OSError as error:
            raise StackError(f"{name} cannot be started: {command[0]}: {error.strerror}") from error
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            started = time.time()
        running = Running(name=name, pid=pid, started=started, digest=digest)
        write_private(self._file(name), json.dumps(attrs.asdict(running)))
        return running

    def find(self, name: str) -> Running | None:
        """Return a process that was started and still lives."""
        try:
            running = Running(**json.loads(self._file(name).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return running if is_alive(running.pid, running.started) else None

    def was_started(self, name: str) -> bool:
        """Return whether there is a record of it: it was started, and nobody has stopped it since."""
        return self._file(name).exists()

    def names(self) -> tuple[str, ...]:
        """Return the names of all that have a record, sorted."""
        return tuple(sorted(file.stem for file in self._folder.glob("*.json")))

    def kill(self, name: str) -> None:
        """End a process at once, as a crash would: its record stays."""
        running = self.find(name)
        if running is not None:
            _signal(running.pid, signal.SIGKILL)
            _wait([running], 10)

    def stop(self, names: Sequence[str], grace: float) -> tuple[str, ...]:
        """Ask processes to end, together; end what has not within `grace` seconds. Return who had to be ended."""
        running = [found for found in map(self.find, names) if found is not None]
        for process in running:
            _signal(process.pid, signal.SIGTERM)
        stubborn = _wait(running, grace)
        for process in stubborn:
            _signal(process.pid, signal.SIGKILL)
        _wait(stubborn, 10)
        for name in names:
            self._file(name).unlink(missing_ok=True)
        return tuple(process.name for process in stubborn)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def is_alive(pid: int, started: float) -> bool:
    """Return whether that very process lives; one that has ended and waits for its parent does not."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            with contextlib.suppress(ChildProcessError):  # somebody else's child: somebody else reaps it
                os.waitpid(pid, os.WNOHANG)
            return False
        return abs(process.create_time() - started) < _CLOCK
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return False  # another user's, so not ours


def leftovers(mark: str, known: set[int]) -> Iterator[tuple[int, float]]:
    """Yield (pid, start time) of processes whose command line holds `mark`, but that no record knows."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in known and mark in process.cmdline():
                yield process.pid, process.create_time()


def end(pid: int, started: float) -> None:
    """End a process at once, if it is still that one."""
    if is_alive(pid, started):
        _signal(pid, signal.SIGKILL)
        _wait([Running(name="", pid=pid, started=started, digest="")], 10)


def holder_of(port: int) -> tuple[int, list[str]] | None:
    """Return (pid, command line) of the process that listens on a port, where this user may know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            # an address is (host, port), or () where there is none
            if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,) and connection.pid:
                return connection.pid, psutil.Process(connection.pid).cmdline()
    return None


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait(running: Sequence[Running], seconds: float) -> list[Running]:
    deadline = time.monotonic() + seconds
    left = list(running)
    while left := [process for process in left if is_alive(process.pid, process.started)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return left
