"""Running the rules over a project: what is found, without what a domain has turned off with a reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import attrs

from lockgate.contracts.model import Contracts, Exemption
from lockgate.contracts.report import nearest
from lockgate.errors import Problem
from lockgate.governance.annotations import Annotation
from lockgate.governance.lint.rule import Hit, Rule
from lockgate.governance.lint.rules import BY_ID, OWN, RULES
from lockgate.governance.lint.sources import Project, SchemaSource, Source

__all__ = ["Linted", "by_file", "failing", "lint", "mistakes"]


@attrs.frozen
class Linted:
    """Hold what the rules say about a project."""

    files: tuple[str, ...]
    """Every file that was looked at."""
    findings: tuple[Annotation, ...]
    """By file, line and rule."""
    exempted: int
    """How many findings are turned off with a reason."""

    @property
    def summary(self) -> str:
        """Return one line for people."""
        errors = sum(finding.severity == "error" for finding in self.findings)
        warnings = len(self.findings) - errors
        found = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}" if self.findings else "nothing found"
        exempted = f", {self.exempted} exempted" if self.exempted else ""
        return f"{_count(len(self.files), 'file')}: {found}{exempted}"

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return {
            "files": list(self.files),
            "findings": [finding.as_json() for finding in self.findings],
            "exempted": self.exempted,
        }


def lint(contracts: Contracts) -> Linted:
    """Apply every rule to every schema and every domain of a project."""
    project = Project(contracts)
    sources: list[Source] = [*project.domains, *project.schemas.values()]
    exemptions = {(domain.name, off.rule, off.type): off for domain in contracts.domains for off in domain.exemptions}
    types: dict[str, set[str]] = {domain.name: set() for domain in contracts.domains}
    found: list[Annotation] = []
    needed: set[tuple[str, str, str | None]] = set()
    exempted = 0
    for source in sources:
        domain = source.domain or ""
        if source.type is not None:
            types.setdefault(domain, set()).add(source.type)
        for rule in RULES:
            for hit in _hits(rule, source):
                # that of the type goes first: the domain's may then turn out to be unneeded
                keys = ((domain, rule.id, source.type), (domain, rule.id, None))
                key = next((key for key in keys if key in exemptions), None)
                if key is not None:
                    needed.add(key)
                    exempted += 1
                else:
                    found.append(_annotation(rule, source, hit))
    found += (_unneeded(off, types[key[0]]) for key, off in exemptions.items() if key not in needed)
    found.sort(key=lambda finding: (finding.file, finding.line, finding.column or 0, finding.rule))
    return Linted(tuple(sorted(source.path for source in sources)), tuple(found), exempted)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _hits(rule: Rule, source: Source) -> Iterator[Hit]:
    if isinstance(source, SchemaSource):
        return rule.schema(source) if rule.schema else iter(())
    return rule.domain(source) if rule.domain else iter(())


def _annotation(rule: Rule, source: Source, hit: Hit) -> Annotation:
    line, column = source.place(hit.pointer)
    return Annotation(rule.id, rule.severity, source.path, line, hit.message, hit.fix or rule.fix, hit.pointer, column)


def _unneeded(off: Exemption, types: Collection[str]) -> Annotation:
    unknown, unneeded = OWN
    pointer, place = f"/lint/exempt/{off.rule}", off.location
    if off.type is not None:
        pointer += f"/{off.type}"
    if off.rule in BY_ID and BY_ID[off.rule] not in OWN:
        if off.type is not None and off.type not in types:
            meant = nearest(off.type, types)
            message = f"lint.exempt.{off.rule}: the domain has no type {off.type} with a file of its own"
            fix = f"did you mean {meant}?" if meant else f"its types are {', '.join(sorted(types))}"
            return Annotation(unknown.id, unknown.severity, place.file, place.line, message, fix, pointer)
        where = "the domain" if off.type is None else off.type
        message = f"{off.rule} is turned off, and nothing in {where} needs that any more"
        return Annotation(unneeded.id, unneeded.severity, place.file, place.line, message, unneeded.fix, pointer)
    meant = nearest(off.rule, [rule.id for rule in RULES])
    message = f"lint.exempt: there is no rule {off.rule}, or none that can be turned off"
    fix = f"did you mean {meant}?" if meant else unknown.fix
    return Annotation(unknown.id, unknown.severity, place.file, place.line, message, fix, pointer)


def mistakes(problems: Iterable[Problem]) -> list[Annotation]:
    """Return the mistakes because of which contracts do not load, as findings of the rule `contract`."""
    return [
        Annotation("contract", "error", problem.file, problem.line, problem.message, problem.next_step or "")
        for problem in problems
    ]


def by_file(findings: Iterable[Annotation], prefix: str = "", files: Iterable[str] = ()) -> dict[str, list[Annotation]]:
    """Return the findings of each file, also of those without; `prefix` leads to the project from the repository."""
    found: dict[str, list[Annotation]] = {prefix + file: [] for file in files}
    for finding in findings:
        found.setdefault(prefix + finding.file, []).append(attrs.evolve(finding, file=prefix + finding.file))
    return found


def failing(findings: Sequence[Annotation], fail_on: str) -> bool:
    """Say whether findings make the gate say no: any of them at `warning`, errors alone at `error`."""
    return any(fail_on == "warning" or finding.severity == "error" for finding in findings)
