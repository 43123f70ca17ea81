"""What a reader makes of data written with another version of its schema."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest

from lockgate.avro.codec import Decoder, Encoder
from lockgate.errors import PoisonError


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.Event", "fields": list(fields)} | more


def value(type_: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "value", "type": type_} | more)


def read(writer: Any, reader: Any, datum: dict[str, Any]) -> dict[str, Any]:
    return Decoder(writer, reader).decode(Encoder(writer).encode(datum), 0)


def mismatch(writer: Any, reader: Any, datum: dict[str, Any]) -> str:
    with pytest.raises(PoisonError) as caught:
        read(writer, reader, datum)
    assert caught.value.reason == "schema-mismatch"
    return str(caught.value)


def test_fields_are_matched_by_name_and_come_in_the_readers_order() -> None:
    writer = record({"name": "a", "type": "int"}, {"name": "b", "type": "string"}, {"name": "c", "type": "int"})
    reader = record({"name": "c", "type": "int"}, {"name": "a", "type": "int"})
    assert list(read(writer, reader, {"a": 1, "b": "x", "c": 3}).items()) == [("c", 3), ("a", 1)]


def test_what_the_reader_does_not_have_is_checked_all_the_same() -> None:
    decoder = Decoder(value("boolean"), record())
    with pytest.raises(PoisonError):
        decoder.decode(b"\x07", 0)


@pytest.mark.parametrize(
    ("type_", "default", "expected"),
    [
        ("int", 5, 5),
        ("bytes", "\u00ff", b"\xff"),
        (["null", "int"], None, None),
        (["int", "long"], 3, ("int", 3)),
        (["null", "string"], "x", "x"),  # of the first branch that it fits, as Avro has it since 1.12
        (["int", "long"], 2**40, ("long", 2**40)),
        ({"type": "int", "logicalType": "date"}, 1, date(1970, 1, 2)),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, "\u0001", Decimal("0.01")),
        ({"type": "enum", "name": "t.C", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "array", "items": "int"}, [1], [1]),
        (
            {"type": "record", "name": "t.P", "fields": [{"name": "x", "type": "int", "default": 7}]},
            {},
            {"x": 7},
        ),
    ],
)
def test_a_default_is_a_value_like_any_other(type_: Any, default: Any, expected: Any) -> None:
    decoder = Decoder(record(), value(type_, default=default))
    datum = decoder.decode(b"", 0)
    assert datum == {"value": expected}
    if isinstance(expected, list | dict):
        assert decoder.decode(b"", 0)["value"] is not datum["value"]


def test_a_needed_field_that_was_not_written_is_a_mismatch() -> None:
    assert "needs the field value" in mismatch(record(), value("int"), {})


@pytest.mark.parametrize(
    ("writer", "reader", "written", "expected"),
    [
        ("int", "long", 1, 1),
        ("int", "double", 1, 1.0),
        ("long", "float", 2, 2.0),
        ("float", "double", 0.5, 0.5),
        ("string", "bytes", "é", b"\xc3\xa9"),
        ("bytes", "string", b"a", "a"),
        ("int", ["null", "long"], 1, 1),
        ("int", ["double", "int"], 1, 1),
        ("int", ["int", "long"], 1, ("int", 1)),
        (["null", "string"], "string", "a", "a"),
        (["null", "int"], ["null", "string", "long"], 4, 4),
        ({"type": "int", "logicalType": "date"}, "int", date(1970, 1, 2), 1),
        ("int", {"type": "int", "logicalType": "date"}, 1, date(1970, 1, 2)),
        ({"type": "array", "items": "int"}, {"type": "array", "items": "double"}, [1], [1.0]),
        ({"type": "map", "values": "int"}, {"type": "map", "values": ["null", "int"]}, {"a": 1}, {"a": 1}),
    ],
)
def test_types_that_go_together(writer: Any, reader: Any, written: Any, expected: Any) -> None:
    got = read(value(writer), value(reader), {"value": written})["value"]
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("writer", "reader", "written"),
    [
        ("long", "int", 1),
        ("string", "int", "1"),
        (["null", "string"], "string", None),
        ("boolean", ["null", "int"], True),
        ({"type": "fixed", "name": "t.F", "size": 1}, {"type": "fixed", "name": "t.F", "size": 2}, b"a"),
        ({"type": "fixed", "name": "t.F", "size": 1}, {"type": "fixed", "name": "t.G", "size": 1}, b"a"),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 3},
            Decimal("1.00"),
        ),
        (
            {"type": "int", "logicalType": "time-millis"},
            {"type": "int", "logicalType": "date"},
            time(1),
        ),
    ],
)
def test_types_that_do_not(writer: Any, reader: Any, written: Any) -> None:
    mismatch(value(writer), value(reader), {"value": written})


def test_only_the_branch_that_is_written_has_to_resolve() -> None:
    writer, reader = value(["null", "string"]), value("string")
    assert read(writer, reader, {"value": "a"}) == {"value": "a"}


def test_an_unknown_symbol_becomes_the_readers_default_or_is_a_mismatch() -> None:
    writer = {"type": "enum", "name": "t.C", "symbols": ["A", "B", "C"]}
    assert read(value(writer), value(writer | {"symbols": ["A", "C"], "default": "A"}), {"value": "B"}) == {
        "value": "A"
    }
    reordered = writer | {"symbols": ["C", "A"]}
    assert read(value(writer), value(reordered), {"value": "C"}) == {"value": "C"}
    assert "does not have the symbol B" in mismatch(value(writer), value(reordered), {"value": "B"})


def test_renamed_fields_and_types_are_found_by_alias() -> None:
    old = record({"name": "total", "type": {"type": "record", "name": "t.Money", "fields": []}})
    amount = {"type": "record", "name": "t.Amount", "aliases": ["Money"], "fields": []}
    new = record({"name": "sum", "aliases": ["total"], "type": amount})
    assert read(old, new, {"total": {}}) == {"sum": {}}


def test_records_in_unions_are_told_apart_by_name() -> None:
    one = {"type": "record", "name": "t.One", "fields": []}
    two = {"type": "record", "name": "t.Two", "fields": []}
    assert read(value([one, two]), value([two, one]), {"value": ("t.Two", {})}) == {"value": ("t.Two", {})}


def test_a_branch_of_the_same_name_that_does_not_take_all_is_passed_over_for_one_that_does() -> None:
    """As the compatibility check does: what it calls compatible is read."""

    def color(name: str, *symbols: str) -> dict[str, Any]:
        return {"type": "enum", "name": name, "symbols": list(symbols)}

    reader = value([color("a.Color", "A"), color("b.Color", "A", "B")])
    assert read(value(color("a.Color", "A", "B")), reader, {"value": "B"}) == {"value": ("b.Color", "B")}
    assert read(value(color("a.Color", "A")), reader, {"value": "A"}) == {"value": ("a.Color", "A")}


def test_recursive_types_resolve() -> None:
    node = {"name": "next", "type": ["null", "t.Event"]}
    new = record(node, {"name": "extra", "type": "int", "default": 9})
    datum = {"next": {"next": None}}
    assert read(record(node), new, datum) == {"next": {"next": None, "extra": 9}, "extra": 9}
