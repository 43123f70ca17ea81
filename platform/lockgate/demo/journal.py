"""What services wrote down about the records they finished: one JSON line an outcome, a file a process.

A process writes the line once the outcome is acknowledged and before the offset is committed. So after a crash a line
may be missing for a record that is handled again, but never for one that nobody reads again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import attrs

from lockgate.errors import LockgateError
from lockgate.records import Coordinates

__all__ = ["TERMINAL", "Entry", "Journal", "Published", "read_journal"]

TERMINAL = ("handled", "skipped", "dead-lettered")
"""Outcomes after which a workload is done with a record; `retried` is none."""


@attrs.frozen
class Published:
    """Name one result of a handler."""

    topic: str
    event_type: str
    event_id: str


@attrs.frozen
class Entry:
    """Hold one outcome."""

    workload: str
    source: Coordinates
    """The record's place in the domain topic, also for records that came back through a retry topic."""
    outcome: str
    reason: str
    results: tuple[Published, ...] = ()


@attrs.frozen
class Journal:
    """Hold the outcomes of all processes of a run."""

    entries: tuple[Entry, ...]
    processes: int
    torn: int = 0
    """Last lines that a killed process did not finish; their records were read again."""


def read_journal(folder: Path) -> Journal:
    """Read what all processes wrote into a folder; raise LockgateError where a finished line makes no sense."""
    entries: list[Entry] = []
    torn = 0
    files = sorted(folder.glob("*.jsonl"))
    for file in files:
        lines = file.read_bytes().split(b"\n")
        # the last piece is empty after a finished line; anything else is the line that a kill cut off
        torn += bool(lines[-1])
        entries += _entries(file, lines[:-1])
    return Journal(tuple(entries), len(files), torn)


def _entries(file: Path, lines: list[bytes]) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
            yield Entry(
                found["workload"],
                Coordinates(found["topic"], found["partition"], found["offset"]),
                found["outcome"],
                found.get("reason") or "",
                tuple(
                    Published(result["topic"], result["event_type"], result["id"])
                    for result in found.get("results") or ()
                ),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise LockgateError(f"{file}:{number}: no journal line: {error!r}") from error
