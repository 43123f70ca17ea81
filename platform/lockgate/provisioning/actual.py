"""What is in the cluster, in the registry and in the credentials folder: read, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs

from lockgate.contracts.derive import Group, Subject, former_topics
from lockgate.contracts.names import APPLIED_TOPIC
from lockgate.errors import ClusterDenied, LockgateError
from lockgate.provisioning.applied import Applied
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.cluster import Broker, Cluster, TopicConfig, brokers_in
from lockgate.provisioning.credentials import CredentialsFile, CredentialsFolder
from lockgate.provisioning.desired import Desired
from lockgate.provisioning.evidence import Evidence, read_evidence
from lockgate.provisioning.groups import ActualGroup
from lockgate.provisioning.ledger import read_ledger
from lockgate.provisioning.offsets import GroupOffsets
from lockgate.provisioning.wire import BrokerConnection
from lockgate.records import Place
from lockgate.registry import RegisteredSchema, Registry

__all__ = ["Actual", "ActualSubject", "ActualTopic", "read_actual"]

_THREADS = 8

_INTERNAL_TOPICS = {"__cluster_metadata", "__consumer_offsets", "__share_group_state", "__transaction_state"}
"""Kafka's own."""


@attrs.frozen
class ActualTopic:
    """Describe a topic as it is."""

    partitions: int
    replication: frozenset[int]
    """One number, unless a reassignment left partitions with different ones."""
    config: TopicConfig | None = None
    """Only read for topics that the contracts know."""


@attrs.frozen
class ActualSubject:
    """Describe a subject as it is, seen from the schema that the contracts want in it."""

    level: str | None
    """Its own compatibility level; None where it has none."""
    registered: bool
    """Whether one of its versions is exactly the contract's schema."""
    history: tuple[RegisteredSchema, ...] = ()
    """All versions, oldest first; only read where the schema is not registered."""
    accepted: bool | None = None
    """The registry's own verdict on the schema under the level that is set; None where it was not asked."""


@attrs.frozen
class Actual:
    """Hold what there is."""

    brokers: tuple[Broker, ...]
    topics: Mapping[str, ActualTopic]
    """Kafka's internal ones left out."""
    users: frozenset[str]
    """Those with SCRAM-SHA-512 credentials."""
    acls: frozenset[Binding]
    subjects: Mapping[str, ActualSubject]
    """One entry for each subject of the contracts."""
    other_subjects: tuple[str, ...]
    credentials: Mapping[str, CredentialsFile]
    """One entry for each principal of the contracts."""
    registry_reader_missing: bool = False
    groups: Mapping[str, ActualGroup] = attrs.field(factory=dict)
    """Those of the contracts whose topic is there."""
    former: Mapping[str, tuple[str, int]] = attrs.field(factory=dict)
    """Retry topics that a contract no longer lists: the group, and how many records it has before it there."""
    applied: Applied = attrs.field(factory=Applied)
    """What was last applied."""
    evidence: Evidence = attrs.field(factory=Evidence)
    """What speaks for and against deleting what is retired."""


def read_actual(cluster: Cluster, registry: Registry, folder: CredentialsFolder, desired: Desired) -> Actual:
    """Read everything that `desired` is compared with, as much at a time as can be.

    Raise ClusterError and RegistryError (and what is below them) where one of the two cannot be read.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lockgate-read") as pool:
        subject_names = pool.submit(registry.subjects)
        subjects = {name: pool.submit(_subject, registry, subject) for name, subject in desired.subjects.items()}
        metadata = cluster.settled_metadata()
        cluster.require("DESCRIBE")
        applied = pool.submit(read_ledger, cluster.settings) if APPLIED_TOPIC in metadata.topics else None
        users_answer, acls_answer = cluster.describe_users(), cluster.describe_acls()
        brokers, offsets = brokers_in(metadata), GroupOffsets(cluster)
        configs = cluster.describe_configs(name for name in desired.topics if name in metadata.topics)
        users = cluster.users_in(cluster.result(users_answer, "a request for its users"))
        acls = cluster.bindings_in(cluster.result(acls_answer, "a request for its access control lists"))
        files = {name: pool.submit(_credentials, folder, name, brokers, name in users) for name in desired.users}
        return Actual(
            brokers=brokers,
            topics={
                name: _topic(topic, configs.get(name))
                for name, topic in metadata.topics.items()
                if name not in _INTERNAL_TOPICS
            },
            users=users,
            acls=acls,
            subjects={name: future.result() for name, future in subjects.items()},
            other_subjects=tuple(name for name in subject_names.result() if name not in desired.subjects),
            credentials={name: future.result() for name, future in files.items()},
            registry_reader_missing=folder.registry_reader_missing,
            groups=_groups(offsets, desired, metadata.topics),
            former=_former(offsets, desired, metadata.topics),
            applied=applied.result() if applied is not None else Applied(),
            evidence=read_evidence(
                desired.retired,
                cluster,
                registry,
                folder,
                {name: len(topic.partitions) for name, topic in metadata.topics.items()},
            ),
        )


def _groups(offsets: GroupOffsets, desired: Desired, topics: Mapping[str, Any]) -> dict[str, ActualGroup]:
    wanted = {
        group.name: [(topic, n) for topic in group.topics for n in range(desired.topics[topic].partitions)]
        for group in desired.groups.values()
        if group.source in topics
    }
    committed = offsets.committed(wanted)
    members = offsets.members(name for name, places in wanted.items() if len(committed[name]) < len(places))
    lags = {
        name: _lag(offsets, desired.groups[name], places, topics)
        for name, places in committed.items()
        if desired.groups[name].ordered
        and len(topics[desired.groups[name].source].partitions) < desired.topics[desired.groups[name].source].partitions
    }
    return {
        name: ActualGroup(frozenset(places), members.get(name, 0), lags.get(name, 0))
        for name, places in committed.items()
    }


def _former(offsets: GroupOffsets, desired: Desired, topics: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    former = {
        group.name: {
            topic: [(topic, n) for n in topics[topic].partitions]
            for topic in former_topics(group.source, group.name, group.topics, topics)
        }
        for group in desired.groups.values()
    }
    former = {group: theirs for group, theirs in former.items() if theirs}
    places = {group: [place for each in theirs.values() for place in each] for group, theirs in former.items()}
    every = [place for each in places.values() for place in each]
    committed = offsets.committed(places)
    starts, ends = offsets.positions(every, "earliest"), offsets.positions(every, "latest")
    return {
        topic: (group, sum(max(0, ends[p] - max(starts[p], committed[group].get(p, 0))) for p in mine))
        for group, theirs in former.items()
        for topic, mine in theirs.items()
    }


def _lag(offsets: GroupOffsets, group: Group, committed: Mapping[Place, int], topics: Mapping[str, Any]) -> int:
    places = [(topic, n) for topic in group.topics if topic in topics for n in topics[topic].partitions]
    starts, ends = offsets.positions(places, "earliest"), offsets.positions(places, "latest")
    return sum(max(0, ends[place] - max(starts[place], committed.get(place, 0))) for place in places)


def _topic(topic: Any, config: TopicConfig | None) -> ActualTopic:
    replication = frozenset(len(partition.replicas) for partition in topic.partitions.values())
    return ActualTopic(len(topic.partitions), replication, config)


def _subject(registry: Registry, subject: Subject) -> ActualSubject:
    level = registry.compatibility(subject.name)
    if registry.find(subject.name, subject.event.schema) is not None:
        return ActualSubject(level, registered=True)
    versions = (registry.version(subject.name, number) for number in registry.versions(subject.name))
    history = tuple(version for version in versions if version is not None)
    accepted = None
    if history and level == subject.compatibility and level != "NONE":
        # the registry compares with every version whatever the level, unless it is asked for the latest one alone
        against = None if level.endswith("_TRANSITIVE") else "latest"
        accepted = registry.is_compatible(subject.name, subject.event.schema, version=against)
    return ActualSubject(level, registered=False, history=history, accepted=accepted)


def _credentials(
    folder: CredentialsFolder, principal: str, brokers: Iterable[Broker], user_exists: bool
) -> CredentialsFile:
    has_password = folder.password(principal) is not None
    authenticates = None
    if has_password and user_exists:
        authenticates = _authenticates(folder, principal, brokers)
    return CredentialsFile(has_password, authenticates, folder.outdated(principal))


def _authenticates(folder: CredentialsFolder, principal: str, brokers: Iterable[Broker]) -> bool | None:
    """Log in at the first broker that answers; None where none does."""
    settings = folder.settings(principal)
    for broker in brokers:
        try:
            BrokerConnection(broker, settings).close()
        except ClusterDenied:
            return False
        except LockgateError:
            continue
        return True
    return None
