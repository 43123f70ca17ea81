"""A small world by hand, and states of a cluster that satisfy it or do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from lockgate.connection import Settings
from lockgate.contracts.model import (
    Compatibility,
    Contracts,
    Domain,
    EventType,
    Location,
    Owner,
    Service,
    TopicSpec,
    Workload,
)
from lockgate.provisioning.actual import Actual, ActualSubject, ActualTopic
from lockgate.provisioning.applied import Applied, recorded
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.changes import (
    AddPartitions,
    AlterConfig,
    CreateAcl,
    CreateTopic,
    CreateUser,
    DeleteCredentials,
    DeleteGroup,
    DeleteSubject,
    DeleteTopic,
    DeleteUser,
    RegisterSchema,
    RevokeAcl,
    SetLevel,
    SetPassword,
    StartGroup,
    WriteCredentials,
)
from lockgate.provisioning.cluster import Broker, TopicConfig
from lockgate.provisioning.credentials import CredentialsFile
from lockgate.provisioning.desired import Desired, desired_state
from lockgate.provisioning.groups import ActualGroup
from lockgate.provisioning.plan import Plan

ADMIN = Settings("localhost:9092", username="admin", password="kept to itself", registry_url="http://registry")
BROKERS = tuple(Broker(number, "localhost", 9091 + number) for number in (1, 2, 3))
GOOD_FILE = CredentialsFile(has_password=True, authenticates=True, outdated=())
NO_FILE = CredentialsFile(has_password=False, authenticates=None, outdated=())


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of `parcels.Sent` with further fields."""
    return {
        "type": "record",
        "name": "Sent",
        "namespace": "parcels",
        "fields": [{"name": "parcel_id", "type": "string"}, *fields],
    }


def contracts(**topic: Any) -> Contracts:
    """Return one domain with one event type, read by one workload with two retries and written by another."""
    domain_at = Location("schemas/parcels/domain.yaml", 3)
    values: dict[str, Any] = {"name": "parcels", "partitions": 4, "replication": 3, "retention_ms": 86_400_000}
    spec = TopicSpec(**values | topic)
    event = EventType("parcels.Sent", record(), Location("schemas/parcels/Sent.avsc", 1))
    domain = Domain(
        "parcels",
        Owner("Post", "@post"),
        spec,
        "parcel_id",
        "BACKWARD",
        (event,),
        readers=("tracker",),
        writers=("counter",),
        location=domain_at,
    )
    at = Location("services/tracking/service.yaml", 4)
    tracker = Workload("tracker", "tracking", ("parcels.Sent",), (), (1000, 5000), at)
    counter = Workload("counter", "tracking", (), ("parcels.Sent",), (), at)
    service = Service("tracking", "tracking", Owner("Post", "@post"), (counter, tracker), at)
    return Contracts(Path("/project"), (domain,), (service,))


def desired(**topic: Any) -> Desired:
    """Return what the small world asks for."""
    return desired_state(contracts(**topic), ADMIN)


def with_schema(wanted: Desired, schema: dict[str, Any], level: Compatibility = "BACKWARD") -> Desired:
    """Return the same world with another schema in its only subject."""
    (subject,) = wanted.subjects.values()
    event = attrs.evolve(subject.event, schema=schema)
    changed = attrs.evolve(subject, event=event, compatibility=level)
    return attrs.evolve(wanted, subjects={changed.name: changed})


def nothing(wanted: Desired) -> Actual:
    """Return a cluster and a registry in which nothing was ever made."""
    return Actual(
        brokers=BROKERS,
        topics={},
        users=frozenset({"admin"}),
        acls=frozenset(),
        subjects={name: ActualSubject(None, registered=False) for name in wanted.subjects},
        other_subjects=(),
        credentials=dict.fromkeys(wanted.users, NO_FILE),
    )


def everything(wanted: Desired) -> Actual:
    """Return the state in which nothing is left to do."""
    return Actual(
        brokers=BROKERS,
        topics={
            topic.name: ActualTopic(
                topic.partitions,
                frozenset({topic.replication}),
                TopicConfig(dict(topic.config) | {"segment.bytes": "1073741824"}, frozenset(topic.config)),
            )
            for topic in wanted.topics.values()
        },
        users=frozenset({"admin", *wanted.users}),
        acls=frozenset(Binding.of(acl) for acl in wanted.acls),
        subjects={name: ActualSubject(s.compatibility, registered=True) for name, s in wanted.subjects.items()},
        other_subjects=(),
        credentials=dict.fromkeys(wanted.users, GOOD_FILE),
        groups={
            group.name: ActualGroup(
                frozenset((name, n) for name in group.topics for n in range(wanted.topics[name].partitions))
            )
            for group in wanted.groups.values()
        },
    )


def recorded_everything(wanted: Desired) -> Actual:
    """Return the state in which nothing is left to do, because it was applied and recorded."""
    return attrs.evolve(everything(wanted), applied=Applied(recorded(wanted)))


def applied(plan: Plan, actual: Actual) -> Actual:
    """Return the state that a cluster is in after a plan: a model of what `apply` does."""
    topics = dict(actual.topics)
    users, acls = set(actual.users), set(actual.acls)
    subjects, credentials = dict(actual.subjects), dict(actual.credentials)
    evidence = actual.evidence
    groups = dict(actual.groups)
    for change in plan.changes:
        match change:
            case CreateTopic(topic):
                config = TopicConfig(dict(topic.config), frozenset(topic.config))
                topics[topic.name] = ActualTopic(topic.partitions, frozenset({topic.replication}), config)
            case AddPartitions(topic):
                topics[topic.name] = attrs.evolve(topics[topic.name], partitions=topic.partitions)
            case AlterConfig(topic, differences):
                there = topics[topic.name]
                before = there.config or TopicConfig({}, frozenset())
                values = {difference.key: difference.after for difference in differences}
                config = TopicConfig({**before.effective, **values}, before.overrides | set(values))
                topics[topic.name] = attrs.evolve(there, config=config)
            case CreateUser(principal) | SetPassword(principal) | WriteCredentials(principal):
                users.add(principal.name)
                credentials[principal.name] = GOOD_FILE
            case CreateAcl(acl):
                acls.add(Binding.of(acl))
            case DeleteTopic():
                del topics[change.name]
            case DeleteUser():
                users.discard(change.name)
            case DeleteGroup():
                members = {name: count for name, count in evidence.members.items() if name != change.name}
                evidence = attrs.evolve(evidence, members=members)
            case DeleteSubject():
                evidence = attrs.evolve(evidence, versions=dict(evidence.versions) | {change.name: 0})
            case DeleteCredentials():
                evidence = attrs.evolve(evidence, files=evidence.files - {change.name})
            case RevokeAcl(binding):
                acls.discard(binding)
            case SetLevel(subject):
                subjects[subject.name] = attrs.evolve(subjects[subject.name], level=subject.compatibility)
            case RegisterSchema(subject):
                subjects[subject.name] = attrs.evolve(subjects[subject.name], registered=True)
            case StartGroup(group, at):
                places = {(name, number) for name, numbers, _ in at for number in numbers}
                committed = groups.get(group.name, ActualGroup()).committed
                groups[group.name] = ActualGroup(committed | places)
            case _:
                raise AssertionError(change)
    return attrs.evolve(
        actual,
        evidence=evidence,
        topics=topics,
        users=frozenset(users),
        acls=frozenset(acls),
        subjects=subjects,
        credentials=credentials,
        groups=groups,
    )
