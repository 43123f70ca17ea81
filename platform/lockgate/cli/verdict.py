"""What `lockgate schemas check` has found and `register` has done, as text for people."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from lockgate.governance.findings import Comparison, Finding, Verdict, grouped
from lockgate.governance.register import Registration

__all__ = ["registration_lines", "verdict_lines"]

_MARKS = {
    "breaking": ("no", "red"),
    "removed": ("no", "red"),
    "unsafe": ("!!", "yellow"),
}
_UPGRADES = {
    "any": "in any order",
    "consumers-first": "readers first, then writers",
    "producers-first": "writers first; readers when what was written before has been read",
    "none": "in no order that is safe",
}
_MOST_IN_A_WITNESS = 400


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """Yield the lines: what is wrong, where, why, what shows it, whom it concerns, what to do."""
    for finding in verdict.domains:
        yield f"{_mark(finding.kind)}  {finding.message}"
        yield from _details(finding)
    quiet = [one for one in verdict.comparisons if one.status == "unchanged"]
    for comparison in verdict.comparisons:
        if comparison not in quiet:
            yield from _comparison(comparison)
    for source in dict.fromkeys(one.source for one in quiet):
        count = sum(one.source == source for one in quiet)
        yield f"{click.style('ok', fg='green')}  {_types(count)} as in {source}: unchanged"
    for place in verdict.unread:
        yield f"    {place} is no schema, and no version"
    if verdict.differences:
        yield "the registry is not as the contracts would have it (no change is refused for that):"
        for difference in verdict.differences:
            yield f"    {difference.subject}: {difference.message}"
    yield _summary(verdict)


def _comparison(comparison: Comparison) -> Iterator[str]:
    head = f"{comparison.event_type} against {comparison.source}"
    kinds = [finding.kind for finding in comparison.findings]
    if not kinds:
        yield f"{click.style('ok', fg='green')}  {head}: {_quietly(comparison)}"
    else:
        worst = next(kind for kind in ("breaking", "removed", "unsafe") if kind in kinds)
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("breaking", "removed", "unsafe") if kind in kinds)
        yield f"{_mark(worst)}  {head}, at {comparison.level}: {counts}"
    for finding, others in grouped(comparison.findings):
        yield f"      {finding.message}"
        yield from _details(finding)
        if others:
            yield f"        the same with  {', '.join(others)}"
    if kinds or comparison.status == "compatible":
        readers = ", ".join(map(str, comparison.readers)) or "nobody"
        writers = ", ".join(map(str, comparison.writers)) or "nobody"
        yield f"        read by  {readers}"
        yield f"        written by  {writers}"
        if comparison.readers and comparison.writers:
            yield f"        upgrade  {_UPGRADES[comparison.order]}"


def _details(finding: Finding) -> Iterator[str]:
    if finding.location is not None:
        yield f"        at  {finding.location}  {finding.rule}"
    else:
        yield f"        rule  {finding.rule}"
    if finding.earlier_at is not None:
        yield f"        before  {finding.earlier_at}"
    for cause in _innermost(finding):
        yield f"        because  {cause.message}  ({cause.location}, before {cause.earlier_at})"
    if finding.witness is not None:
        yield f"        witness  {finding.witness.statement}"
        if finding.witness.found:
            datum = json.dumps(finding.witness.datum, ensure_ascii=False)
            yield f"          {datum if len(datum) <= _MOST_IN_A_WITNESS else f'{datum[:_MOST_IN_A_WITNESS]}…'}"
    if finding.fix:
        yield f"        fix  {finding.fix}"


def _innermost(finding: Finding) -> Iterator[Finding]:
    for cause in finding.causes:
        if cause.causes:
            yield from _innermost(cause)
        else:
            yield cause


def _quietly(comparison: Comparison) -> str:
    match comparison.status:
        case "new":
            return "new there"
        case "removed":
            return "removed; nobody read it, and its subject stays in the registry"
        case "retired":
            return "retired; its subject is deleted by `apply --allow-delete`"
        case "renamed":
            return f"renamed to {comparison.renamed_to}; nobody read it, and its subject stays in the registry"
        case _:
            count = len(comparison.names)
            came = f", which was {comparison.renamed_from}" if comparison.renamed_from else ""
            return f"compatible with {comparison.names[0] if count == 1 else f'{count} versions'}{came}"


def _mark(kind: str) -> str:
    word, colour = _MARKS[kind]
    return click.style(word, fg=colour)


def _types(count: int) -> str:
    return "1 event type" if count == 1 else f"{count} event types"


def _summary(verdict: Verdict) -> str:
    there = {one.subject for one in verdict.comparisons if one.location is not None}
    kinds = [finding.kind for finding in verdict.findings]
    counts = [f"{kinds.count(kind)} {kind}" for kind in ("breaking", "removed", "unsafe") if kind in kinds]
    return f"{_types(len(there))}: " + (", ".join(counts) if counts else "compatible")


def registration_lines(done: Registration) -> Iterator[str]:
    """Yield what was done to each subject, and what was not."""
    for step in done.steps:
        match step.action:
            case "level":
                was = f", was {step.before}" if step.before else ""
                yield f"{step.subject.name}: compatibility set to {step.subject.compatibility}{was}"
            case "schema":
                yield f"{step.subject.name}: registered as schema {step.schema_id}"
            case _:
                yield f"{step.subject.name}: is registered as schema {step.schema_id}"
    for name in done.pending:
        yield f"{name}: not registered yet"
    for name in done.leftovers:
        yield f"{name}: no contract asks for it any more; it is left alone"
