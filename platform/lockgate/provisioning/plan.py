"""The plan: the difference between what the contracts ask for and what there is, as one frozen value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from lockgate.avro import compatibility
from lockgate.connection import Settings
from lockgate.contracts.derive import Subject, Topic
from lockgate.contracts.model import Contracts
from lockgate.errors import PlanRefused
from lockgate.provisioning.actual import Actual, ActualSubject, ActualTopic, read_actual
from lockgate.provisioning.applied import digest, recorded
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.changes import (
    AddPartitions,
    AlterConfig,
    Change,
    ConfigDifference,
    CreateAcl,
    CreateTopic,
    CreateUser,
    RegisterSchema,
    SetLevel,
    SetPassword,
    WriteCredentials,
)
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.credentials import REGISTRY_READER, CredentialsFolder
from lockgate.provisioning.desired import Desired, desired_state
from lockgate.provisioning.drift import with_causes
from lockgate.provisioning.foreign import draining, foreign_rights, reported, unmanaged
from lockgate.provisioning.groups import group_starts, growth_refusals
from lockgate.provisioning.rehearsal import rehearse
from lockgate.provisioning.reports import Beyond, Draining, Refusal, Unmanaged
from lockgate.provisioning.retirement import retirements
from lockgate.registry import Registry

__all__ = ["Plan", "difference", "make_plan"]


@attrs.frozen
class Plan:
    """Hold what `apply` would do, what it cannot do, and what there is besides; no secret is in it."""

    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    """What the contracts ask for and cannot have. While there is one, nothing is applied."""
    beyond: tuple[Beyond, ...] = ()
    """Rights on things in the contracts that no contract gives or takes; reported, never changed."""
    unmanaged: tuple[Unmanaged, ...] = ()
    """What is in no contract; left alone."""
    draining: tuple[Draining, ...] = ()
    """Retry topics that a contract no longer lists, until somebody takes them away."""
    cluster: str = ""
    """The cluster's id."""
    registry: str = ""
    """The registry's address."""
    asked: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Fingerprints of what the contracts ask for, by `kind/name`."""

    @property
    def is_empty(self) -> bool:
        """Return whether cluster, registry and credentials are all that the contracts ask for."""
        return not self.changes and not self.refusals

    @property
    def counts(self) -> Mapping[str, int]:
        """Return how many there are of each, in the order in which they are printed."""
        actions = Counter(change.action for change in self.changes)
        return {
            "create": actions["create"],
            "change": actions["change"],
            "delete": actions["delete"],
            "drift": sum(change.cause in ("drift", "both") for change in self.changes),
            "refused": len(self.refusals),
            "beyond": len(self.beyond),
            "unmanaged": len(self.unmanaged),
            "draining": len(self.draining),
        }

    def as_json(self) -> dict[str, Any]:
        """Return the plan in the shape that docs/plan.md describes."""
        return {
            "cluster": self.cluster,
            "changes": [change.as_json() for change in self.changes],
            "refusals": [attrs.asdict(refusal) for refusal in self.refusals],
            "beyond": [attrs.asdict(entry) for entry in self.beyond],
            "unmanaged": [attrs.asdict(entry) for entry in self.unmanaged],
            "draining": [attrs.asdict(entry) for entry in self.draining],
            "counts": dict(self.counts),
        }

    @property
    def deletions(self) -> tuple[Change, ...]:
        """Return the changes that take something away: made only where that is allowed."""
        return tuple(change for change in self.changes if change.action == "delete")

    def raise_if_refused(self, *, deletions: bool) -> None:
        """Raise PlanRefused with every refusal, where there is one; those of deletions count only with `deletions`."""
        refusals = [refusal for refusal in self.refusals if deletions or refusal.action == "apply"]
        if not refusals:
            return
        noun = "change cannot" if len(refusals) == 1 else "changes cannot"
        listing = "\n".join(f"  {r.kind} {r.name}: {r.reason} ({r.next_step})" for r in refusals)
        raise PlanRefused(
            f"{len(refusals)} {noun} be applied, so nothing was touched:\n{listing}",
            next_step="solve these, then run `lockgate plan` again",
        )


def make_plan(contracts: Contracts, settings: Settings, credentials: Path) -> Plan:
    """Compare contracts with cluster, registry and credentials folder, and rehearse what can be rehearsed.

    `settings` are an administrator's. Nothing is changed anywhere. Raise ClusterError, RegistryError or SettingsError
    (and what is below them) where one of them cannot be read.
    """
    desired = desired_state(contracts, settings)
    with Cluster(settings) as cluster, Registry(settings) as registry:
        plan = difference(desired, read_actual(cluster, registry, CredentialsFolder(credentials, settings), desired))
        return attrs.evolve(
            plan,
            refusals=tuple(sorted((*plan.refusals, *rehearse(plan.changes, cluster)))),
            cluster=cluster.identity(),
            registry=registry.url,
            asked={key: digest(state) for key, state in recorded(desired).items()},
        )


def difference(desired: Desired, actual: Actual) -> Plan:
    """Return the plan that leads from `actual` to `desired`; the same two always give the same plan."""
    found = [
        *_names(desired),
        *_topics(desired, actual),
        *_users(desired, actual),
        *_acls(desired, actual),
        *_subjects(desired, actual),
        *_groups(desired, actual),
        *foreign_rights(desired, actual),
        *unmanaged(desired, actual),
        *draining(desired, actual),
        *retirements(desired, actual),
    ]
    found = [*_changed(found), *reported(found)]
    return Plan(
        changes=tuple(with_causes((entry for entry in found if isinstance(entry, Change)), actual.applied)),
        refusals=tuple(sorted(entry for entry in found if isinstance(entry, Refusal))),
        beyond=tuple(sorted(entry for entry in found if isinstance(entry, Beyond))),
        unmanaged=tuple(sorted(entry for entry in found if isinstance(entry, Unmanaged))),
        draining=tuple(sorted(entry for entry in found if isinstance(entry, Draining))),
    )


def _names(desired: Desired) -> Iterator[Refusal]:
    for name in (desired.administrator, REGISTRY_READER):
        if name is not None and name in desired.users:
            principal = desired.users[name]
            reason = "the administrator has that name" if name == desired.administrator else "that name is reserved"
            yield Refusal("user", name, reason, "rename the workload", str(principal.location))


def _topics(desired: Desired, actual: Actual) -> Iterator[Change | Refusal]:
    for topic in desired.topics.values():
        there = actual.topics.get(topic.name)
        if there is not None:
            yield from _topic(topic, there)
        elif topic.replication > len(actual.brokers):
            count = len(actual.brokers)
            yield _refused(
                topic,
                f"replication {topic.replication} asked for, and {count} broker{'s are' if count != 1 else ' is'} up",
                "start the missing brokers, or lower the replication",
            )
        else:
            yield CreateTopic(topic)


def _topic(topic: Topic, there: ActualTopic) -> Iterator[Change | Refusal]:
    if there.partitions > topic.partitions:
        yield _refused(
            topic,
            f"it has {there.partitions} partitions, and Kafka cannot take any away to leave {topic.partitions}",
            f"set partitions back to {there.partitions}, or move to a topic with another name",
        )
    if there.replication != {topic.replication}:
        has = ", ".join(str(number) for number in sorted(there.replication))
        yield _refused(
            topic,
            f"its replication is {has}, and changing it to {topic.replication} means moving replicas between brokers",
            f"use kafka-reassign-partitions, or set replication back to {has}",
        )
    if there.partitions < topic.partitions:
        yield AddPartitions(topic, there.partitions)
    effective = there.config.effective if there.config is not None else {}
    differences = tuple(
        ConfigDifference(key, effective.get(key), value)
        for key, value in sorted(topic.config.items())
        if effective.get(key) != value
    )
    if differences:
        yield AlterConfig(topic, differences)


def _refused(topic: Topic, reason: str, next_step: str) -> Refusal:
    return Refusal("topic", topic.name, reason, next_step, str(topic.location))


def _users(desired: Desired, actual: Actual) -> Iterator[Change | Refusal]:
    if actual.registry_reader_missing:
        yield Refusal(
            "credentials",
            f"{REGISTRY_READER}.env",
            "the registry asks who is there, and workloads have no identity to give: the file is missing",
            "write LOCKGATE_REGISTRY_USERNAME and LOCKGATE_REGISTRY_PASSWORD of a read-only identity into it",
        )
    for principal in desired.users.values():
        file = actual.credentials[principal.name]
        if principal.name not in actual.users:
            yield CreateUser(principal, keep_password=file.has_password)
        elif not file.has_password:
            yield SetPassword(principal, "no credentials file holds its password")
        elif file.authenticates is False:
            yield SetPassword(principal, "the brokers refuse the one in its credentials file")
        elif file.outdated:
            yield WriteCredentials(principal, file.outdated)


def _acls(desired: Desired, actual: Actual) -> Iterator[Change]:
    for acl in desired.acls:
        if Binding.of(acl) not in actual.acls:
            yield CreateAcl(acl, str(desired.users[acl.principal].location))


def _subjects(desired: Desired, actual: Actual) -> Iterator[Change | Refusal]:
    for subject in desired.subjects.values():
        there = actual.subjects[subject.name]
        refusal = None if there.registered else _incompatible(subject, there)
        if refusal is not None:
            yield refusal
            continue
        if there.level != subject.compatibility:
            yield SetLevel(subject, there.level)
        if not there.registered:
            yield RegisterSchema(subject, len(there.history))


def _incompatible(subject: Subject, there: ActualSubject) -> Refusal | None:
    findings = compatibility.check(
        [version.schema for version in there.history], subject.event.schema, subject.compatibility, witnesses=False
    )
    reasons = [finding.message for finding in findings if finding.kind == "breaking"]
    if not reasons and there.accepted is False:
        reasons = ["the registry refuses it, without a reason"]
    if not reasons:
        return None
    return Refusal(
        "subject",
        subject.name,
        f"the schema is not {subject.compatibility} with what is registered: {'; '.join(reasons)}",
        "change the schema compatibly, or add a new event type",
        str(subject.event.location),
    )


def _groups(desired: Desired, actual: Actual) -> Iterator[Change | Refusal]:
    partitions = {name: topic.partitions for name, topic in actual.topics.items()}
    yield from group_starts(desired.groups.values(), desired.topics, partitions, actual.groups)
    yield from growth_refusals(desired.groups.values(), desired.topics, partitions, actual.groups)


def _changed(found: Iterable[Any]) -> Iterator[Change | Refusal]:
    """Yield changes and refusals; a right that goes with something retired is not taken away twice."""
    deleted: set[tuple[str, str]] = set()
    for entry in found:
        if isinstance(entry, Refusal):
            yield entry
        elif isinstance(entry, Change):
            key = (entry.kind, entry.name)
            if entry.action != "delete" or key not in deleted:
                yield entry
            if entry.action == "delete":
                deleted.add(key)
