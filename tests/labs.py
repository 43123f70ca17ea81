"""One workload on the client library's own mock cluster: no JVM, and brokers that misbehave at will."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from lockgate import RegistryUnavailable, Service
from lockgate.avro.codec import Encoder
from lockgate.committed import Committed
from lockgate.connection import Settings
from lockgate.contracts.model import Contracts, Domain, EventType, Location, Owner, TopicSpec, Workload
from lockgate.contracts.model import Service as DeclaredService
from lockgate.records import Coordinates, Envelope, enclose, frame
from lockgate.registry import RegisteredSchema
from lockgate.runtime.assembly import assemble
from lockgate.runtime.clients import connect_consumer, connect_producer
from lockgate.runtime.dispatch import dispatch_table
from lockgate.runtime.patience import Patience
from lockgate.runtime.signals import Stop

HERE = Location("service.yaml", 1)
OWNER = Owner("Team", "@team")
SCHEMA = {
    "type": "record",
    "name": "Made",
    "namespace": "items",
    "fields": [{"name": "id", "type": "string"}],
}
SENT = SCHEMA | {"name": "Sent", "namespace": "mail"}
LETTERS = "items.dlq.work"
PARKED = "items.retry.work.parked"
NOTHING = -1001
"""What the client says where nothing was committed."""


PATIENCE = 120.0
"""Seconds after which a workload under test is stopped anyway, so that what it has not done is seen."""


class FakeRegistry:
    """Knows one schema; away as often as it is told to be."""

    def __init__(self) -> None:
        self.away = 0

    def schema(self, schema_id: int) -> Mapping[str, Any] | None:
        if self.away:
            self.away -= 1
            raise RegistryUnavailable("away")
        return SCHEMA if schema_id == 1 else None

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        return frozenset({"items-items.Made"} if schema_id == 1 else ())

    def find(self, subject: str, schema: Mapping[str, Any]) -> RegisteredSchema | None:
        return RegisteredSchema(subject, 1, 2, schema)


class Flaky:
    """A real producer, but the brokers' first answers are failures."""

    def __init__(self, producer: Producer, failures: list[int]) -> None:
        self._producer = producer
        self._failures = failures

    def produce(self, topic: str, value: Any, key: Any, partition: int, *, on_delivery: Any, headers: Any) -> None:
        failing = bool(self._failures) and self._failures[0] > 0
        if failing:
            self._failures[0] -= 1

        def done(error: KafkaError | None, message: Any) -> None:
            on_delivery(KafkaError(KafkaError._MSG_TIMED_OUT) if failing else error, message)

        self._producer.produce(topic, value, key, partition, on_delivery=done, headers=headers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def __len__(self) -> int:
        return len(self._producer)


class Pausing:
    """What a control topic says, without one."""

    def __init__(self) -> None:
        self.paused = False
        self.looks = 0
        """How often it was asked."""

    def look(self) -> None:
        self.looks += 1


def contracts_with(workload: Workload) -> Contracts:
    """Return contracts with two domains and one workload."""

    def domain(name: str, schema: dict[str, Any]) -> Domain:
        kind = EventType(f"{name}.{schema['name']}", schema, HERE)
        return Domain(name, OWNER, TopicSpec(name, 4, 1, -1), "id", "FULL", (kind,), (), (), HERE)

    declared = DeclaredService("service", "service", OWNER, (workload,), HERE)
    return Contracts(Path(), (domain("items", SCHEMA), domain("mail", SENT)), (declared,))


class Lab:
    """One workload on a mock cluster."""

    def __init__(self, bootstrap: str, group: str) -> None:
        self.settings = Settings(bootstrap)
        self.workload = Workload(group, "service", ("items.Made",), ("mail.Sent",), (), HERE)
        self.stop = Stop(3600)
        self.service = Service("service")
        self.registry = FakeRegistry()
        self.failures = [0]
        self.control = Pausing()
        self.producers: Callable[[Any], Any] = lambda producer: producer
        """What wraps each producer that is made."""
        self._raw = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
        self._committed = Committed({"bootstrap.servers": bootstrap})

    def put(self, *items: str, partition: int = 0) -> None:
        for item in items:
            value = b"" if item == "poison" else frame(1, Encoder(SCHEMA).encode({"id": item}))
            self._raw.produce("items", value, item.encode(), partition)
        assert self._raw.flush(10) == 0

    def say(self, topic: str, key: str, value: bytes | None, envelope: Envelope) -> None:
        """Write a record of the first partition of a retry topic."""
        self._raw.produce(topic, value, key.encode(), 0, headers=list(enclose((), envelope)))
        assert self._raw.flush(10) == 0

    def release(self, item: str, offset: int, replay: int = 0) -> None:
        """Release a key from what a dead letter has put on it, as an operator does."""
        self.say(PARKED, item, None, attrs.evolve(self._envelope(offset, replay), releases=True))

    def replay(self, item: str, offset: int) -> None:
        """Send a dead letter back, as an operator does where dead letters hold their keys."""
        self.say(PARKED, item, frame(1, Encoder(SCHEMA).encode({"id": item})), self._envelope(offset, 1))

    def _envelope(self, offset: int, replay: int) -> Envelope:
        source = Coordinates("items", 0, offset)
        return Envelope(source, self.workload.name, 0, 0, "CreateTime", "handle", "reject", "never", replay=replay)

    def make(self, *topics: str) -> None:
        """Make topics: the mock cluster does, for a producer that asks about them."""
        for topic in topics:
            self._raw.list_topics(topic, 10)

    def declare(self, **fields: Any) -> None:
        """Change what the workload's contract says."""
        self.workload = attrs.evolve(self.workload, **fields)

    def run(self, topics: Sequence[str] = ("items",)) -> None:
        """Run the workload until the stop."""
        registry: Any = self.registry
        contracts = contracts_with(self.workload)
        assembly = assemble(
            contracts,
            self.workload,
            dispatch_table(contracts, self.workload, self.service),
            registry=registry,
            consumer=self.connect_consumer,
            producer=self.connect_producer,
            patience=Patience(),
            stop=self.stop,
            journal=None,
            clock=time.time,  # mock brokers stamp everything with the same moment of 1970
            max_poll_interval=int(self.settings.kafka.get("max.poll.interval.ms", 300_000)) / 1000,
        )
        control: Any = self.control
        assembly.intake.control = control
        self.assembly, self.intake, self.loop = assembly, assembly.intake, assembly.loop
        while not assembly.settlement.prepare():
            pass
        assembly.loop.run(topics)

    def connect_consumer(self) -> Consumer:
        self.consumer = connect_consumer(self.settings, self.workload.name, lambda _: None)
        return self.consumer

    def connect_producer(self) -> Any:
        own = f"{self.workload.name}~{id(self)}" if self.workload.exactly_once or self.workload.parks else None
        producer = connect_producer(self.settings, self.workload.name, lambda _: None, own)
        return self.producers(Flaky(producer, self.failures))

    def stop_when(self, happened: Callable[[], bool]) -> None:
        """Request the stop from outside, once something has happened."""

        deadline = time.monotonic() + PATIENCE

        def watch() -> None:
            while not self.stop.requested and time.monotonic() < deadline:
                with suppress(KafkaException):  # on a busy machine even brokers in this process may not answer in time
                    if happened():
                        break
                time.sleep(0.05)
            self.stop.request()

        threading.Thread(target=watch, daemon=True).start()

    def committed(self, partition: int = 0) -> int:
        place = ("items", partition)
        return self._committed.of([self.workload.name], [place])[self.workload.name].get(place, NOTHING)

    def close(self) -> None:
        """Let go of what looks at the group from outside."""
        self._committed.close()

    def commit(self, positions: list[TopicPartition]) -> None:
        """Commit offsets as the workload's own consumer."""
        self.consumer.commit(offsets=positions, asynchronous=False)

    def read(self, topic: str) -> list[Any]:
        consumer = Consumer(
            {"bootstrap.servers": self.settings.bootstrap_servers, "group.id": "none", "enable.partition.eof": True}
        )
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(4)])
        found, ended = [], 0
        while ended < 4:
            for message in consumer.consume(100, 0.1):
                ended += message.error() is not None
                found += [message] if message.error() is None else []
        consumer.close()
        return found


def started(lab: Lab, topics: Sequence[str] = ("items",)) -> threading.Thread:
    """Run a lab's workload in a thread; `stopped` ends it."""
    thread = threading.Thread(target=lab.run, args=(topics,), daemon=True)
    thread.start()
    return thread


def stopped(lab: Lab, thread: threading.Thread) -> None:
    """Stop a lab's workload, and see that it ends."""
    lab.stop.request()
    thread.join(30)
    assert not thread.is_alive()


@contextmanager
def running_lab() -> Iterator[Lab]:
    """Start a mock cluster with one broker, and end it."""
    anchor = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = anchor.list_topics(timeout=10).brokers.values()
    lab = Lab(",".join(f"{broker.host}:{broker.port}" for broker in brokers), "work")
    yield lab
    lab.close()
    anchor.flush(0)
