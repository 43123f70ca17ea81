"""Where git and the registry tell different stories about the same subjects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lockgate.avro.schema import canonical
from lockgate.contracts.derive import Subject, derive
from lockgate.contracts.model import Contracts
from lockgate.governance.base import Base
from lockgate.governance.findings import Difference
from lockgate.governance.leftovers import leftovers
from lockgate.registry import Registry

__all__ = ["differences"]

_THREADS = 8


def differences(contracts: Contracts, base: Base | None, registry: Registry) -> Iterator[Difference]:
    """Yield in what the registry is not as the commit that a change is compared with would have it.

    That is: what was not registered, what was registered and is in no commit, levels, and subjects that no contract
    asks for; the last only where there is no commit. The candidate itself is in neither place, and no difference.
    """
    if base is not None:
        yield from _stories(contracts, base, registry)
    for name in leftovers(contracts, registry.subjects()):
        yield Difference(name, "not-in-contracts", "the registry has it, and no contract asks for it")


def _stories(contracts: Contracts, base: Base, registry: Registry) -> Iterator[Difference]:
    subjects = [subject for subject in derive(contracts).subjects if base.has(subject.event.full_name)]
    base.history.prefetch(subject.event.full_name for subject in subjects)
    with ThreadPoolExecutor(_THREADS) as pool:
        stories = pool.map(lambda subject: _registered(subject, registry), subjects)
        for subject, (versions, level) in zip(subjects, stories, strict=True):
            yield from _versions(subject, base, versions)
            promise = base.promises.get(contracts.domain_of(subject.event.full_name).name)
            then = None if promise is None else promise.compatibility
            if versions and level != then:
                message = f"the registry judges it at {level or 'its own default level'}, {base.source} says {then}"
                yield Difference(subject.name, "level", message)


def _registered(subject: Subject, registry: Registry) -> tuple[dict[int, str], str | None]:
    numbers = registry.versions(subject.name)
    found = [registry.version(subject.name, number) for number in numbers]
    versions = {version.version: _form(version.schema) for version in found if version is not None}
    return versions, registry.compatibility(subject.name)


def _versions(subject: Subject, base: Base, registered: dict[int, str]) -> Iterator[Difference]:
    history = base.history.versions(subject.event.full_name)
    known = {_form(version.schema) for version in history}
    if history and _form(history[-1].schema) not in registered.values():
        what = "it is not registered" if not registered else f"what {history[-1].name} holds is not registered"
        yield Difference(subject.name, "not-registered", what)
    known.add(_form(subject.event.schema))
    for number, form in registered.items():
        if form not in known:
            yield Difference(subject.name, "not-in-git", f"version {number} of the registry is in no commit")


def _form(schema: Any) -> str:
    """Return a form in which two schemas are the same where the registry takes them for the same.

    It compares without documentation, aliases and the default symbol of an enum.
    """
    return json.dumps(_stripped(json.loads(canonical(schema))), sort_keys=True)


def _stripped(node: Any) -> Any:
    if isinstance(node, list):
        return [_stripped(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key != "aliases"}
    if kept.get("type") == "enum":
        kept.pop("default", None)
    if "fields" in kept:
        kept["fields"] = [
            {key: _stripped(value) if key == "type" else value for key, value in field.items() if key != "aliases"}
            for field in kept["fields"]
        ]
    for key in ("type", "items", "values"):
        if key in kept:
            kept[key] = _stripped(kept[key])
    return kept
