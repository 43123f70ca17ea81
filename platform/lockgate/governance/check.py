"""Whether every event type's schema goes with its earlier ones: along git's history, and in the registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import attrs

from lockgate.connection import Settings
from lockgate.contracts import names
from lockgate.contracts.derive import Subject, derive
from lockgate.contracts.model import Compatibility, Contracts, Domain
from lockgate.errors import SchemaError
from lockgate.governance.base import Base
from lockgate.governance.comparison import compare
from lockgate.governance.differences import differences
from lockgate.governance.documents import Find, working_tree
from lockgate.governance.findings import Comparison, Difference, Finding, Verdict, concerned
from lockgate.governance.history import Version
from lockgate.governance.levels import is_transitive, is_weaker, stricter
from lockgate.governance.parallel import spread
from lockgate.governance.removals import gone, renames
from lockgate.governance.renames import Rename, aliases
from lockgate.registry import Registry

__all__ = ["against_git", "against_registry", "check"]

_REGISTRY_THREADS = 8
_LEVELS: tuple[Compatibility, ...] = get_args(Compatibility)


def check(contracts: Contracts, *, refs: Sequence[str | None] = (), registry: Settings | None = None) -> Verdict:
    """Compare with each of some commits (None: where this branch left main), with the registry, or with both.

    With the registry, the verdict also says which subjects no contract asks for; with both, where the history of the
    first commit and the registry differ. Raise what `against_git` and `against_registry` raise.
    """
    bases = [Base(contracts, ref) for ref in refs]
    verdicts = [_against_base(contracts, base) for base in bases]
    differ: list[Difference] = []
    if registry is not None:
        with Registry(registry) as client:
            verdicts.append(against_registry(contracts, client))
            differ = list(differences(contracts, bases[0] if bases else None, client))
    return Verdict(
        tuple(comparison for verdict in verdicts for comparison in verdict.comparisons),
        tuple(dict.fromkeys(finding for verdict in verdicts for finding in verdict.domains)),
        tuple(differ),
        tuple(dict.fromkeys(place for verdict in verdicts for place in verdict.unread)),
    )


def against_git(contracts: Contracts, ref: str | None = None) -> Verdict:
    """Compare every event type with its versions along the first-parent history of a commit.

    Without a commit it is the one where this branch left main; on main, its first parent. What is byte for byte as it
    was there has been judged before, and is not judged again. A level that was lowered since counts as it was. Raise
    UsageError where git does not have it, and for a shallow clone.
    """
    return _against_base(contracts, Base(contracts, ref))


def _against_base(contracts: Contracts, base: Base) -> Verdict:
    who = _Who(contracts, base.find)
    renamed = renames(contracts, base)
    subjects = derive(contracts).subjects
    levels = {subject.event.full_name: _level(contracts, base, subject) for subject in subjects}
    unchanged = {
        subject.event.full_name
        for subject in subjects
        if _then(contracts, base, subject) == subject.compatibility and base.is_unchanged(subject.event.full_name)
    }

    def judged(part: Sequence[Subject]) -> tuple[list[Comparison], list[str]]:
        base.history.prefetch(subject.event.full_name for subject in part)
        found = []
        for subject in part:
            level = levels[subject.event.full_name]
            rename = renamed.get(subject.event.full_name)
            comparison = _against_history(base, who, subject, level, rename)
            found.append(attrs.evolve(comparison, renamed_from=rename.old if rename else None))
        return found, list(base.history.unread)

    parts = spread(judged, [subject for subject in subjects if subject.event.full_name not in unchanged])
    changed = {comparison.event_type: comparison for comparisons, _ in parts for comparison in comparisons}
    comparisons = [
        changed.get(subject.event.full_name) or who.unchanged(subject, base.source, base.source) for subject in subjects
    ]
    comparisons += gone(contracts, base, renamed)
    unread = dict.fromkeys(place for _, places in parts for place in places)
    domains = (*_lowered(contracts, base), *_handed_over(contracts, base))
    return Verdict(tuple(comparisons), domains, unread=tuple(unread))


def _against_history(
    base: Base, who: _Who, subject: Subject, level: Compatibility, rename: Rename | None
) -> Comparison:
    name, latest = subject.event.full_name, not is_transitive(level)
    versions = base.history.versions(name, rename, latest=latest, validate=False)
    try:
        return who.compared(subject, base.source, versions, level)
    except SchemaError:  # one of the versions is no schema: each is looked at, which takes longer
        return who.compared(subject, base.source, base.history.versions(name, rename, latest=latest), level)


def against_registry(contracts: Contracts, registry: Registry, *, trust_level: bool = False) -> Verdict:
    """Compare every event type with the versions that the registry has of it.

    What is registered already is not judged again. Levels that are not transitive look at the latest version only. A
    subject's level counts where it is stricter than the domain's. A new event type whose alias names one that no
    contract has any more carries its versions on. With `trust_level` the question is just what the registry would take:
    levels are the contracts', and each subject stands for itself. Raise RegistryError where the registry does not say.
    """
    who = _Who(contracts, working_tree(contracts.root))

    def judged(subject: Subject) -> tuple[Comparison, Finding | None]:
        level, lowered = subject.compatibility, None
        if not trust_level:
            there = _known(registry.compatibility(subject.name))
            level = stricter(level, there)
            lowered = _lower(contracts.domain_of(subject.event.full_name), there, "registry")
        return compared(subject, level), lowered

    def compared(subject: Subject, level: Compatibility) -> Comparison:
        found = registry.find(subject.name, subject.event.schema)
        if found is not None:
            return who.unchanged(subject, "registry", f"version {found.version}")
        there, name = subject.name, subject.event.full_name
        numbers = registry.versions(there)
        for alias in () if numbers or trust_level else sorted(aliases(name, subject.event.schema)):
            there, name = names.subject(contracts.domain_of(subject.event.full_name).topic.name, alias), alias
            if alias not in contracts.events and (numbers := registry.versions(there)):
                break
        earlier = [registry.version(there, number) for number in numbers[0 if is_transitive(level) else -1 :]]
        versions = [Version(f"version {one.version}", name, one.schema) for one in earlier if one is not None]
        comparison = who.compared(subject, "registry", versions, level)
        return attrs.evolve(comparison, renamed_from=name) if versions and there != subject.name else comparison

    with ThreadPoolExecutor(_REGISTRY_THREADS) as pool:
        found = list(pool.map(judged, derive(contracts).subjects))
    lowered = dict.fromkeys(finding for _, finding in found if finding is not None)
    return Verdict(tuple(comparison for comparison, _ in found), tuple(lowered))


class _Who:
    """Make comparisons that know where things stand, and whom they concern."""

    def __init__(self, contracts: Contracts, find: Find) -> None:
        self._find = find
        self._readers, self._writers = concerned(contracts)

    def comparison(self, subject: Subject, source: str, level: Compatibility | None = None) -> Comparison:
        name = subject.event.full_name
        return Comparison(
            name,
            subject.name,
            level or subject.compatibility,
            source,
            location=subject.event.location,
            readers=tuple(self._readers.get(name, ())),
            writers=tuple(self._writers.get(name, ())),
        )

    def unchanged(self, subject: Subject, source: str, name: str) -> Comparison:
        return attrs.evolve(self.comparison(subject, source), status="unchanged", names=(name,))

    def compared(self, subject: Subject, source: str, versions: Sequence[Version], level: Compatibility) -> Comparison:
        return compare(self.comparison(subject, source, level), subject, versions, self._find)


def _known(level: str | None) -> Compatibility:
    """Return the registry's level; where a subject has none, nothing is promised there."""
    return next((known for known in _LEVELS if known == level), "NONE")


def _then(contracts: Contracts, base: Base, subject: Subject) -> Compatibility | None:
    promise = base.promises.get(contracts.domain_of(subject.event.full_name).name)
    return None if promise is None else promise.compatibility


def _level(contracts: Contracts, base: Base, subject: Subject) -> Compatibility:
    then = _then(contracts, base, subject)
    return subject.compatibility if then is None else stricter(then, subject.compatibility)


def _lowered(contracts: Contracts, base: Base) -> Iterator[Finding]:
    for domain in contracts.domains:
        promise = base.promises.get(domain.name)
        if promise is not None and promise.compatibility is not None:
            place = base.at(domain.location.file)
            finding = _lower(domain, promise.compatibility, base.source, place)
            if finding is not None:
                yield finding


def _handed_over(contracts: Contracts, base: Base) -> Iterator[Finding]:
    for domain in contracts.domains:
        promise = base.promises.get(domain.name)
        if promise is None or promise.team in (None, domain.owner.team):
            continue
        yield Finding(
            "unsafe",
            "OWNER_CHANGED",
            f"{domain.name} is {promise.team}'s in {base.source}, and {domain.owner.team}'s now: another team answers "
            "for its topic, and is asked before its files change",
            location=domain.owner_at,
            earlier=base.source,
            earlier_at=base.at(domain.location.file),
            fix="have both teams agree to it; `lockgate catalog --codeowners` writes who is asked from then on",
        )


def _lower(domain: Domain, then: Compatibility, source: str, place: str | None = None) -> Finding | None:
    if not is_weaker(domain.compatibility, then):
        return None
    return Finding(
        "unsafe",
        "COMPATIBILITY_LOWERED",
        f"{domain.name} is {then} in {source}, and promises only {domain.compatibility} now; this change is still "
        f"compared at {stricter(then, domain.compatibility)}",
        location=domain.level_at,
        earlier=source,
        earlier_at=place or source,
        fix="lower a level in a change of its own, which its readers and writers agree to",
    )
