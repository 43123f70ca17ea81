"""An event that does not fit its schema is refused, with the place, before anything is sent."""

from __future__ import annotations

import enum
from collections import UserDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from lockgate.avro.codec import Decoder, Encoder
from lockgate.errors import EventError

MONEY = {
    "type": "record",
    "name": "t.Money",
    "fields": [
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
        {"name": "currency", "type": {"type": "enum", "name": "t.Currency", "symbols": ["EUR", "USD"]}},
    ],
}
ORDER = {
    "type": "record",
    "name": "t.Order",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "lines", "type": {"type": "array", "items": MONEY}},
        {"name": "labels", "type": {"type": "map", "values": "int"}, "default": {}},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}


def order(**changes: Any) -> dict[str, Any]:
    line = {"amount": Decimal("1.50"), "currency": "EUR"}
    return {"id": "o-1", "lines": [line, dict(line)], "labels": {"a": 1}, "note": None} | changes


def refusal(datum: Any, schema: Any = ORDER) -> EventError:
    with pytest.raises(EventError) as caught:
        Encoder(schema).encode(datum)
    return caught.value


def refused(type_: Any, value: Any) -> EventError:
    return refusal({"value": value}, {"type": "record", "name": "t.E", "fields": [{"name": "value", "type": type_}]})


def round_trip(type_: Any, value: Any) -> Any:
    schema = {"type": "record", "name": "t.E", "fields": [{"name": "value", "type": type_}]}
    return Decoder(schema, schema).decode(Encoder(schema).encode({"value": value}), 0)["value"]


@pytest.mark.parametrize("bits", range(63))
def test_longs_of_every_length_are_written_in_as_few_bytes_as_avro_says(bits: int) -> None:
    schema = {"type": "record", "name": "t.E", "fields": [{"name": "value", "type": "long"}]}
    for value in (1 << bits, (1 << bits) - 1, -1 << bits, (-1 << bits) - 1, (1 << bits) // 3, -(1 << bits) // 3):
        zigzag = 2 * value if value >= 0 else -2 * value - 1
        assert len(Encoder(schema).encode({"value": value})) == max(1, -(-zigzag.bit_length() // 7))
        assert round_trip("long", value) == value


def test_the_path_leads_to_the_value() -> None:
    datum = order()
    datum["lines"][1]["amount"] = "1.50"
    error = refusal(datum)
    assert (error.event_type, error.path) == ("t.Order", "lines[1].amount")
    assert str(error) == "t.Order at lines[1].amount: expected Decimal, got str of length 4"


def test_a_missing_field_is_refused() -> None:
    datum = order()
    del datum["lines"][0]["currency"]
    error = refusal(datum)
    assert (error.path, error.expected) == ("lines[0].currency", "t.Currency")
    assert error.got == "nothing: the field is missing"


def test_a_missing_field_with_a_default_gets_it() -> None:
    datum = order()
    del datum["note"], datum["labels"]
    decoded = Decoder(ORDER, ORDER).decode(Encoder(ORDER).encode(datum), 0)
    assert (decoded["note"], decoded["labels"]) == (None, {})


def test_an_unknown_field_is_refused_even_in_place_of_one_with_a_default() -> None:
    assert refusal(order(extra=1)).path == "extra"
    datum = order(noet="hello")
    del datum["note"]
    error = refusal(datum)
    assert error.path == "noet"
    assert "unknown field noet" in error.got


def test_an_unknown_symbol_is_refused_with_the_known_ones() -> None:
    datum = order()
    datum["lines"][0]["currency"] = "GBP"
    error = refusal(datum)
    assert (error.path, error.expected, error.got) == ("lines[0].currency", "one of EUR, USD", "'GBP'")


def test_keys_of_maps_are_part_of_the_path() -> None:
    assert refusal(order(labels={"a b": "x"})).path == "labels['a b']"


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("null", 0),
        ("boolean", 1),
        ("boolean", "true"),
        ("int", True),
        ("int", 1.0),
        ("int", 2**31),
        ("int", -(2**31) - 1),
        ("long", 2**63),
        ("long", "1"),
        ("float", 1e39),
        ("double", "1.5"),
        ("double", True),
        ("double", 2**53 + 1),
        ("double", 10**400),
        ("string", b"a"),
        ("string", 1),
        ("string", None),
        ("string", "\ud800"),
        ("bytes", "a"),
        ({"type": "fixed", "name": "t.Two", "size": 2}, b"abc"),
        ({"type": "array", "items": "int"}, "12"),
        ({"type": "array", "items": "int"}, {1, 2}),
        ({"type": "array", "items": "null"}, [None] * 10_001),
        ({"type": "map", "values": "int"}, [("a", 1)]),
        ({"type": "map", "values": "int"}, {1: 1}),
        ({"type": "int", "logicalType": "date"}, datetime(2025, 1, 1, tzinfo=UTC)),
        ({"type": "int", "logicalType": "date"}, 5),
        ({"type": "int", "logicalType": "time-millis"}, time(1, tzinfo=UTC)),
        ({"type": "long", "logicalType": "timestamp-millis"}, datetime(2025, 1, 1)),
        ({"type": "long", "logicalType": "timestamp-millis"}, date(2025, 1, 1)),
        ({"type": "long", "logicalType": "timestamp-micros"}, 1_700_000_000),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, datetime(2025, 1, 1, tzinfo=UTC)),
        ({"type": "string", "logicalType": "uuid"}, "00000000-0000-0000-0000-000000000000"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, Decimal("1.001")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, Decimal("100.00")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, Decimal("NaN")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, Decimal("-Infinity")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, Decimal("1E+999999")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, 1.5),
        (["null", "string"], 1),
        (["null", "int"], True),
        (["int", "long"], 1),
        (["int", "long"], ("double", 1)),
        (MONEY, None),
    ],
)
def test_nothing_is_made_to_fit(type_: Any, value: Any) -> None:
    assert refused(type_, value).path.startswith("value")


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("double", 3),
        ("double", float("inf")),
        (["null", "double"], 2),
        (["int", "double"], 2),
        (["int", "double"], 2.0),
        (["int", "long"], ("long", 5)),
        (["boolean", "int"], False),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, Decimal("-99.99")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, Decimal("1E+1")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, Decimal("1.2000000")),
        ({"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 30}, Decimal("1" * 30 + "." + "9" * 30)),
        ({"type": "long", "logicalType": "timestamp-millis"}, datetime(1, 1, 1, tzinfo=UTC)),
        ({"type": "long", "logicalType": "timestamp-micros"}, datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
def test_equal_values_come_back(type_: Any, value: Any) -> None:
    assert round_trip(type_, value) == value


def test_a_string_enum_is_a_symbol() -> None:
    class Currency(enum.StrEnum):
        US = "USD"

    assert round_trip({"type": "enum", "name": "t.C", "symbols": ["EUR", "USD"]}, Currency.US) == "USD"


def test_any_mapping_is_a_record() -> None:
    assert Encoder(ORDER).encode(UserDict(order())) == Encoder(ORDER).encode(order())


def test_a_timestamp_is_rounded_down_to_what_the_schema_keeps() -> None:
    before_1970 = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    type_ = {"type": "long", "logicalType": "timestamp-millis"}
    assert round_trip(type_, before_1970) == before_1970.replace(microsecond=999_000)


def test_a_datum_that_holds_itself_is_refused() -> None:
    node = {"type": "record", "name": "t.Node", "fields": [{"name": "next", "type": ["null", "t.Node"]}]}
    datum: dict[str, Any] = {}
    datum["next"] = datum
    assert refusal(datum, node).expected == "at most 200 levels"


def test_what_foreign_objects_raise_is_the_events_fault() -> None:
    class Hostile(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise RuntimeError("boom")

    class Odd(UserDict[str, Any]):
        def __len__(self) -> int:
            raise OSError

    assert refusal(Hostile(order())).got
    assert "OSError" in refusal(Odd(order())).got


def test_text_of_events_stays_out_of_errors() -> None:
    assert "secret" not in str(refusal(order(id=b"secret")))
    assert "secret" not in str(refused("int", "secret"))
