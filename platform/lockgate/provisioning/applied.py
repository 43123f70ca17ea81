"""What was last applied, thing by thing: the record that tells a change of the files from a change by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cached_property
from typing import Any

import attrs

from lockgate.contracts.derive import Acl
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.change import Kind, State
from lockgate.provisioning.desired import Desired

__all__ = ["Applied", "Entries", "digest", "recorded", "right_key"]

Entries = Mapping[str, State]
"""States by `kind/name`."""


@attrs.frozen(slots=False)  # the look-ups below are cached in the instance's __dict__
class Applied:
    """Hold the record."""

    entries: Entries = attrs.field(factory=dict)

    def of(self, kind: Kind, name: str) -> State | None:
        """Return what was last applied of one thing, or None where nothing was."""
        return self.entries.get(f"{kind}/{name}")

    @cached_property
    def rights(self) -> frozenset[Binding]:
        """Return the bindings that contracts granted when they were last applied."""
        return frozenset(self._bindings("operations"))

    @cached_property
    def granted(self) -> frozenset[Binding]:
        """Return all bindings that Lockgate made, whether or not contracts still asked for them."""
        return self.rights | frozenset(self._bindings("others"))

    def differences(self, entries: Entries) -> dict[str, State]:
        """Return those of `entries` that the record does not hold as they are."""
        return {key: value for key, value in entries.items() if self.entries.get(key) != value}

    def announced(self, acls: Iterable[Acl]) -> Entries:
        """Return the entries that announce rights before they are granted.

        A run that is interrupted in between has granted what is known to be Lockgate's.
        """
        entries = _rights(acls)
        for key, entry in entries.items():
            before = self.entries.get(key, {})
            entry["others"] = sorted({*entry["operations"], *before.get("others", ())})
            entry["operations"] = list(before.get("operations", ()))
        return entries

    def kept(self, entries: Entries, there: Set[Binding]) -> Entries:
        """Return rights' `entries` with what Lockgate granted besides, as far as it is still there."""
        found = {key: dict(entry) for key, entry in entries.items()}
        for binding in self.granted & there:
            key = right_key(binding)
            entry = found.get(key)
            if entry is not None and binding.operation not in entry["operations"]:
                entry["others"] = sorted({*entry["others"], binding.operation})
        return found

    def _bindings(self, field: str) -> Iterator[Binding]:
        for key, entry in self.entries.items():
            if key.startswith("acl/"):
                place = f"User:{entry['principal']}", "*", entry["resource"], entry["name"], entry["pattern"]
                yield from (Binding(*place, operation, "ALLOW") for operation in entry[field])


def recorded(desired: Desired) -> dict[str, State]:
    """Return the record of a cluster and a registry that are all that the contracts ask for."""
    entries: dict[str, State] = {}
    for topic in desired.topics.values():
        entries[f"topic/{topic.name}"] = {
            "partitions": topic.partitions,
            "replication": topic.replication,
            "config": dict(topic.config),
            "domain": topic.domain,
            "workload": topic.workload,
        }
    for principal in desired.users.values():
        entries[f"user/{principal.name}"] = {"kind": principal.kind, "team": principal.team}
    for subject in desired.subjects.values():
        entries[f"subject/{subject.name}"] = {
            "compatibility": subject.compatibility,
            "sha256": digest(subject.event.schema),
        }
    entries.update(_rights(desired.acls))
    return entries


def right_key(binding: Binding) -> str:
    """Return the key under which the record holds a binding."""
    return _key(binding.principal.removeprefix("User:"), binding.resource, binding.name)


def digest(value: Any) -> str:
    """Return a fingerprint of a JSON value: the same for the same value, in whatever order its keys are."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _rights(acls: Iterable[Acl]) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    for acl in sorted(acls):
        entry = entries.setdefault(
            _key(acl.principal, acl.resource, acl.name),
            {
                "principal": acl.principal,
                "resource": acl.resource,
                "name": acl.name,
                "pattern": acl.pattern,
                "operations": [],
                "others": [],
            },
        )
        entry["operations"].append(acl.operation)
    return entries


def _key(principal: str, resource: str, name: str) -> str:
    """Return one key a principal and resource: projects that share a cluster and an operator do not meet in it."""
    return f"acl/{principal} {resource} {name}"
