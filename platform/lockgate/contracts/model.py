"""The frozen value that contract files become: what every other package reads, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import attrs

from lockgate.errors import UsageError

__all__ = [
    "Compatibility",
    "Contracts",
    "Discard",
    "Domain",
    "EventType",
    "Exemption",
    "Location",
    "OnDeadLetter",
    "Order",
    "OutageSpec",
    "Owner",
    "Retired",
    "Service",
    "Start",
    "TopicSpec",
    "Workload",
]

Compatibility = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]

Start = Literal["earliest", "latest"]
Order = Literal["partition", "key", "none"]
OnDeadLetter = Literal["continue", "hold"]


@attrs.frozen
class Location:
    """Name the file and line that something comes from."""

    file: str
    """Path relative to the project root, with forward slashes."""
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@attrs.frozen
class Owner:
    """Name who answers for a domain or a service."""

    team: str
    contact: str

    @property
    def slug(self) -> str:
        """Return the team's name as it stands in principals: lower case."""
        return self.team.lower()


@attrs.frozen
class TopicSpec:
    """Describe a domain's topic."""

    name: str
    partitions: int
    replication: int
    retention_ms: int
    """Milliseconds; -1 keeps records for ever."""


@attrs.frozen
class EventType:
    """Describe one event type of a domain: an Avro record known by its full name."""

    full_name: str
    """`orders.OrderPlaced`."""
    schema: Mapping[str, Any]
    """The self-contained schema, shared types bundled in: what the registry holds. Read-only by agreement."""
    location: Location
    """The `.avsc` file."""

    @property
    def name(self) -> str:
        """Return the name without its namespace: `OrderPlaced`."""
        return self.full_name.rpartition(".")[2]


@attrs.frozen
class Exemption:
    """Say that a rule of lint does not hold in a domain, or for one of its types, and why."""

    rule: str
    """As the contract has it; lint says where there is none of this name."""
    reason: str
    location: Location
    type: str | None = None
    """The type, and so the file, that it is about; None for the whole domain."""


Discard = Literal["letters", "unread"]
"""What may be lost with something that is retired: dead letters; records that a group has not read."""


@attrs.frozen
class Retired:
    """Say that something is no longer used, and may be deleted once nothing speaks against it."""

    kind: Literal["topic", "event", "workload"]
    name: str
    """A topic, an event type's full name, or a workload."""
    topic: str | None
    """The topic that the workload read, or that the event type's domain has."""
    events: tuple[str, ...]
    """Of a topic: full names of the event types whose subjects go with it."""
    team: str
    """The slug of the team whose file says so."""
    reason: str
    discard: frozenset[Discard]
    location: Location


@attrs.frozen
class Domain:
    """Describe a business area: one topic, one owner, its event types."""

    name: str
    """The folder, which is also the Avro namespace and the Python package."""
    owner: Owner
    topic: TopicSpec
    key: str
    """The field of every event whose UTF-8 bytes are the record's key."""
    compatibility: Compatibility
    events: tuple[EventType, ...]
    """In the order of `domain.yaml`."""
    readers: tuple[str, ...]
    writers: tuple[str, ...]
    location: Location
    exemptions: tuple[Exemption, ...] = ()
    topic_at: Location = attrs.field(default=attrs.Factory(lambda self: self.location, takes_self=True))
    """Where the file describes the topic."""
    level_at: Location = attrs.field(default=attrs.Factory(lambda self: self.location, takes_self=True))
    """Where the file names the compatibility level; its beginning, where it leaves that to the default."""
    events_at: Location = attrs.field(default=attrs.Factory(lambda self: self.location, takes_self=True))
    """Where the file lists the event types."""
    owner_at: Location = attrs.field(default=attrs.Factory(lambda self: self.location, takes_self=True))
    """Where the file names the team."""

    def subject(self, event: EventType) -> str:
        """Return the registry subject of an event type (TopicRecordNameStrategy)."""
        return f"{self.topic.name}-{event.full_name}"


@attrs.frozen
class OutageSpec:
    """Say when failures are taken for an outage, in which no record is taken but probes."""

    failing: int = 90
    """Per cent of the last records."""
    of: int = 50
    """How many of the last records are looked at."""
    probe_ms: int = 1000
    """How long to wait for the first probe; the wait doubles up to twelve times as long."""


@attrs.frozen
class Workload:
    """Describe one identity of a service: one SCRAM user, one principal, one consumer group."""

    name: str
    service: str
    """The name of the service, not its folder."""
    consumes: tuple[str, ...]
    """Full names of event types, all of one domain; empty for a program that only publishes."""
    publishes: tuple[str, ...]
    """Full names of event types."""
    retry_ms: tuple[int, ...]
    """Delay of each retry tier in milliseconds; empty: a failure is dead-lettered at once."""
    location: Location
    start: Start = "earliest"
    """Where the group begins in its domain's topic when it is new."""
    concurrency: int = 1
    """How many of its records a process handles at once."""
    order: Order = "partition"
    """Which records are handled one after the other: those of a partition, those of a key, or none."""
    exactly_once: bool = False
    """Whether results, retry records, dead letters and offsets of a batch are committed in one transaction.

    A program that only publishes writes in transactions that it begins itself.
    """
    outage: OutageSpec = OutageSpec()
    on_dead_letter: OnDeadLetter = "continue"
    """Whether later records of a key go on behind a dead letter, or wait until an operator releases the key."""

    @property
    def holds(self) -> bool:
        """Tell whether a dead letter holds its key."""
        return self.order == "key" and self.on_dead_letter == "hold"

    @property
    def parks(self) -> bool:
        """Tell whether records wait in a topic of their own behind an earlier one of their key."""
        return self.order == "key" and (bool(self.retry_ms) or self.holds)


@attrs.frozen
class Service:
    """Describe a program owned by a team."""

    name: str
    folder: str
    """The folder under `services/`, a Python identifier: handlers are in `services.<folder>.handlers`."""
    owner: Owner
    workloads: tuple[Workload, ...]
    location: Location


@attrs.frozen(slots=False)  # the look-up tables below are cached in the instance's __dict__
class Contracts:
    """Hold all contracts of a project, checked: every name in it refers to something that exists."""

    root: Path
    domains: tuple[Domain, ...]
    """By name."""
    services: tuple[Service, ...]
    """By name."""
    retired: tuple[Retired, ...] = ()
    """In the order of the files."""

    @cached_property
    def workloads(self) -> Mapping[str, Workload]:
        """Return every workload by its name."""
        return {workload.name: workload for service in self.services for workload in service.workloads}

    @cached_property
    def events(self) -> Mapping[str, EventType]:
        """Return every event type by its full name."""
        return {event.full_name: event for domain in self.domains for event in domain.events}

    @cached_property
    def _domain_of_event(self) -> Mapping[str, Domain]:
        return {event.full_name: domain for domain in self.domains for event in domain.events}

    @cached_property
    def _services_by_name(self) -> Mapping[str, Service]:
        return {service.name: service for service in self.services}

    def domain_of(self, event_type: str) -> Domain:
        """Return the domain that an event type (full name) belongs to."""
        return self._domain_of_event[event_type]

    def source_of(self, workload: Workload) -> Domain | None:
        """Return the domain that a workload reads, or None where it only publishes."""
        return self.domain_of(workload.consumes[0]) if workload.consumes else None

    def workload(self, name: str) -> Workload:
        """Return a workload by name; raise UsageError with the known names where there is none."""
        try:
            return self.workloads[name]
        except KeyError:
            raise UsageError(
                f"no workload is called {name!r}",
                next_step=f"known workloads: {', '.join(sorted(self.workloads))}",
            ) from None

    def service(self, name: str) -> Service:
        """Return a service by name; raise UsageError with the known names where there is none."""
        try:
            return self._services_by_name[name]
        except KeyError:
            raise UsageError(
                f"no service is called {name!r}",
                next_step=f"known services: {', '.join(service.name for service in self.services)}",
            ) from None
