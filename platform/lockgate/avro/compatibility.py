"""Compatibility: whether readers and writers of one schema can go on when the schema changes, and at what risk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import attrs

from lockgate.avro.comparison import Comparison
from lockgate.avro.findings import Finding, Level
from lockgate.avro.parser import parse
from lockgate.avro.types import Type
from lockgate.errors import UsageError

__all__ = ["Finding", "Level", "check"]


def check(
    history: Sequence[Any],
    candidate: Any,
    level: str,
    names: Sequence[str] | None = None,
    *,
    witnesses: bool = True,
) -> list[Finding]:
    """Return what a candidate breaks or endangers, given the earlier schemas and a compatibility level.

    `history` holds schema documents, oldest first. BACKWARD means that the candidate reads what was written, FORWARD
    that earlier readers read what the candidate writes, FULL both; without `_TRANSITIVE` only the latest one counts.
    The candidate is compatible where no finding is `breaking`; NONE forbids nothing and finds nothing.
    Messages call an earlier schema by its name in `names`, else `version 1` and so on. With `witnesses` off no data
    are made and tried.
    Raise UsageError for an unknown level, SchemaError for a document that is not valid.
    """
    if level not in get_args(Level):
        raise UsageError(
            f"no compatibility level is called {level!r}", next_step=f"one of {', '.join(get_args(Level))}"
        )
    new = parse(candidate, strict=False)
    if level == "NONE":
        return []
    backward, forward = not level.startswith("FORWARD"), not level.startswith("BACKWARD")
    first = 0 if level.endswith("_TRANSITIVE") else max(len(history) - 1, 0)
    findings: list[Finding] = []
    for index in range(first, len(history)):
        document = history[index]
        if document == candidate:
            continue
        name = names[index] if names else f"version {index + 1}"
        old = parse(document, strict=False)
        latest = index == len(history) - 1
        if backward:
            found = Comparison("backward", "reader" if latest else None).compare(old, new)
            if found and witnesses:
                found = _witnessed(found, document, candidate, old, name, _CANDIDATE)
            findings += [_told(finding, index + 1, name) for finding in found]
        if forward:
            found = Comparison("forward", "writer" if latest and not backward else None).compare(new, old)
            if found and witnesses:
                found = _witnessed(found, candidate, document, new, _CANDIDATE, name)
            findings += [_told(finding, index + 1, name) for finding in found]
    return findings


_CANDIDATE = "the candidate"


def _witnessed(
    findings: list[Finding], writer: Any, reader: Any, type_: Type, written_with: str, read_with: str
) -> list[Finding]:
    # where all is well, which is nearly always, fastavro need not be imported
    from lockgate.avro.witness import Trial

    return Trial(writer, reader, type_, written_with, read_with).witnessed(findings)


def _told(finding: Finding, version: int, name: str) -> Finding:
    if finding.kind == "unsafe":
        prefix = f"since {name}" if finding.direction == "backward" else f"for readers of {name}"
    elif finding.direction == "backward":
        prefix = f"what {name} has written cannot be read any more"
    else:
        prefix = f"readers of {name} cannot read what is written now"
    causes = tuple(_placed(cause, version) for cause in finding.causes)
    return attrs.evolve(finding, version=version, message=f"{prefix}: {finding.message}", causes=causes)


def _placed(cause: Finding, version: int) -> Finding:
    return attrs.evolve(cause, version=version, causes=tuple(_placed(inner, version) for inner in cause.causes))
