"""The kit: send events, run a workload's real loop until nothing is left to do, and see what it has led to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import attrs
from confluent_kafka import KafkaException

from lockgate import ids
from lockgate.avro.event import Event
from lockgate.contracts import names
from lockgate.contracts.derive import consumer_topics
from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts, Domain, Workload
from lockgate.errors import ClusterError, EventError, PoisonReason, UsageError
from lockgate.records import Coordinates, Headers, Place, frame
from lockgate.runtime.assembly import assemble
from lockgate.runtime.clients import OnError
from lockgate.runtime.dispatch import Table, dispatch_table
from lockgate.runtime.encoding import SubjectSource, event_headers
from lockgate.runtime.patience import Patience
from lockgate.runtime.producer import Producer
from lockgate.runtime.project import find_root, load_service
from lockgate.runtime.service import Service
from lockgate.testing.clients import Ends, IdleStop, Member, Writer
from lockgate.testing.clock import Clock
from lockgate.testing.cluster import shared_cluster
from lockgate.testing.events import Events
from lockgate.testing.outcome import Outcome, Sent
from lockgate.testing.poison import variants
from lockgate.testing.reading import Reading
from lockgate.testing.registry import MemoryRegistry

__all__ = ["Kit"]

_WRITER = "lockgate.testing"


class Kit:
    """Run the workloads of a project as a service would, within this process and on a clock that stands.

    Decoding, handlers, retries, dead letters, results and commits are those of `lockgate run`; the brokers are
    librdkafka's mock, the registry is in memory. There is no group to join, no login and no access control. Kits of
    one process share the brokers: each sees only what was sent through itself, and offsets count on.

    `package` is the one that the generated event classes are in.
    """

    def __init__(self, root: Path | None = None, *, package: str = "schemas") -> None:
        self.contracts = _contracts(find_root(root))
        self.registry = MemoryRegistry.of(self.contracts)
        self._cluster = shared_cluster()
        self._clock = Clock()
        self._ends = Ends()
        self._events = Events(self.contracts, package)
        self._origin = self._cluster.ends(self._cluster.places(self._cluster.topics))

    @property
    def now(self) -> datetime:
        """Return the time that due times are held against."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def advance(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0, milliseconds: float = 0) -> None:
        """Move the clock on; what is due by then is handled by the next run."""
        step = timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
        self._clock.advance(round(step / timedelta(milliseconds=1)))

    def send(
        self,
        event: Event | tuple[str, Mapping[str, Any]],
        *,
        headers: Mapping[str, bytes] | None = None,
        event_id: str | None = None,
    ) -> Sent:
        """Write an event to its domain's topic; it is an object of a generated class, or `(full name, dict)`.

        Raise EventError where it does not fit its schema, UsageError where no contract names its type.
        """
        name, datum = event if isinstance(event, tuple) else (event.__avro_name__, event.to_avro())
        declared = self._events.declared(name)
        domain = self.contracts.domain_of(name)
        body = self._events.encode(name, datum)
        schema_id = self.registry.register(domain.subject(declared), declared.schema)
        new, traceparent = ids.new_event()
        ident = event_id or new
        own = [*event_headers(name, ident, _writer(domain), traceparent), *(headers or {}).items()]
        return self.send_raw(domain.name, datum[domain.key].encode(), frame(schema_id, body), own, event_id=ident)

    def send_tombstone(self, domain: str, key: str) -> Sent:
        """Write a record without a value."""
        if not key:
            raise EventError(domain, self._domain(domain).key, "a key", "an empty string")
        return self.send_raw(domain, key.encode(), None)

    def send_poison(self, reason: PoisonReason, event: type[Event] | str) -> Sent:
        """Write a record that pretends to be an event of a type (its class or full name) and cannot be read.

        Raise UsageError for a kind that the event type has no room for, such as an index in a schema without any.
        """
        declared = self._events.declared(event)
        domain = self.contracts.domain_of(declared.full_name)
        subject = domain.subject(declared)
        if reason == "schema-mismatch":
            # no registry that checks compatibility would take it: the key as a number
            field = {"name": domain.key, "type": "long"}
            alien = self.registry.register(subject, {**declared.schema, "fields": [field]})
            return self.send_raw(domain.name, b"2", frame(alien, b"\x04"))
        foreign = self.registry.register(f"{subject}.foreign", {"type": "record", "name": "Foreign", "fields": []})
        schema_id = self.registry.register(subject, declared.schema)
        for kind, key, value in variants(declared, domain.key, schema_id, foreign_id=foreign):
            if kind == reason:
                return self.send_raw(domain.name, key, value)
        raise UsageError(f"{declared.full_name} cannot be made into poison of the kind {reason!r}")

    def send_raw(
        self,
        domain: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        event_id: str | None = None,
    ) -> Sent:
        """Write any bytes to a domain's topic."""
        topic = self._domain(domain).topic.name
        self._cluster.make([topic])
        written: list[Coordinates] = []
        failed: list[str] = []

        def delivered(error: Any, message: Any) -> None:
            if error is None:
                written.append(Coordinates(message.topic(), message.partition(), message.offset()))
            else:
                failed.append(error.str())

        producer = Writer(self._cluster.producer, self._ends, self._clock)
        producer.produce(topic, value, key, on_delivery=delivered, headers=list(headers))
        producer.flush(30)
        if not written:
            raise ClusterError(f"the brokers of the kit did not take a record for {topic}: {' '.join(failed)}")
        return Sent(event_id or str(written[0]), written[0], key, value)

    def producer(self, workload: str) -> Producer:
        """Return the producer of a program under test: what it writes, `run` reads."""
        return Producer(workload, root=self.contracts.root, links=_Links(self))

    def run(self, workload: str, *, service: Service | None = None) -> Outcome:
        """Handle everything that a workload can read now, and return what that has led to.

        Its handlers are those of its service in the project, or of `service`. What waits for a retry goes on waiting:
        advance the clock and run again. Raise HandlerError, as `lockgate run` does, for handlers that do not fit the
        contract, and UsageError for a workload that consumes nothing.
        """
        declared = self.contracts.workload(workload)
        if not declared.consumes:
            raise UsageError(f"{workload} consumes nothing: there is nothing to run")
        owner = self.contracts.service(declared.service)
        table = dispatch_table(self.contracts, declared, service or load_service(self.contracts, owner))
        topics = consumer_topics(self.contracts, declared)
        outputs = self._outputs(declared, topics)
        self._cluster.make({*topics, *outputs})
        places, before = self._cluster.places(topics), self._cluster.ends(self._cluster.places(outputs))
        reading = Reading(self.contracts, declared, self._events)
        reached, left = self._starts(workload, places), True
        while left:
            starts = reached
            self._once(declared, table, topics, starts, reading)
            after = self._cluster.ends(self._cluster.places(outputs))
            reading.take(self._cluster.read({place: (before[place], after[place]) for place in after}), self._clock.ms)
            before, reached = after, self._starts(workload, places)
            # what was still in hand when the loop stopped may have led to more
            left = bool(ready := self._ready(reached))
            if left and reached == starts:
                raise ClusterError(f"{workload} does not get past {ready[0]}")
        committed = {
            topic: sum(reached[place] - self._origin.get(place, 0) for place in places if place[0] == topic)
            for topic in topics
        }
        return reading.outcome(committed)

    def _once(
        self,
        workload: Workload,
        table: Table,
        topics: tuple[str, ...],
        starts: Mapping[Place, int],
        reading: Reading,
    ) -> None:
        """Run the loop until nothing is left to do."""
        stop = IdleStop()

        def consumer() -> Any:
            return Member(self._cluster.consumer(workload.name), starts, self._ends, stop, reading.outcomes)

        def producer() -> Any:
            return Writer(self._cluster.producer, self._ends, self._clock)

        assembly = assemble(
            self.contracts,
            # the mock brokers forget a transaction's offsets
            attrs.evolve(workload, exactly_once=False, order="partition" if workload.parks else workload.order),
            table,
            registry=self.registry,
            consumer=consumer,
            producer=producer,
            patience=Patience(),
            stop=stop,
            journal=reading,
            clock=self._clock,
        )
        assembly.encoder.look_up()
        try:
            assembly.loop.run(topics)
        except KafkaException as error:
            raise ClusterError(f"{workload.name} cannot go on: {error.args[0].str()}") from error

    def _outputs(self, workload: Workload, topics: tuple[str, ...]) -> list[str]:
        """Return the topics that a workload may write to."""
        results = {self.contracts.domain_of(name).topic.name for name in workload.publishes}
        return [*results, *topics[1:], names.dead_letter_topic(topics[0], workload.name)]

    def _starts(self, group: str, places: list[Place]) -> dict[Place, int]:
        """Return where a group has come to; never before what this kit has sent."""
        committed = self._cluster.committed(group, places)
        return {place: max(committed.get(place, 0), self._origin.get(place, 0)) for place in places}

    def _ready(self, reached: dict[Place, int]) -> list[Coordinates]:
        """Return the first record of each partition that could be handled now and was not."""
        ends = self._cluster.ends(reached)
        behind = {place: (start, start + 1) for place, start in reached.items() if start < ends[place]}
        return [
            Coordinates(*place, offset)
            for place, offset, due in Reading.dues(self._cluster.read(behind))
            if due is None or due <= self._clock.ms
        ]

    def _domain(self, name: str) -> Domain:
        for domain in self.contracts.domains:
            if domain.name == name:
                return domain
        known = ", ".join(domain.name for domain in self.contracts.domains)
        raise UsageError(f"no domain is called {name!r}", next_step=f"known domains: {known}")


class _Links:
    """What a producer under test reaches the outside by."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.registry: SubjectSource = kit.registry

    def connect(self, on_error: OnError, transactional_id: str | None) -> Any:  # noqa: ARG002  # within this process
        kit = self._kit
        kit._cluster.make(domain.topic.name for domain in kit.contracts.domains)
        if transactional_id is not None:
            return Writer(kit._cluster.transactional(transactional_id), kit._ends, kit._clock)
        return Writer(kit._cluster.producer, kit._ends, kit._clock)

    def close(self) -> None:
        """Leave everything as it is: brokers and clients serve the next kit."""


def _writer(domain: Domain) -> str:
    return domain.writers[0] if domain.writers else _WRITER


@cache
def _contracts(root: Path) -> Contracts:
    """Load a project's contracts once: they do not change while its tests run."""
    return load(root)
