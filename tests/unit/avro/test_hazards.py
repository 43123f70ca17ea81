"""Unsafe findings: what every registry takes, and what is lost by it."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.avro import Finding, check


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.Event", "fields": list(fields)} | more


def value(type_: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "value", "type": type_} | more)


def color(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "t.Color", "symbols": list(symbols)} | more


def decimal(precision: int, scale: int, **more: Any) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale} | more


def logical(kind: str, name: str) -> dict[str, Any]:
    return {"type": kind, "logicalType": name}


def hazards(old: Any, new: Any, level: str = "BACKWARD") -> list[str]:
    findings = check([old], new, level, witnesses=False)
    assert all(finding.kind == "unsafe" for finding in findings), findings
    return [finding.rule for finding in findings]


@pytest.mark.parametrize(
    ("old", "new", "backward", "forward"),
    [
        (decimal(9, 2), decimal(9, 3), ["DECIMAL_SCALE_CHANGED", "DECIMAL_PRECISION_NARROWED"], 1),
        (decimal(9, 2), decimal(8, 2), ["DECIMAL_PRECISION_NARROWED"], 0),
        (decimal(9, 2), decimal(12, 2), [], 1),
        (decimal(9, 2), decimal(9, 2), [], 0),
        (decimal(9, 2), "bytes", ["LOGICAL_TYPE_CHANGED"], 1),
        (logical("long", "timestamp-millis"), logical("long", "timestamp-micros"), ["LOGICAL_TYPE_CHANGED"], 1),
        (logical("long", "timestamp-nanos"), logical("long", "timestamp-micros"), ["LOGICAL_TYPE_CHANGED"], 1),
        (logical("long", "timestamp-nanos"), "long", ["LOGICAL_TYPE_CHANGED"], 1),
        ("int", logical("int", "date"), ["LOGICAL_TYPE_CHANGED"], 1),
        (logical("int", "date"), logical("int", "date"), [], 0),
        (
            {"type": "fixed", "name": "t.F", "size": 12, "logicalType": "duration"},
            {"type": "fixed", "name": "t.F", "size": 12},
            ["LOGICAL_TYPE_CHANGED"],
            1,
        ),
        (color("A", "B", default="A"), color("A", default="A"), ["ENUM_SYMBOLS_READ_AS_DEFAULT"], 0),
        (color("A", default="A"), color("A", "B", default="A"), [], 1),
        (color("A", "B"), color("B", "A"), [], 0),
    ],
)
def test_what_is_written_is_read_as_something_else(old: Any, new: Any, backward: list[str], forward: int) -> None:
    assert hazards(value(old), value(new)) == backward
    assert len(hazards(value(old), value(new), "FORWARD")) == forward


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        ("long", "double", ["PROMOTION_LOSES_DIGITS"]),
        ("long", "float", ["PROMOTION_LOSES_DIGITS"]),
        ("int", "float", ["PROMOTION_LOSES_DIGITS"]),
        ("int", "double", []),
        ("int", "long", []),
        ("float", "double", []),
        ("bytes", "string", ["BYTES_READ_AS_TEXT"]),
        ("string", "bytes", []),
        (["null", "long"], ["null", "double"], ["PROMOTION_LOSES_DIGITS"]),
    ],
)
def test_promotions_that_lose_something(old: Any, new: Any, rules: list[str]) -> None:
    assert hazards(value(old), value(new)) == rules


def typed(type_: str, **more: Any) -> dict[str, Any]:
    return value({"type": "fixed", "name": type_, "size": 1} | more)


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        (value("int", default=1), value("int", default=2), ["DEFAULT_CHANGED"]),
        (value("int", default=1), value("int"), ["DEFAULT_LOST"]),
        (value("int"), value("int", default=1), []),
        (value(["int", "null"], default=0), value(["null", "int"], default=None), ["DEFAULT_CHANGED"]),
        # the same text, of another branch
        (value(["bytes", "string"], default="x"), value(["string", "bytes"], default="x"), ["DEFAULT_CHANGED"]),
        (value(["null", "int"], default=None), value(["null", "int", "string"], default=None), []),
        (value(color("A", "B", default="A")), value(color("A", "B", default="B")), ["DEFAULT_CHANGED"]),
        (value(color("A", "B", default="A")), value(color("A", "B")), ["DEFAULT_LOST"]),
        (value("int", doc="What."), value("int"), ["DOC_LOST"]),
        (value("int", doc="What."), value("int", doc="Whatever."), []),
        (record(doc="What."), record(), ["DOC_LOST"]),
        (record(owner="Shop"), record(), ["OWNER_LOST"]),
        (record(owner={"team": "Shop"}), record(owner={"team": "Stock"}), []),
        (record(), record(namespace="s", name="Event"), ["NAMESPACE_MOVED"]),
        (typed("t.F"), typed("s.F"), ["NAMESPACE_MOVED"]),
        (typed("t.F"), typed("t.G", aliases=["F"]), ["RENAMED_BY_ALIAS"]),
        (value("int"), record({"name": "number", "type": "int", "aliases": ["value"]}), ["RENAMED_BY_ALIAS"]),
        (value("int", aliases=["old"]), value("int"), ["ALIAS_LOST"]),
        (typed("t.F", aliases=["E"]), typed("t.F"), ["ALIAS_LOST"]),
        (value("int", default=0), record({"name": "number", "type": "int", "default": 0}), ["FIELD_LOOKS_RENAMED"]),
        (value("int", default=0), record({"name": "number", "type": "string", "default": ""}), []),
        # the order of fields and their sort order mean nothing to what is stored
        (
            record({"name": "a", "type": "int"}, {"name": "b", "type": "int"}),
            record({"name": "b", "type": "int", "order": "descending"}, {"name": "a", "type": "int"}),
            [],
        ),
    ],
)
def test_what_was_lost_since_the_version_before(old: Any, new: Any, rules: list[str]) -> None:
    assert hazards(old, new) == rules


def test_what_was_lost_is_told_once_and_not_against_every_version() -> None:
    first = value("int", doc="What.")
    findings = check([first, first | {"doc": "Event."}], value("int"), "FULL_TRANSITIVE")
    assert [(finding.rule, finding.version, finding.direction) for finding in findings] == [
        ("DOC_LOST", 2, "backward"),
        ("DOC_LOST", 2, "backward"),
    ]


def test_what_a_type_has_lost_is_told_once_and_what_its_data_lose_at_every_place_of_use() -> None:
    def priced(scale: int, **more: Any) -> dict[str, Any]:
        money = {"type": "record", "name": "t.Money", "fields": [{"name": "amount", "type": decimal(9, scale)}]} | more
        return record({"name": "price", "type": money}, {"name": "fee", "type": "t.Money"})

    findings = check([priced(3, doc="What.")], priced(2), "BACKWARD")
    assert [(finding.rule, finding.place) for finding in findings] == [
        ("DOC_LOST", "price"),
        ("DECIMAL_SCALE_CHANGED", "price.amount"),
        ("DECIMAL_SCALE_CHANGED", "fee.amount"),
    ]


def test_what_was_lost_is_told_where_only_earlier_readers_count_too() -> None:
    [finding] = check([value("int", doc="What.")], value("int"), "FORWARD")
    assert (finding.rule, finding.direction, finding.reader_path) == ("DOC_LOST", "forward", "/fields/0")


def test_none_forbids_nothing_and_finds_nothing() -> None:
    assert check([value(decimal(9, 2))], value("int"), "NONE") == []


def test_an_unsafe_finding_says_what_becomes_of_the_data_and_what_to_do() -> None:
    [finding] = check([value(color("A", "B", default="A"))], value(color("A", default="A")), "BACKWARD")
    assert isinstance(finding, Finding)
    assert finding.message == "since version 1: value: B may be written, and is read as A, the default of t.Color"
    assert finding.fix == "Keep the symbols, or make sure that readers may take them for A."
    assert (finding.place, finding.reader_path, finding.writer_path) == ("value", "/fields/0/type", "/fields/0/type")


def test_breaking_and_unsafe_are_told_apart_in_one_schema() -> None:
    old = record({"name": "a", "type": decimal(9, 2)}, {"name": "b", "type": "int"})
    new = record({"name": "a", "type": decimal(9, 1)}, {"name": "b", "type": "string"})
    assert [(finding.kind, finding.place) for finding in check([old], new, "BACKWARD")] == [
        ("unsafe", "a"),
        ("breaking", "b"),
    ]
