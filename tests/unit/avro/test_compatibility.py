"""Compatibility at all levels, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lockgate.avro import Finding, check
from lockgate.avro.codec import Decoder, Encoder
from lockgate.avro.comparison import readable
from lockgate.avro.parser import parse
from lockgate.errors import UsageError
from tests.unit.avro.strategies import datum_for, records


def record(*fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.Event", "fields": list(fields)}


def value(type_: Any) -> dict[str, Any]:
    return record({"name": "value", "type": type_})


def color(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "t.Color", "symbols": list(symbols)} | more


def breaking(history: list[Any], candidate: Any, level: str) -> list[Finding]:
    return [finding for finding in check(history, candidate, level) if finding.kind == "breaking"]


EMPTY = record()
REQUIRED = value("int")
OPTIONAL = record({"name": "value", "type": "int", "default": 0})


@pytest.mark.parametrize(
    ("old", "new", "backward", "forward"),
    [
        (EMPTY, REQUIRED, False, True),  # a required field is added
        (EMPTY, OPTIONAL, True, True),
        (REQUIRED, EMPTY, True, False),  # … and removed
        (OPTIONAL, EMPTY, True, True),
        (value("int"), value("long"), True, False),
        (value("int"), value(["null", "int"]), True, False),
        (value(color("A")), value(color("A", "B")), True, False),
        (value(color("A", default="A")), value(color("A", "B", default="A")), True, True),
        (value("int"), value("string"), False, False),
    ],
)
def test_each_level_looks_in_its_directions(old: Any, new: Any, backward: bool, forward: bool) -> None:
    assert check([old], new, "NONE") == []
    for suffix in ("", "_TRANSITIVE"):
        assert (breaking([old], new, f"BACKWARD{suffix}") == []) is backward
        assert (breaking([old], new, f"FORWARD{suffix}") == []) is forward
        assert (breaking([old], new, f"FULL{suffix}") == []) is (backward and forward)


@pytest.mark.parametrize("direction", ["BACKWARD", "FORWARD", "FULL"])
def test_only_transitive_levels_look_at_every_version(direction: str) -> None:
    history = [value("string"), EMPTY]
    new = record({"name": "value", "type": "int", "default": 0})
    assert breaking(history, new, direction) == []
    findings = check(history, new, f"{direction}_TRANSITIVE")
    assert {finding.version for finding in findings} == {1}


def test_a_first_version_is_compatible_with_nothing_before_it() -> None:
    assert check([], REQUIRED, "FULL_TRANSITIVE") == []


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(UsageError, match="FULLY"):
        check([], REQUIRED, "FULLY")


@pytest.mark.parametrize(
    ("writer", "reader", "rule", "writer_path", "reader_path"),
    [
        ("int", "string", "TYPE_MISMATCH", "/fields/0/type", "/fields/0/type"),
        ("long", "int", "TYPE_MISMATCH", "/fields/0/type", "/fields/0/type"),
        (["null", "int"], "int", "TYPE_MISMATCH", "/fields/0/type/0", "/fields/0/type"),
        ("string", ["null", "int"], "MISSING_UNION_BRANCH", "/fields/0/type", "/fields/0/type"),
        (["int", "string"], ["int"], "MISSING_UNION_BRANCH", "/fields/0/type/1", "/fields/0/type"),
        (
            color("A", "B"),
            color("A"),
            "MISSING_ENUM_SYMBOLS",
            "/fields/0/type/symbols",
            "/fields/0/type/symbols",
        ),
        (
            {"type": "fixed", "name": "t.F", "size": 1},
            {"type": "fixed", "name": "t.F", "size": 2},
            "FIXED_SIZE_MISMATCH",
            "/fields/0/type/size",
            "/fields/0/type/size",
        ),
        (
            {"type": "fixed", "name": "t.F", "size": 1},
            {"type": "fixed", "name": "t.G", "size": 1},
            "NAME_MISMATCH",
            "/fields/0/type/name",
            "/fields/0/type/name",
        ),
        (
            {"type": "array", "items": {"type": "map", "values": "string"}},
            {"type": "array", "items": {"type": "map", "values": "int"}},
            "TYPE_MISMATCH",
            "/fields/0/type/items/values",
            "/fields/0/type/items/values",
        ),
        (
            {"type": "record", "name": "t.P", "fields": []},
            {"type": "record", "name": "t.P", "fields": [{"name": "x", "type": "int"}]},
            "READER_FIELD_MISSING_DEFAULT_VALUE",
            "/fields/0/type/fields",
            "/fields/0/type/fields/0",
        ),
    ],
)
def test_a_finding_names_rule_and_place(
    writer: Any, reader: Any, rule: str, writer_path: str, reader_path: str
) -> None:
    [finding] = check([value(writer)], value(reader), "BACKWARD")
    assert (finding.rule, finding.writer_path, finding.reader_path) == (rule, writer_path, reader_path)
    assert finding.message.startswith("what version 1 has written cannot be read any more: value")


def test_a_finding_says_its_direction() -> None:
    [finding] = check([REQUIRED], EMPTY, "FULL", witnesses=False)
    assert finding == Finding(
        kind="breaking",
        rule="READER_FIELD_MISSING_DEFAULT_VALUE",
        version=1,
        direction="forward",
        reader_path="/fields/0",
        writer_path="/fields",
        place="value",
        message="readers of version 1 cannot read what is written now: value: the reader needs it, it is not written, "
        "and it has no default",
        fix="Keep the field: earlier readers need it, for it had no default.",
    )


def test_every_finding_is_reported() -> None:
    old = record({"name": "a", "type": "int"}, {"name": "b", "type": ["null", "string"]})
    new = record({"name": "a", "type": "string"}, {"name": "b", "type": ["int"]}, {"name": "c", "type": "int"})
    assert [finding.rule for finding in check([old], new, "BACKWARD")] == [
        "TYPE_MISMATCH",
        "MISSING_UNION_BRANCH",
        "MISSING_UNION_BRANCH",
        "READER_FIELD_MISSING_DEFAULT_VALUE",
    ]


def test_aliases_of_the_reader_count() -> None:
    old = record({"name": "total", "type": color("A")})
    new = record({"name": "sum", "aliases": ["total"], "type": color("A") | {"name": "t.Hue", "aliases": ["Color"]}})
    assert breaking([old], new, "BACKWARD") == []
    assert {finding.rule for finding in breaking([old], new, "FORWARD")} == {"READER_FIELD_MISSING_DEFAULT_VALUE"}


def test_recursive_types_are_compared_once() -> None:
    def node(payload: str) -> dict[str, Any]:
        return record({"name": "next", "type": ["null", "t.Event"]}, {"name": "payload", "type": payload})

    assert check([node("int")], node("long"), "BACKWARD") == []
    assert len(check([node("string")], node("long"), "FULL")) == 2


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(records(), st.data(), st.integers(0, 2**32))
def test_what_is_called_compatible_is_read(schema: dict[str, Any], data: st.DataObject, seed: int) -> None:
    changed = data.draw(changes(schema))
    assume(readable(parse(schema), parse(changed)))
    Decoder(schema, changed).decode(Encoder(schema).encode(datum_for(schema, seed)), 0)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records())
def test_every_schema_is_compatible_with_itself(schema: dict[str, Any]) -> None:
    assert check([schema], schema, "FULL_TRANSITIVE") == []


@st.composite
def changes(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """Draw another version of a record: fields dropped, added, reordered, or of another type."""
    fields = [dict(field) for field in schema["fields"] if draw(st.integers(0, 3))]
    fields = draw(st.permutations(fields))
    for field in fields:
        # Avro lets bytes be read as text, whether or not they are: the one promotion that may fail on a value
        if isinstance(field["type"], str) and field["type"] != "bytes" and draw(st.booleans()):
            field["type"] = draw(st.sampled_from(["int", "long", "float", "double", ["null", "double", "string"]]))
        elif isinstance(field["type"], dict) and "symbols" in field["type"] and draw(st.booleans()):
            kept = field["type"]["symbols"][1:] or ["OTHER"]
            field["type"] = field["type"] | {"symbols": kept, "default": kept[0]}
    if draw(st.booleans()):
        fields.append({"name": "added", "type": ["null", "int"], "default": None})
    return schema | {"fields": fields}
