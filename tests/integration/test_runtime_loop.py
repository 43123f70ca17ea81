"""The loop on the client library's own mock cluster, where brokers can be made to misbehave at will."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from lockgate import Context, RegistryUnavailable, Service
from lockgate.avro.codec import Encoder
from lockgate.connection import Settings
from lockgate.contracts.model import Contracts, Domain, EventType, Location, Owner, TopicSpec, Workload
from lockgate.contracts.model import Service as DeclaredService
from lockgate.records import frame
from lockgate.registry import RegisteredSchema
from lockgate.runtime.clients import connect_consumer, connect_producer
from lockgate.runtime.dispatch import dispatch_table
from lockgate.runtime.encoding import EventEncoder
from lockgate.runtime.intake import Intake
from lockgate.runtime.loop import Loop
from lockgate.runtime.outcomes import Outcomes
from lockgate.runtime.patience import Patience
from lockgate.runtime.publisher import Publisher
from lockgate.runtime.reader import Reader
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
NOTHING = -1001
"""What the client says where nothing was committed."""


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


class Lab:
    """One workload on a mock cluster."""

    def __init__(self, bootstrap: str, group: str) -> None:
        def domain(name: str, schema: dict[str, Any]) -> Domain:
            kind = EventType(f"{name}.{schema['name']}", schema, HERE)
            return Domain(name, OWNER, TopicSpec(name, 4, 1, -1), "id", "FULL", (kind,), (), (), HERE)

        self.settings = Settings(bootstrap)
        self.workload = Workload(group, "service", ("items.Made",), ("mail.Sent",), (), HERE)
        declared = DeclaredService("service", "service", OWNER, (self.workload,), HERE)
        self.contracts = Contracts(Path(), (domain("items", SCHEMA), domain("mail", SENT)), (declared,))
        self.stop = Stop(3600)
        self.service = Service("service")
        self.registry = FakeRegistry()
        self.failures = [0]
        self._raw = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})

    def put(self, *items: str, partition: int = 0) -> None:
        for item in items:
            value = b"" if item == "poison" else frame(1, Encoder(SCHEMA).encode({"id": item}))
            self._raw.produce("items", value, item.encode(), partition)
        assert self._raw.flush(10) == 0

    def run(self) -> None:
        registry: Any = self.registry
        intake = Intake(
            self.workload.name,
            lambda on_commit: connect_consumer(self.settings, self.workload.name, lambda _: None, on_commit),
            Patience(),
        )

        def connect() -> Any:
            return Flaky(connect_producer(self.settings, self.workload.name, lambda _: None), self.failures)

        table = dispatch_table(self.contracts, self.workload, self.service)
        Loop(
            self.workload,
            self.contracts.domains[0],
            table,
            intake=intake,
            outcomes=Outcomes(self.workload, intake.offsets, Publisher(connect, self.workload.name, "items"), None),
            reader=Reader(registry, self.contracts.domains[0], self.workload.consumes),
            encoder=EventEncoder(self.contracts, self.workload, registry),
            patience=Patience(),
            stop=self.stop,
        ).run(["items"])

    def stop_when(self, happened: Callable[[], bool]) -> None:
        """Request the stop from outside, once something has happened."""

        def watch() -> None:
            while not happened() and not self.stop.requested:
                time.sleep(0.05)
            self.stop.request()

        threading.Thread(target=watch, daemon=True).start()

    def committed(self, partition: int = 0) -> int:
        consumer = Consumer({"bootstrap.servers": self.settings.bootstrap_servers, "group.id": self.workload.name})
        (found,) = consumer.committed([TopicPartition("items", partition)], 10)
        consumer.close()
        return found.offset

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


@pytest.fixture
def lab() -> Iterator[Lab]:
    anchor = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = anchor.list_topics(timeout=10).brokers.values()
    yield Lab(",".join(f"{broker.host}:{broker.port}" for broker in brokers), "work")
    anchor.flush(0)


def test_what_is_handled_is_committed(lab: Lab) -> None:
    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        if event["id"] == "c":
            lab.stop.request()

    lab.put("a", "b", "poison", "c")
    lab.run()
    assert lab.committed() == 4
    (letter,) = lab.read(LETTERS)
    assert letter.value() == b""


def test_a_stop_leaves_what_is_behind_the_record_in_hand(lab: Lab) -> None:
    seen = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        seen.append(event["id"])
        if event["id"] == "b":
            lab.stop.request()

    lab.put("a", "b", "c", "d")
    lab.run()
    assert seen == ["a", "b"]
    assert lab.committed() == 2


@pytest.mark.parametrize("leaving", [SystemExit(7), KeyboardInterrupt(), GeneratorExit()])
def test_what_ends_the_process_leaves_the_record_in_hand_uncommitted(lab: Lab, leaving: BaseException) -> None:
    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        if event["id"] == "b":
            raise leaving

    lab.put("a", "b", "c")
    with pytest.raises(type(leaving)):
        lab.run()
    assert lab.committed() == 1


def test_a_record_whose_output_was_not_taken_is_read_again_and_nothing_is_committed_past_it(lab: Lab) -> None:
    calls: list[tuple[str, int]] = []
    lab.failures[0] = 2

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        calls.append((event["id"], lab.committed()))
        return "mail.Sent", event

    lab.put("a", "b", "c")
    lab.stop_when(lambda: lab.committed() == 3)
    lab.run()
    until_taken = calls[: max(index for index, (item, _) in enumerate(calls) if item == "a") + 1]
    assert len(until_taken) > 1
    assert {committed for _, committed in until_taken} <= {NOTHING, 0}
    assert {message.key() for message in lab.read("mail")} == {b"a", b"b", b"c"}


def test_a_letter_that_was_not_taken_is_sent_again_while_other_partitions_go_on(lab: Lab) -> None:
    lab.failures[0] = 1

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None: ...

    lab.put("poison", "a", partition=0)
    lab.put("b", partition=1)
    lab.stop_when(lambda: (lab.committed(0), lab.committed(1)) == (2, 1))
    lab.run()
    letters = lab.read(LETTERS)
    assert [letter.value() for letter in letters] == [b"", b""]  # the first one had arrived, whatever was said


def test_a_registry_that_is_away_holds_one_partition_back(lab: Lab) -> None:
    seen = []
    lab.registry.away = 1

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any], context: Context) -> None:
        seen.append((context.partition, event["id"]))
        if len(seen) == 4:
            lab.stop.request()

    lab.put("a", "b", partition=0)
    lab.put("c", "d", partition=1)
    lab.run()
    assert sorted(seen) == [(0, "a"), (0, "b"), (1, "c"), (1, "d")]
    assert (lab.committed(0), lab.committed(1)) == (2, 2)
    assert lab.registry.away == 0


def test_a_batch_that_turns_slow_is_put_back_and_taken_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockgate.runtime.loop._BATCH_AT_MOST", 0.05)
    seen = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        seen.append(event["id"])
        time.sleep(0.04)
        if len(seen) == 12:
            lab.stop.request()

    lab.put(*(f"a{number}" for number in range(6)), partition=0)
    lab.put(*(f"b{number}" for number in range(6)), partition=1)
    lab.run()
    for letter in "ab":
        assert [item for item in seen if item[0] == letter] == [f"{letter}{number}" for number in range(6)]
    assert (lab.committed(0), lab.committed(1)) == (6, 6)
