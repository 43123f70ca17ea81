"""What a check of schemas has to say: findings with the places and the people that they concern."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import attrs

from lockgate.avro.findings import Witness
from lockgate.contracts.model import Compatibility, Contracts, Location, Owner
from lockgate.governance.levels import Order

__all__ = ["Comparison", "Concerned", "Difference", "Finding", "Kind", "Status", "Verdict", "concerned", "grouped"]

Kind = Literal["breaking", "unsafe", "removed"]
"""What the level forbids · what the registry takes, and is dangerous all the same · a subject that is read is gone."""

Status = Literal["new", "unchanged", "compatible", "unsafe", "breaking", "removed", "renamed", "retired"]


@attrs.frozen
class Concerned:
    """Name a workload that reads or writes an event type, and who answers for it."""

    workload: str
    team: str
    contact: str
    declared: str

    def __str__(self) -> str:
        return f"{self.workload} ({self.team}, {self.contact})"

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return attrs.asdict(self)


@attrs.frozen
class Finding:
    """Say one thing about a change."""

    kind: Kind
    rule: str
    message: str
    """One sentence, the direction and the earlier version included."""
    location: Location | None = None
    """Where the files say it now; None where no file of it is left."""
    earlier: str | None = None
    """The name of the earlier version."""
    earlier_at: str | None = None
    """Where the earlier version says it: `git:3f2a…:schemas/…/X.avsc:12`, or `registry version 3`."""
    direction: Literal["backward", "forward"] | None = None
    """None for what concerns no single direction."""
    reader_path: str = ""
    writer_path: str = ""
    fix: str | None = None
    place: str = ""
    """The way to the part of the datum that it concerns, in field names: `lines[].amount`."""
    causes: tuple[Finding, ...] = ()
    """What is wrong inside: in the branches of a union, in a type that is used by its name."""
    witness: Witness | None = None
    """A datum that shows it."""

    @property
    def reader_at(self) -> str | None:
        """Return where the reader's schema says it."""
        return self.earlier_at if self.direction == "forward" else self._here

    @property
    def writer_at(self) -> str | None:
        """Return where the writer's schema says it."""
        return self._here if self.direction == "forward" else self.earlier_at

    @property
    def _here(self) -> str | None:
        return None if self.location is None else str(self.location)

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return {
            "kind": self.kind,
            "rule": self.rule,
            "direction": self.direction,
            "earlier": self.earlier,
            "reader_path": self.reader_path,
            "writer_path": self.writer_path,
            "reader_at": self.reader_at,
            "writer_at": self.writer_at,
            "file": None if self.location is None else self.location.file,
            "line": None if self.location is None else self.location.line,
            "message": self.message,
            "fix": self.fix,
            "place": self.place,
            "causes": [cause.as_json() for cause in self.causes],
            "witness": None if self.witness is None else self.witness.as_json(),
        }


def grouped(findings: Iterable[Finding]) -> list[tuple[Finding, tuple[str, ...]]]:
    """Return findings that say the same about several versions as one: that of the latest, with the others' names."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        mine = finding.writer_path if finding.direction == "forward" else finding.reader_path
        groups.setdefault((finding.kind, finding.rule, finding.direction, mine, finding.place), []).append(finding)
    return [(group[-1], tuple(one.earlier for one in group[:-1] if one.earlier)) for group in groups.values()]


@attrs.frozen
class Comparison:
    """Say how one event type's schema goes with its earlier schemas from one source."""

    event_type: str
    subject: str
    level: Compatibility
    """At which it was compared: the stricter one, where the domain's has been lowered."""
    source: str
    """`registry`, or `git:` and the commit as it was named."""
    names: tuple[str, ...] = ()
    """What the earlier schemas that were looked at are called, oldest first; empty for a new event type."""
    location: Location | None = None
    """The `.avsc` file; None for an event type that is gone."""
    status: Status = "new"
    findings: tuple[Finding, ...] = ()
    renamed_from: str | None = None
    renamed_to: str | None = None
    readers: tuple[Concerned, ...] = ()
    writers: tuple[Concerned, ...] = ()
    order: Order = "any"
    """Who is upgraded first, as far as the schemas go."""

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return {
            "event_type": self.event_type,
            "subject": self.subject,
            "level": self.level,
            "against": self.source,
            "earlier": list(self.names),
            "declared": None if self.location is None else str(self.location),
            "status": self.status,
            "renamed_from": self.renamed_from,
            "renamed_to": self.renamed_to,
            "readers": [reader.as_json() for reader in self.readers],
            "writers": [writer.as_json() for writer in self.writers],
            "order": self.order,
            "findings": [finding.as_json() for finding in self.findings],
        }


@attrs.frozen
class Difference:
    """Say in what git and the registry differ; it concerns nobody's change."""

    subject: str
    kind: Literal["not-registered", "not-in-git", "level", "not-in-contracts"]
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return attrs.asdict(self)


@attrs.frozen
class Verdict:
    """Hold everything that a check of all schemas has found."""

    comparisons: tuple[Comparison, ...] = ()
    domains: tuple[Finding, ...] = ()
    """What concerns a whole domain: its level, its topic."""
    differences: tuple[Difference, ...] = ()
    unread: tuple[str, ...] = ()
    """Earlier contents that are no schema, and so no versions."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return all findings."""
        return self.domains + tuple(finding for comparison in self.comparisons for finding in comparison.findings)

    @property
    def compatible(self) -> bool:
        """Return whether nobody breaks; what is merely unsafe breaks nobody."""
        return all(finding.kind == "unsafe" for finding in self.findings)

    def says_no(self, *, fail_on_unsafe: bool = False) -> bool:
        """Return whether the gate stays shut."""
        return bool(self.findings) if fail_on_unsafe else not self.compatible

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        kinds = [finding.kind for finding in self.findings]
        return {
            "compatible": self.compatible,
            "counts": {kind: kinds.count(kind) for kind in ("breaking", "removed", "unsafe")},
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "domains": [finding.as_json() for finding in self.domains],
            "differences": [difference.as_json() for difference in self.differences],
            "unread": list(self.unread),
        }


def concerned(contracts: Contracts) -> tuple[dict[str, list[Concerned]], dict[str, list[Concerned]]]:
    """Return who reads and who writes each event type, by full name."""
    readers: dict[str, list[Concerned]] = {}
    writers: dict[str, list[Concerned]] = {}
    for service in contracts.services:
        for workload in service.workloads:
            who = _concerned(workload.name, service.owner, str(workload.location))
            for name in workload.consumes:
                readers.setdefault(name, []).append(who)
            for name in workload.publishes:
                writers.setdefault(name, []).append(who)
    return readers, writers


def _concerned(workload: str, owner: Owner, declared: str) -> Concerned:
    return Concerned(workload, owner.team, owner.contact, declared)
