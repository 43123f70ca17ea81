"""Say in one line why the stack does not start, and what to do."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from lockgate.errors import StackError
from lockgate.local.cache import Cache
from lockgate.local.compose import Program
from lockgate.local.processes import holder_of

__all__ = ["explain", "last_words", "refuse_taken_ports"]

_FULL_DISK = "No space left on device"
_HOME_MARK = "-Dlockgate.home="
_BROKEN_CLASSES = re.compile(
    r"NoClassDefFoundError|ClassNotFoundException|NoSuchMethodError|ZipException|zip (?:END|file)|"
    r"Could not find or load main class|Invalid or corrupt jarfile"
)
_ENDING = 5.0
_BLAME = re.compile(r"\b(?:FATAL|ERROR|Exception|Error)\b")


def refuse_taken_ports(programs: Iterable[Program], home: Path) -> None:
    """Raise StackError naming every port that somebody else holds, and who."""
    taken = []
    elsewhere = None
    for program in programs:
        for port in program.ports:
            if _is_free(port):
                continue
            found = holder_of(port) or _holder_that_stays(port)
            if found is None and _is_free(port):
                continue
            if found is None:
                taken.append(f"port {port} ({program.name}) is taken")
                continue
            pid, command = found
            other = next((item.removeprefix(_HOME_MARK) for item in command if item.startswith(_HOME_MARK)), None)
            if other is not None and other != str(home):
                elsewhere = other
                taken.append(f"port {port} ({program.name}) is taken by the stack in {other} (process {pid})")
            else:
                name = Path(command[0]).name if command else "a process"
                taken.append(f"port {port} ({program.name}) is taken by {name} (process {pid})")
    if taken:
        raise StackError(
            "; ".join(taken),
            next_step=f"stop that stack: LOCKGATE_HOME={elsewhere} lockgate down"
            if elsewhere
            else "stop that program, or change the port in docker-compose.yaml",
        )


def explain(program: Program, log: Path, cache: Cache) -> StackError:
    """Return the error that says why a program died, from its log and the cache."""
    text = _tail(log)
    if _FULL_DISK in text:
        return StackError(
            f"{program.name} died: the disk is full ({log.parent.parent})",
            next_step="free some room, then `lockgate up` again",
        )
    found = re.search(r"Address already in use", text)
    if found:
        ports = ", ".join(map(str, program.ports))
        return StackError(
            f"{program.name} died: one of its ports ({ports}) was taken while it started",
            next_step="stop the program that holds it, then `lockgate up` again",
        )
    if _BROKEN_CLASSES.search(text):
        damaged = cache.discard_damaged()
        if damaged:
            return StackError(
                f"{program.name} died: the cache was damaged ({', '.join(damaged)})",
                next_step="`lockgate up` again fetches what is missing",
            )
    words = last_words(log) or "it said nothing"
    return StackError(f"{program.name} died: {words}", next_step=f"its log is {log}")


def last_words(log: Path) -> str:
    """Return the last line of a log that blames something, else its last line; one line, bounded, maybe empty."""
    text = _tail(log)
    if _FULL_DISK in text:
        return _FULL_DISK  # what follows from it fills the log's last lines
    stripped = (line.strip() for line in text.splitlines())
    lines = [line for line in stripped if line and not line.startswith("at ")]  # `at …`: a stack trace
    blame = next((line for line in reversed(lines) if _BLAME.search(line)), None)
    return (blame or (lines[-1] if lines else ""))[:300]


def _tail(log: Path, size: int = 64 << 10) -> str:
    """Return the last bytes of a log as text; empty where there is none."""
    try:
        with log.open("rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - size))
            return handle.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def _holder_that_stays(port: int) -> tuple[int, list[str]] | None:
    """Wait for a port that nobody seems to hold: the threads of a process that was killed end one after the other."""
    deadline = time.monotonic() + _ENDING
    found = None
    while found is None and not _is_free(port) and time.monotonic() < deadline:
        time.sleep(0.05)
        found = holder_of(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
