"""What follows from the contracts: topics, principals, access control lists, subjects. Derived here, nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping
from itertools import count
from operator import attrgetter
from typing import Literal

import attrs

from lockgate.contracts import names
from lockgate.contracts.model import Compatibility, Contracts, Domain, EventType, Location, Start, Workload

__all__ = [
    "CI",
    "Acl",
    "Derived",
    "Group",
    "Principal",
    "Subject",
    "Topic",
    "consumer_topics",
    "derive",
    "former_tiers",
    "former_topics",
    "message_limit",
    "way_back",
]

CI = "ci"
"""The principal that registers schemas; it has no right in Kafka."""

_ACL_ORDER = attrgetter("principal", "resource", "name", "operation", "pattern")
_DAY_MS = 24 * 3600 * 1000
_MAX_MESSAGE_BYTES = 1_048_588
"""Kafka's default for `max.message.bytes`, stated so that the derived topics' can follow it."""
_HEADROOM_BYTES = 64 * 1024
"""What error headers may add to a record on its way through retry and dead-letter topics."""


@attrs.frozen
class Topic:
    """Describe a topic as it should be in the cluster."""

    name: str
    kind: Literal["domain", "retry", "dead-letter", "control"]
    partitions: int
    replication: int
    config: Mapping[str, str]
    """Only what Lockgate sets; the broker's defaults hold for the rest."""
    domain: str
    workload: str | None
    """The workload that a topic belongs to; None for a domain's."""
    tier: int | None
    location: Location


@attrs.frozen
class Principal:
    """Describe a SCRAM user."""

    name: str
    kind: Literal["workload", "reader", "replayer", "ci"]
    team: str
    """The owning team's slug; empty for `ci`."""
    location: Location

    @property
    def user(self) -> str:
        """Return the principal as ACLs name it: `User:orders-service`."""
        return f"User:{self.name}"


@attrs.frozen(order=True)
class Acl:
    """Describe one ALLOW binding for any host."""

    principal: str
    """Without the `User:` prefix."""
    resource: Literal["TOPIC", "GROUP", "TRANSACTIONAL_ID"]
    name: str
    operation: Literal["READ", "WRITE", "DESCRIBE"]
    pattern: Literal["LITERAL", "PREFIXED"] = "LITERAL"


@attrs.frozen
class Group:
    """Describe a consumer group: its members are the processes of the workload of that name."""

    name: str
    source: str
    """The domain topic."""
    topics: tuple[str, ...]
    """What it subscribes to: the domain topic, then its retry topics."""
    start: Start
    """Where it begins in the domain topic when it is new; in all other topics it begins at the earliest record."""
    location: Location
    ordered: bool = False
    """Whether it keeps each key's records in order: no key may move while records of it are before the group."""


@attrs.frozen
class Subject:
    """Describe a subject of the schema registry."""

    name: str
    event: EventType
    compatibility: Compatibility
    level_at: Location
    """Where the level is named."""


@attrs.frozen
class Derived:
    """Hold everything that follows from the contracts, each list in a stable order."""

    topics: tuple[Topic, ...]
    principals: tuple[Principal, ...]
    acls: tuple[Acl, ...]
    subjects: tuple[Subject, ...]
    groups: tuple[Group, ...]

    def topics_of(self, workload: str) -> tuple[Topic, ...]:
        """Return the retry, dead-letter and control topics that belong to a workload."""
        return tuple(topic for topic in self.topics if topic.workload == workload)


def consumer_topics(contracts: Contracts, workload: Workload) -> tuple[str, ...]:
    """Return what a workload subscribes to: its domain's topic, then its retry topics by tier, then the parked topic.

    A workload without `retry` still has the first one: replayed dead letters arrive there.
    """
    source = contracts.source_of(workload)
    if source is None:
        return ()
    topic = source.topic.name
    tiers = range(1, retry_tiers(workload) + 1)
    parked = (names.parked_topic(topic, workload.name),) if workload.parks else ()
    return (topic, *(names.retry_topic(topic, workload.name, tier) for tier in tiers), *parked)


def message_limit(domain: Domain) -> int:  # noqa: ARG001  # every domain's is the same as yet
    """Return how many bytes a domain's topic takes for a batch, so for a record: its `max.message.bytes`."""
    return _MAX_MESSAGE_BYTES


def way_back(contracts: Contracts, workload: Workload) -> str:
    """Return the topic that a consuming workload's replayed letters go to; no other workload reads it.

    It is the first tier; where dead letters hold their keys it is the parked topic, in which releases lie, too: what
    is replayed before a release is read before it.
    """
    topics = consumer_topics(contracts, workload)
    return topics[-1] if workload.holds else topics[1]


def retry_tiers(workload: Workload) -> int:
    """Return how many retry topics a consuming workload has: at least one, the way back in for replays."""
    return max(1, len(workload.retry_ms))


def former_tiers(contracts: Contracts, workload: Workload, visible: Container[str]) -> Iterator[str]:
    """Yield the retry topics that a workload's contract no longer lists and that are there still.

    They belong to it as long as they exist: records may be in them.
    """
    current = consumer_topics(contracts, workload)
    if current:
        yield from former_topics(current[0], workload.name, current, visible)


def former_topics(source: str, workload: str, current: Collection[str], visible: Container[str]) -> Iterator[str]:
    """Yield what `former_tiers` does, from the topics that a workload subscribes to: `current`, `source` among them."""
    parked = names.parked_topic(source, workload)
    if parked in visible and parked not in current:
        yield parked
    for tier in count(1):
        topic = names.retry_topic(source, workload, tier)
        if topic in current:
            continue
        if topic not in visible:
            return
        yield topic


def derive(contracts: Contracts) -> Derived:
    """Derive topics, principals, ACLs, subjects and groups from the contracts."""
    return Derived(
        topics=tuple(_topics(contracts)),
        principals=tuple(_principals(contracts)),
        # by a tuple: values of attrs compare at a tenth of the speed, and there are tens of thousands
        acls=tuple(sorted(set(_acls(contracts)), key=_ACL_ORDER)),
        subjects=tuple(
            Subject(domain.subject(event), event, domain.compatibility, domain.level_at)
            for domain in contracts.domains
            for event in domain.events
        ),
        groups=tuple(
            Group(
                workload.name,
                source.topic.name,
                consumer_topics(contracts, workload),
                workload.start,
                workload.location,
                workload.order == "key",
            )
            for workload, source in _consumers(contracts)
        ),
    )


def _consumers(contracts: Contracts) -> Iterator[tuple[Workload, Domain]]:
    for service in contracts.services:
        for workload in service.workloads:
            source = contracts.source_of(workload)
            if source is not None:
                yield workload, source


def _topics(contracts: Contracts) -> Iterator[Topic]:
    for domain in contracts.domains:
        spec = domain.topic
        config = {
            "cleanup.policy": "delete",
            "max.message.bytes": str(message_limit(domain)),
            "message.timestamp.type": "CreateTime",
            "min.insync.replicas": str(max(1, spec.replication - 1)),
            "retention.ms": str(spec.retention_ms),
        }
        yield Topic(
            spec.name,
            "domain",
            spec.partitions,
            spec.replication,
            config,
            domain.name,
            None,
            None,
            domain.topic_at,
        )
    for workload, domain in _consumers(contracts):
        spec = domain.topic
        # LogAppendTime: the original time travels in a header, because a record stamped in the past would be
        # deleted by retention as soon as it arrived.
        config = {
            "cleanup.policy": "delete",
            "max.message.bytes": str(message_limit(domain) + _HEADROOM_BYTES),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(max(1, spec.replication - 1)),
        }
        longest_wait = max(workload.retry_ms, default=0)
        retry = config | {"retention.ms": str(max(7 * _DAY_MS, 2 * longest_wait))}
        letters = config | {"retention.ms": str(30 * _DAY_MS)}
        place = (spec.partitions, spec.replication)
        for tier in range(1, retry_tiers(workload) + 1):
            name = names.retry_topic(spec.name, workload.name, tier)
            yield Topic(name, "retry", *place, retry, domain.name, workload.name, tier, workload.location)
        if workload.parks:
            # what is held waits for an operator, however long that takes: no age may take it away
            parked = retry | {"retention.ms": "-1"} if workload.holds else retry
            name = names.parked_topic(spec.name, workload.name)
            yield Topic(name, "retry", *place, parked, domain.name, workload.name, None, workload.location)
        name = names.dead_letter_topic(spec.name, workload.name)
        yield Topic(name, "dead-letter", *place, letters, domain.name, workload.name, None, workload.location)
        # the last word counts, however old it is
        control = config | {"cleanup.policy": "compact", "retention.ms": "-1"}
        name = names.control_topic(spec.name, workload.name)
        yield Topic(name, "control", 1, spec.replication, control, domain.name, workload.name, None, workload.location)


def _principals(contracts: Contracts) -> Iterator[Principal]:
    teams: dict[str, Location] = {}
    for service in contracts.services:
        for workload in service.workloads:
            yield Principal(workload.name, "workload", service.owner.slug, workload.location)
            if workload.consumes:
                teams.setdefault(service.owner.slug, service.location)
    for team, location in sorted(teams.items(), key=lambda item: item[0]):
        yield Principal(names.reader_principal(team), "reader", team, location)
        yield Principal(names.replayer_principal(team), "replayer", team, location)
    yield Principal(CI, "ci", "", Location("schemas", 1))


def _acls(contracts: Contracts) -> Iterator[Acl]:
    teams = {workload.name: service.owner.slug for service in contracts.services for workload in service.workloads}
    for workload, domain in _consumers(contracts):
        me = workload.name
        letters = names.dead_letter_topic(domain.topic.name, me)
        source, *retries = consumer_topics(contracts, workload)
        yield Acl(me, "GROUP", me, "READ")
        yield Acl(me, "TOPIC", source, "READ")
        for retry in retries:
            yield Acl(me, "TOPIC", retry, "READ")
            # without delays, the one tier is the way back in for replays: only an operator writes it
            if workload.retry_ms or retry == names.parked_topic(source, me):
                yield Acl(me, "TOPIC", retry, "WRITE")
        yield Acl(me, "TOPIC", letters, "WRITE")
        yield Acl(me, "TOPIC", names.control_topic(source, me), "READ")
        if workload.exactly_once or workload.parks:
            yield Acl(me, "TRANSACTIONAL_ID", names.transactional_id_prefix(me), "WRITE", "PREFIXED")
        reader = names.reader_principal(teams[me])
        replayer = names.replayer_principal(teams[me])
        for operator in (reader, replayer):
            # librdkafka asks for the group even where partitions are assigned by hand
            yield Acl(operator, "GROUP", operator, "READ")
            yield Acl(operator, "TOPIC", letters, "READ")
            if workload.holds:  # which keys are held: what is in the parked topic, and what of it is finished
                yield Acl(operator, "TOPIC", names.parked_topic(source, me), "READ")
                yield Acl(operator, "GROUP", me, "DESCRIBE")
        yield Acl(replayer, "TOPIC", way_back(contracts, workload), "WRITE")
    for service in contracts.services:
        for workload in service.workloads:
            for event_type in workload.publishes:
                yield Acl(workload.name, "TOPIC", contracts.domain_of(event_type).topic.name, "WRITE")
            if workload.exactly_once:
                prefix = names.transactional_id_prefix(workload.name)
                yield Acl(workload.name, "TRANSACTIONAL_ID", prefix, "WRITE", "PREFIXED")
