"""What is there besides the contracts: rights that nobody asks for, and things in no contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lockgate.contracts.names import APPLIED_TOPIC
from lockgate.provisioning.actual import Actual
from lockgate.provisioning.applied import Applied
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.change import Change
from lockgate.provisioning.desired import Desired
from lockgate.provisioning.principals import RevokeAcl
from lockgate.provisioning.reports import Beyond, Draining, Unmanaged

__all__ = ["draining", "foreign_rights", "reported", "unmanaged"]


def foreign_rights(desired: Desired, actual: Actual) -> Iterator[Change | Beyond | Unmanaged]:
    """Sort bindings that no contract asks for into those that concern the contracts and those that do not."""
    wanted = {Binding.of(acl) for acl in desired.acls}
    resources = {(acl.resource, acl.name) for acl in desired.acls}
    for binding in actual.acls - wanted:
        principal = binding.principal.removeprefix("User:")
        if binding.permission == "DENY":
            if any(binding.takes_away(granted) for granted in wanted):
                yield Beyond("DENY", str(binding), "it takes away what a contract grants")
                continue
        elif principal in desired.users:
            if binding.resource == "TOPIC" and actual.former.get(binding.name, ("", 0))[0] == principal:
                continue  # records may wait there, and processes that run are subscribed to it
            if binding in actual.applied.granted and _is_ours(binding, desired, actual.applied):
                # Lockgate granted it, and the contracts of both sides have taken it back since
                yield RevokeAcl(binding, str(desired.users[principal].location))
                continue
            yield Beyond("ALLOW", str(binding), f"no contract grants {principal} this")
            continue
        elif binding.covers_any(resources):
            yield Beyond("ALLOW", str(binding), "it opens something of the contracts to a principal in none of them")
            continue
        yield Unmanaged("acl", str(binding))


def unmanaged(desired: Desired, actual: Actual) -> Iterator[Unmanaged]:
    """Report topics, their values, users and subjects that are in no contract."""
    for name, topic in actual.topics.items():
        if name == APPLIED_TOPIC or name in actual.former:
            continue
        if name not in desired.topics:
            yield Unmanaged("topic", name, f"{topic.partitions} partitions")
        elif topic.config is not None:
            for key in sorted(topic.config.overrides - set(desired.topics[name].config)):
                yield Unmanaged("topic", name, f"{key} is set to {topic.config.effective.get(key)}")
    for user in actual.users - set(desired.users) - {desired.administrator or ""}:
        yield Unmanaged("user", user)
    for subject in actual.other_subjects:
        yield Unmanaged("subject", subject)


def draining(desired: Desired, actual: Actual) -> Iterator[Draining]:
    """Report the retry topics that contracts no longer list."""
    for name, (group, waiting) in actual.former.items():
        yield Draining(name, group, waiting, str(desired.groups[group].location))


def reported(found: Iterable[Any]) -> Iterator[Beyond | Draining | Unmanaged]:
    """Yield what is only reported, without what is going to be deleted."""
    found = list(found)
    going = {(c.kind, c.name) for c in found if isinstance(c, Change) and c.action == "delete"}
    for entry in found:
        if isinstance(entry, Beyond | Draining | Unmanaged):
            kind = entry.kind if isinstance(entry, Unmanaged) else "topic" if isinstance(entry, Draining) else "acl"
            if (kind, entry.name) not in going:
                yield entry


def _is_ours(binding: Binding, desired: Desired, applied: Applied) -> bool:
    """Return whether a right that Lockgate granted was granted by these contracts, and not by others on the cluster."""
    if binding.resource != "TOPIC" or binding.name in desired.topics:
        return True
    topic = applied.of("topic", binding.name)
    # a topic that they no longer ask for, but whose domain and workload are still theirs
    domains = {there.domain for there in desired.topics.values()}
    return topic is not None and topic["domain"] in domains and topic["workload"] in desired.users
