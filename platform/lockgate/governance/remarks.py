"""A check's verdict as annotations of lines, with those whom it concerns."""

from __future__ import annotations

from lockgate.governance.annotations import Annotation
from lockgate.governance.findings import Comparison, Finding, Verdict, grouped

__all__ = ["remarks"]

_NOWHERE = "schemas"
"""What is annotated where no file of a finding is left."""


def remarks(verdict: Verdict, *, prefix: str = "", fail_on_unsafe: bool = False) -> dict[str, list[Annotation]]:
    """Return what was found in each thing that was looked at: event types by source, and domains.

    `prefix` leads from the repository's root to the project.
    """
    found: dict[str, list[Annotation]] = {}
    for finding in verdict.domains:
        file = finding.location.file if finding.location else _NOWHERE
        found.setdefault(file, []).append(_remark(finding, None, prefix, fail_on_unsafe))
    for comparison in verdict.comparisons:
        case = found.setdefault(f"{comparison.event_type} against {comparison.source}", [])
        for finding, others in grouped(comparison.findings):
            case.append(_remark(finding, comparison, prefix, fail_on_unsafe, others))
    return found


def _remark(
    finding: Finding, comparison: Comparison | None, prefix: str, fail_on_unsafe: bool, others: tuple[str, ...] = ()
) -> Annotation:
    lines = [finding.message]
    if finding.earlier_at:
        lines.append(f"before: {finding.earlier_at}")
    if others:
        lines.append(f"the same with: {', '.join(others)}")
    if comparison is not None and comparison.readers:
        lines.append(f"read by: {', '.join(map(str, comparison.readers))}")
    if comparison is not None and comparison.writers:
        lines.append(f"written by: {', '.join(map(str, comparison.writers))}")
    return Annotation(
        rule=finding.rule,
        severity="error" if finding.kind != "unsafe" or fail_on_unsafe else "warning",
        file=prefix + (finding.location.file if finding.location else _NOWHERE),
        line=finding.location.line if finding.location else 1,
        message="\n".join(lines) if comparison is None else f"{comparison.event_type}: " + "\n".join(lines),
        fix=finding.fix or "",
        pointer=finding.writer_path if finding.direction == "forward" else finding.reader_path,
    )
