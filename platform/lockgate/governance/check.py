"""Whether every event type's schema goes with its earlier ones: those of the registry, and those of a git commit."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs

from lockgate.avro import compatibility
from lockgate.avro.compatibility import Finding
from lockgate.avro.schema import bundle
from lockgate.contracts.derive import Subject, derive
from lockgate.contracts.model import Contracts
from lockgate.errors import SchemaError
from lockgate.governance import git
from lockgate.registry import Registry

__all__ = ["Comparison", "against_git", "against_registry", "compare"]

_REGISTRY_THREADS = 8


@attrs.frozen
class Comparison:
    """Say how one event type's schema goes with its earlier schemas from one source."""

    subject: Subject
    source: str
    """`registry`, or `git:` and the commit as it was named."""
    names: tuple[str, ...]
    """What the earlier schemas that were looked at are called, oldest first; empty for a new event type."""
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return {
            "event_type": self.subject.event.full_name,
            "subject": self.subject.name,
            "level": self.subject.compatibility,
            "against": self.source,
            "earlier": list(self.names),
            "declared": str(self.subject.event.location),
            "findings": [
                {
                    "rule": finding.rule,
                    "direction": finding.direction,
                    "earlier": self.names[finding.version - 1],
                    "reader_path": finding.reader_path,
                    "writer_path": finding.writer_path,
                    "message": finding.message,
                }
                for finding in self.findings
            ],
        }


def against_registry(contracts: Contracts, registry: Registry) -> list[Comparison]:
    """Compare every event type with the versions that the registry has of it.

    Levels that are not transitive look at the latest version only. Raise RegistryError where the registry does not say.
    """

    def history(subject: Subject) -> tuple[list[str], list[Any]]:
        numbers = registry.versions(subject.name)
        if not subject.compatibility.endswith("_TRANSITIVE"):
            numbers = numbers[-1:]
        versions = [registry.version(subject.name, number) for number in numbers]
        there = [version for version in versions if version is not None]
        return [f"version {version.version}" for version in there], [version.schema for version in there]

    with ThreadPoolExecutor(_REGISTRY_THREADS) as pool:
        return list(
            pool.map(lambda subject: compare(subject, "registry", *history(subject)), derive(contracts).subjects)
        )


def against_git(contracts: Contracts, ref: str | None) -> list[Comparison]:
    """Compare every event type with its schema at a git commit; without one, where this branch left main.

    Raise UsageError where git does not have it, SchemaError where the contracts at that commit are not valid.
    """
    commit = ref or git.merge_base(contracts.root)
    documents = git.documents_at(contracts.root, commit)
    source = f"git:{ref or commit[:12]}"
    comparisons = []
    for subject in derive(contracts).subjects:
        name = subject.event.full_name
        try:
            earlier = [bundle(name, documents)] if name in documents else []
        except SchemaError as error:
            raise SchemaError(f"{name} at {source}: {error.message}", path=error.path) from error
        comparisons.append(compare(subject, source, [source] * len(earlier), earlier))
    return comparisons


def compare(subject: Subject, source: str, names: Sequence[str], history: Sequence[Any]) -> Comparison:
    """Compare one event type with earlier schemas, oldest first: what breaks at the level of its domain."""
    findings = compatibility.check(history, subject.event.schema, subject.compatibility, names)
    breaking = tuple(finding for finding in findings if finding.kind == "breaking")
    return Comparison(subject, source, tuple(names), breaking)
