"""Compatibility: whether readers and writers of one schema can go on when the schema changes, and at what risk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import attrs

from lockgate.avro.comparison import Comparison
from lockgate.avro.findings import Direction, Finding, Level
from lockgate.avro.hazards import Newer
from lockgate.avro.parser import parse
from lockgate.avro.types import Type
from lockgate.errors import UsageError

__all__ = ["Finding", "Level", "check"]


def check(history: Sequence[Any], candidate: Any, level: str, names: Sequence[str] | None = None) -> list[Finding]:
    """Return what a candidate breaks or endangers, given the earlier schemas and a compatibility level.

    `history` holds schema documents, oldest first. BACKWARD means that the candidate reads what was written, FORWARD
    that earlier readers read what the candidate writes, FULL both; without `_TRANSITIVE` only the latest one counts.
    The candidate is compatible where no finding is `breaking`; NONE forbids nothing and finds nothing.
    Messages call an earlier schema by its name in `names`, else `version 1` and so on.
    Raise UsageError for an unknown level, SchemaError for a document that is not valid.
    """
    if level not in get_args(Level):
        raise UsageError(
            f"no compatibility level is called {level!r}", next_step=f"one of {', '.join(get_args(Level))}"
        )
    new = parse(candidate)
    if level == "NONE":
        return []
    first = 0 if level.endswith("_TRANSITIVE") else max(len(history) - 1, 0)
    findings: list[Finding] = []
    for index in range(first, len(history)):
        document = history[index]
        if document == candidate:
            continue
        name = names[index] if names else f"version {index + 1}"
        latest = index == len(history) - 1
        findings += _compared(parse(document), new, level, latest, index + 1, name)
    return findings


def _compared(old: Type, new: Type, level: str, latest: bool, version: int, name: str) -> Iterator[Finding]:
    backward = not level.startswith("FORWARD")
    if backward:
        yield from _directed(old, new, "backward", "reader" if latest else None, version, name)
    if not level.startswith("BACKWARD"):
        yield from _directed(new, old, "forward", "writer" if latest and not backward else None, version, name)


def _directed(
    writer: Type, reader: Type, direction: Direction, newer: Newer, version: int, name: str
) -> Iterator[Finding]:
    for finding in Comparison(direction, newer).compare(writer, reader):
        if finding.kind == "unsafe":
            prefix = f"since {name}" if direction == "backward" else f"for readers of {name}"
        elif direction == "backward":
            prefix = f"what {name} has written cannot be read any more"
        else:
            prefix = f"readers of {name} cannot read what is written now"
        yield _placed(finding, version, f"{prefix}: {finding.message}")


def _placed(finding: Finding, version: int, message: str) -> Finding:
    causes = tuple(_placed(cause, version, cause.message) for cause in finding.causes)
    return attrs.evolve(finding, version=version, message=message, causes=causes)
