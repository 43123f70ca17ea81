"""Events become records that fit their contract, or nothing is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lockgate.avro.codec import Decoder
from lockgate.contracts.model import Contracts, Domain, EventType, Location, Owner, Service, TopicSpec, Workload
from lockgate.errors import EventError, RegistryError
from lockgate.records import CE_TIME, TRACEPARENT
from lockgate.registry import RegisteredSchema
from lockgate.runtime.encoding import EventEncoder, event_headers

HERE = Location("somewhere.yaml", 1)
OWNER = Owner("Team", "@team")

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def schema(name: str) -> dict[str, Any]:
    fields = [{"name": "item_id", "type": "string"}, {"name": "size", "type": "int"}]
    return {"type": "record", "name": name, "namespace": "items", "fields": fields}


MADE = EventType("items.Made", schema("Made"), HERE)
GONE = EventType("items.Gone", schema("Gone"), HERE)
DOMAIN = Domain("items", OWNER, TopicSpec("items-topic", 1, 1, -1), "item_id", "FULL", (MADE, GONE), (), (), HERE)
WRITER = Workload("writer", "shop", (), ("items.Made",), (), HERE)
CONTRACTS = Contracts(Path(), (DOMAIN,), (Service("shop", "shop", OWNER, (WRITER,), HERE),))


class Subjects:
    def __init__(self, known: Mapping[str, int]) -> None:
        self.known = known
        self.asked: list[str] = []

    def find(self, subject: str, schema: Mapping[str, Any]) -> RegisteredSchema | None:
        self.asked.append(subject)
        found = self.known.get(subject)
        return None if found is None else RegisteredSchema(subject, 1, found, schema)


class Made:
    __avro_name__: ClassVar[str] = "items.Made"

    def to_avro(self) -> dict[str, Any]:
        return {"item_id": "äpfel", "size": 3}


class Gone(Made):
    __avro_name__: ClassVar[str] = "items.Gone"


@pytest.fixture
def subjects() -> Subjects:
    return Subjects({"items-topic-items.Made": 258})


def test_an_event_is_framed_with_its_id_and_keyed_by_the_contract(subjects: Subjects) -> None:
    encoder = EventEncoder(CONTRACTS, WRITER, subjects)
    for event in (Made(), ("items.Made", {"item_id": "äpfel", "size": 3})):
        encoded = encoder.encode(event)
        assert (encoded.event_type, encoded.topic, encoded.key) == ("items.Made", "items-topic", "äpfel".encode())
        assert encoded.value[:5] == b"\x00\x00\x00\x01\x02"
        assert Decoder(MADE.schema, MADE.schema).decode(encoded.value) == {"item_id": "äpfel", "size": 3}


def test_a_class_that_was_seen_is_taken_for_its_own_type_and_refused_as_often_as_it_comes(subjects: Subjects) -> None:
    encoder = EventEncoder(CONTRACTS, WRITER, subjects)
    for _ in range(2):
        assert encoder.encode(Made()).event_type == "items.Made"
        with pytest.raises(EventError, match=re.escape("an event type that writer publishes (items.Made)")):
            encoder.encode(Gone())


def test_an_id_is_looked_up_once(subjects: Subjects) -> None:
    encoder = EventEncoder(CONTRACTS, WRITER, subjects)
    encoder.look_up()
    encoder.encode(Made())
    encoder.look_up()
    assert subjects.asked == ["items-topic-items.Made"]


def test_a_schema_that_is_not_registered_is_an_error_and_stays_unregistered() -> None:
    encoder = EventEncoder(CONTRACTS, WRITER, Subjects({}))
    with pytest.raises(RegistryError, match=re.escape("does not have this version of items.Made")) as caught:
        encoder.look_up()
    assert "lockgate schemas register" in (caught.value.next_step or "")


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (("items.Made", {"item_id": "a", "size": "large"}), "items.Made at size: expected"),
        (("items.Made", {"item_id": "a", "size": 2**31}), "items.Made at size: expected"),
        (("items.Made", {"item_id": "a"}), "items.Made at size: expected"),
        (("items.Made", {"item_id": "a", "size": 1, "hue": 2}), "items.Made at hue: expected"),
        (("items.Made", {"item_id": None, "size": 1}), "items.Made at item_id: expected"),
        (("items.Gone", {}), "items.Gone: expected an event type that writer publishes (items.Made), got items.Gone"),
        ({"item_id": "a"}, "event: expected an event object or (full name, dict), got dict"),
        (None, "event: expected an event object or (full name, dict), got NoneType"),
        (("items.Made",), "event: expected an event object or (full name, dict), got tuple"),
    ],
)
def test_an_event_that_does_not_fit_names_field_expected_and_got(
    event: object, message: str, subjects: Subjects
) -> None:
    with pytest.raises(EventError, match="^" + re.escape(message)):
        EventEncoder(CONTRACTS, WRITER, subjects).encode(event)


def test_headers_are_cloudevents_and_the_given_trace() -> None:
    own = dict(event_headers("items.Made", "id-1", "writer", TRACE))
    when = own.pop(CE_TIME) or b""
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", when)
    assert own.pop(TRACEPARENT) == TRACE
    assert own == {
        "ce_specversion": b"1.0",
        "ce_id": b"id-1",
        "ce_type": b"items.Made",
        "ce_source": b"writer",
        "content-type": b"application/avro",
    }
