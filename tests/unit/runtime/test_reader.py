"""Each way in which a value can be none of the topic's has its own word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lockgate.avro.codec import Encoder
from lockgate.contracts.model import Domain, EventType, Location, Owner, TopicSpec
from lockgate.errors import PoisonError, RegistryUnavailable
from lockgate.records import frame
from lockgate.runtime.reader import Reader, schema_id_of

HERE = Location("domain.yaml", 1)


def record(name: str, *fields: str, namespace: str = "items") -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": namespace,
        "fields": [{"name": field, "type": "string"} for field in fields],
    }


MADE, GONE = record("Made", "id"), record("Gone", "id")
DOMAIN = Domain(
    "items",
    Owner("Team", "@team"),
    TopicSpec("items-topic", 1, 1, -1),
    "id",
    "FULL",
    (EventType("items.Made", MADE, HERE), EventType("items.Gone", GONE, HERE)),
    (),
    (),
    HERE,
)


class FakeRegistry:
    def __init__(self) -> None:
        self.schemas: dict[int, Any] = {}
        self.subjects: dict[int, frozenset[str]] = {}
        self.calls = 0
        self.down = False

    def add(self, schema_id: int, schema: Any, *subjects: str) -> None:
        self.schemas[schema_id] = schema
        self.subjects[schema_id] = frozenset(subjects)

    def schema(self, schema_id: int) -> Mapping[str, Any] | None:
        self.calls += 1
        if self.down:
            raise RegistryUnavailable("down")
        found: Mapping[str, Any] | None = self.schemas.get(schema_id)
        return found

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        return self.subjects.get(schema_id, frozenset())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry() -> FakeRegistry:
    found = FakeRegistry()
    found.add(1, MADE, "items-topic-items.Made")
    found.add(2, GONE, "items-topic-items.Gone")
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(registry: FakeRegistry, clock: Clock) -> Reader:
    return Reader(registry, DOMAIN, ("items.Made",), clock)


def test_a_consumed_type_comes_with_its_decoder(reader: Reader) -> None:
    value = frame(1, Encoder(MADE).encode({"id": "x"}))
    known = reader.resolve(value)
    assert known.event_type == "items.Made"
    assert known.decode is not None
    assert known.decode(value) == {"id": "x"}


def test_a_type_of_the_domain_that_is_not_consumed_is_no_poison(reader: Reader) -> None:
    assert reader.resolve(frame(2, b"whatever")).decode is None


def test_a_new_type_of_the_domain_is_known_before_its_contract(reader: Reader, registry: FakeRegistry) -> None:
    registry.add(3, record("Brandnew", "id"), "items-topic-items.Brandnew")
    assert reader.resolve(frame(3, b"")).decode is None


def test_an_older_schema_of_a_type_is_read_into_the_contracts(reader: Reader, registry: FakeRegistry) -> None:
    older = record("Made", "id", "extra")
    registry.add(4, older, "items-topic-items.Made")
    value = frame(4, Encoder(older).encode({"id": "x", "extra": "y"}))
    decode = reader.resolve(value).decode
    assert decode is not None
    assert decode(value) == {"id": "x"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty-value"),
        (b"\x00", "no-magic-byte"),
        (b"\x00\x00\x00\x01", "no-magic-byte"),
        (b"\x01\x00\x00\x00\x01", "no-magic-byte"),
        (b'{"json": true}', "no-magic-byte"),
        (frame(99, b""), "unknown-schema-id"),
        (frame(0xFFFFFFFF, b""), "unknown-schema-id"),
    ],
)
def test_poison_is_told_apart(reader: Reader, value: bytes, reason: str) -> None:
    with pytest.raises(PoisonError) as caught:
        reader.resolve(value)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("schema", "subjects"),
    [
        (MADE, ()),
        (MADE, ("elsewhere-items.Made",)),
        (MADE, ("items-topic-items.Gone",)),
        (record("Made", "id", namespace="others"), ("others-topic-others.Made",)),
        ("string", ("items-topic-items.Made",)),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, ("items-topic-E",)),
    ],
)
def test_an_id_that_is_not_under_this_topics_subjects_is_foreign(
    reader: Reader, registry: FakeRegistry, schema: Any, subjects: tuple[str, ...]
) -> None:
    registry.add(7, schema, *subjects)
    with pytest.raises(PoisonError) as caught:
        reader.resolve(frame(7, b""))
    assert (caught.value.reason, caught.value.schema_id) == ("foreign-schema-id", 7)


def test_a_schema_that_does_not_resolve_is_poison_not_a_crash(reader: Reader, registry: FakeRegistry) -> None:
    without = record("Made", "other")
    registry.add(5, without, "items-topic-items.Made")
    value = frame(5, Encoder(without).encode({"other": "x"}))
    decode = reader.resolve(value).decode
    assert decode is not None
    with pytest.raises(PoisonError) as caught:
        decode(value)
    assert caught.value.reason == "schema-mismatch"


def test_an_unknown_id_is_asked_for_once_in_a_while(reader: Reader, registry: FakeRegistry, clock: Clock) -> None:
    for _ in range(5):
        with pytest.raises(PoisonError):
            reader.resolve(frame(9, b""))
    assert registry.calls == 1
    registry.add(9, MADE, "items-topic-items.Made")
    clock.now += 31
    assert reader.resolve(frame(9, b"")).event_type == "items.Made"


def test_a_flood_of_made_up_ids_does_not_fill_the_memory(reader: Reader) -> None:
    for schema_id in range(100, 3000):
        with pytest.raises(PoisonError):
            reader.resolve(frame(schema_id, b""))
    assert len(reader._refused) <= 1024


def test_a_registry_that_does_not_answer_says_nothing_about_a_record(reader: Reader, registry: FakeRegistry) -> None:
    registry.down = True
    with pytest.raises(RegistryUnavailable):
        reader.resolve(frame(1, b""))
    registry.down = False
    assert reader.resolve(frame(1, b"")).event_type == "items.Made"


def test_a_schema_id_is_unsigned_and_big_endian() -> None:
    assert schema_id_of(b"\x00\xff\x00\x00\x01") == 0xFF000001
    assert schema_id_of(b"\x00\x00") is None
    assert schema_id_of(None) is None
