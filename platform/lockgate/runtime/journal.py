"""A file of outcomes, one JSON line a record: what the balance over several processes is counted from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from lockgate.records import Coordinates

__all__ = ["Journal", "Outcome", "OutcomeLog"]

Outcome = Literal["handled", "skipped", "retried", "dead-lettered"]


class OutcomeLog(Protocol):
    """What the loop asks of whoever keeps count of outcomes; `Journal` is one."""

    def add(
        self,
        source: Coordinates,
        outcome: Outcome,
        *,
        attempt: int,
        event_id: str,
        reason: str | None = None,
        results: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """Note an outcome; `results` are `(topic, event type, id)`."""

    def write(self) -> None:
        """Take what was noted as settled: its outputs are on the brokers."""

    def close(self) -> None:
        """Note no more."""


class Journal:
    """Append outcomes to `DIR/<workload>-<pid>.jsonl`, a batch in one write.

    A line is written after the outcome is on the brokers and before its offset is committed: a process that is killed
    in between leaves a second line for the same record behind, never none. Coordinates are those in the domain topic;
    `at` is milliseconds since the epoch.
    """

    def __init__(self, directory: Path, workload: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._workload = workload
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(directory / f"{workload}-{os.getpid()}.jsonl", flags, 0o644)
        self._lines: list[str] = []

    def add(
        self,
        source: Coordinates,
        outcome: Outcome,
        *,
        attempt: int,
        event_id: str,
        reason: str | None = None,
        results: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """Note an outcome; `results` are `(topic, event type, id)`."""
        line = {
            "workload": self._workload,
            "topic": source.topic,
            "partition": source.partition,
            "offset": source.offset,
            "outcome": outcome,
            "attempt": attempt,
            "reason": reason,
            "event_id": event_id,
            "results": [{"topic": topic, "event_type": kind, "id": ident} for topic, kind, ident in results],
            "at": time.time_ns() // 1_000_000,
        }
        self._lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")

    def write(self) -> None:
        """Write what was noted."""
        if self._lines:
            data = memoryview("".join(self._lines).encode("utf-8", "backslashreplace"))
            self._lines.clear()
            while data:
                data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Write what was noted and close the file."""
        self.write()
        os.close(self._file)
