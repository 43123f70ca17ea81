"""One event type's schema against its earlier versions: what is found, where it stands, and a datum that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from lockgate.avro import compatibility
from lockgate.avro.findings import Witness
from lockgate.contracts.derive import Subject
from lockgate.contracts.model import Compatibility, Location
from lockgate.governance.documents import Find, locate
from lockgate.governance.findings import Comparison, Finding, Status, grouped
from lockgate.governance.history import Version
from lockgate.governance.levels import order

__all__ = ["compare"]


def compare(comparison: Comparison, subject: Subject, versions: Sequence[Version], find: Find) -> Comparison:
    """Fill in what comes of comparing an event type with its earlier versions, oldest first, at a level.

    `find` finds the files that the event type's schema is bundled from. Where the same is found with several versions,
    the finding about the latest of them has a witness.
    """
    labels = [version.name for version in versions]
    history = [version.schema for version in versions]
    schema = subject.event.schema
    found = compatibility.check(history, schema, comparison.level, labels, witnesses=False)
    findings = [_placed(one, versions[one.version - 1], subject, find) for one in found]
    findings = _witnessed(findings, versions, schema, comparison.level)
    broken = {finding.direction for finding in findings if finding.kind == "breaking"}
    if history and not comparison.level.startswith("FULL"):  # the level did not ask in both directions
        latest = compatibility.check(history[-1:], schema, "FULL", witnesses=False)
        broken |= {one.direction for one in latest if one.kind == "breaking"}
    status: Status = "compatible" if versions else "new"
    if findings:
        status = "breaking" if any(finding.kind == "breaking" for finding in findings) else "unsafe"
    return attrs.evolve(
        comparison,
        names=tuple(labels),
        status=status,
        findings=tuple(findings),
        order=order(backward="backward" not in broken, forward="forward" not in broken),
    )


def _placed(found: compatibility.Finding, version: Version, subject: Subject, find: Find) -> Finding:
    """Add where the files say what a finding points at."""
    mine, theirs = found.reader_path, found.writer_path
    if found.direction == "forward":
        mine, theirs = theirs, mine
    return Finding(
        kind=found.kind,
        rule=found.rule,
        message=found.message,
        location=Location(*locate(find, subject.event.full_name, mine)),
        earlier=version.name,
        earlier_at=version.at(theirs),
        direction=found.direction,
        reader_path=found.reader_path,
        writer_path=found.writer_path,
        place=found.place,
        fix=found.fix,
        causes=tuple(_placed(cause, version, subject, find) for cause in found.causes),
        witness=found.witness,
    )


def _witnessed(
    findings: list[Finding], versions: Sequence[Version], schema: Any, level: Compatibility
) -> list[Finding]:
    """Add witnesses: data are made and tried for one version only where others would show the same."""
    shown = {id(finding) for finding, _ in grouped(findings)}
    wanted = {finding.earlier for finding in findings if id(finding) in shown}
    found: dict[tuple[object, ...], Witness | None] = {}
    for version in versions:
        if version.name in wanted:
            for one in compatibility.check([version.schema], schema, level, [version.name]):
                found[version.name, one.rule, one.direction, one.reader_path, one.writer_path] = one.witness
    return [
        attrs.evolve(one, witness=found.get((one.earlier, one.rule, one.direction, one.reader_path, one.writer_path)))
        if id(one) in shown
        else one
        for one in findings
    ]
