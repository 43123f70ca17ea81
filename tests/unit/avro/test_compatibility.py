"""Compatibility at all levels, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lockgate.avro import Finding, check
from lockgate.avro.codec import Decoder, Encoder
from lockgate.avro.comparison import MAX_USES, readable
from lockgate.avro.parser import parse
from lockgate.errors import SchemaError, UsageError
from tests.evolutions import REFUSED, TAKEN, pairs
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
    assert [(finding.rule, finding.reader_path, finding.writer_path) for finding in check([old], new, "BACKWARD")] == [
        ("TYPE_MISMATCH", "/fields/0/type", "/fields/0/type"),
        ("MISSING_UNION_BRANCH", "/fields/1/type", "/fields/1/type/0"),
        ("MISSING_UNION_BRANCH", "/fields/1/type", "/fields/1/type/1"),
        ("READER_FIELD_MISSING_DEFAULT_VALUE", "/fields/2", "/fields"),
    ]


def money(*fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.Money", "fields": [{"name": "amount", "type": "long"}, *fields]}


CURRENCY = {"name": "currency", "type": "string"}


def test_a_type_that_is_used_by_name_is_reported_at_every_place_of_use_with_the_cause_where_it_is_defined() -> None:
    def order(price: Any) -> dict[str, Any]:
        return record(
            {"name": "price", "type": price},
            {"name": "fees", "type": {"type": "array", "items": "t.Money"}},
            {"name": "rest", "type": {"type": "map", "values": ["null", "t.Money"]}},
        )

    price, fees, rest = check([order(money())], order(money(CURRENCY)), "BACKWARD")
    definition = "/fields/0/type/fields/1"
    assert (price.place, price.reader_path, price.causes) == ("price.currency", definition, ())
    assert (fees.place, fees.reader_path, fees.writer_path) == (
        "fees[].currency",
        "/fields/1/type/items",
        "/fields/1/type/items",
    )
    assert [(cause.rule, cause.reader_path) for cause in fees.causes] == [(price.rule, definition)]
    assert (rest.rule, rest.reader_path, rest.writer_path) == (
        "MISSING_UNION_BRANCH",
        "/fields/2/type/values",
        "/fields/2/type/values/1",
    )
    [in_branch] = rest.causes
    assert (in_branch.rule, in_branch.reader_path) == (price.rule, "/fields/2/type/values/1")
    assert in_branch.causes[0].reader_path == definition


def resolve(document: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        document = document[int(step) if isinstance(document, list) else step]
    return document


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(pairs())
def test_every_path_points_into_the_documents_as_they_were_given(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    assume(valid(pair))

    def look(finding: Finding) -> None:
        old, new = pair
        reader, writer = (new, old) if finding.direction == "backward" else (old, new)
        resolve(reader, finding.reader_path)
        resolve(writer, finding.writer_path)
        for cause in finding.causes:
            look(cause)

    for finding in check([pair[0]], pair[1], "FULL", witnesses=False):
        look(finding)


def valid(pair: tuple[dict[str, Any], dict[str, Any]]) -> bool:
    try:
        for schema in pair:
            parse(schema)
    except SchemaError:
        return False
    return True


@pytest.mark.parametrize(
    ("writer", "reader", "rules"),
    [
        # names match by their last part, or by an alias, which may be relative to the namespace
        ({"type": "fixed", "name": "a.F", "size": 1}, {"type": "fixed", "name": "b.F", "size": 1}, []),
        (
            {"type": "fixed", "name": "t.F", "size": 1},
            {"type": "fixed", "name": "G", "namespace": "t", "aliases": ["F"], "size": 1},
            [],
        ),
        (
            {"type": "fixed", "name": "s.F", "size": 1},
            {"type": "fixed", "name": "G", "namespace": "t", "aliases": ["F"], "size": 1},
            ["NAME_MISMATCH"],
        ),
        (
            {"type": "fixed", "name": "s.F", "size": 1},
            {"type": "fixed", "name": "G", "namespace": "t", "aliases": ["s.F"], "size": 1},
            [],
        ),
        # two mistakes in one type are two findings
        (
            {"type": "fixed", "name": "t.F", "size": 1},
            {"type": "fixed", "name": "t.G", "size": 2},
            ["NAME_MISMATCH", "FIXED_SIZE_MISMATCH"],
        ),
        (color("A", "B"), color("B", name="t.Hue"), ["NAME_MISMATCH", "MISSING_ENUM_SYMBOLS"]),
        (color("A", "B"), color("B", default="B"), []),
        (color("B", "A"), color("A", "B"), []),
        # promotions, one way only
        ("int", "long", []),
        ("int", "float", []),
        ("int", "double", []),
        ("long", "float", []),
        ("long", "double", []),
        ("float", "double", []),
        ("string", "bytes", []),
        ("bytes", "string", []),
        ("long", "int", ["TYPE_MISMATCH"]),
        ("double", "float", ["TYPE_MISMATCH"]),
        ("float", "long", ["TYPE_MISMATCH"]),
        ("boolean", "int", ["TYPE_MISMATCH"]),
        ("bytes", {"type": "fixed", "name": "t.F", "size": 1}, ["TYPE_MISMATCH"]),
        ("string", color("A"), ["TYPE_MISMATCH"]),
        ({"type": "array", "items": "int"}, {"type": "map", "values": "int"}, ["TYPE_MISMATCH"]),
        # unions: every branch that may be written has to find one that takes all of it
        (["int", "string"], ["string", "int"], []),
        (["int", "long"], ["double"], []),
        (["int", "string"], "string", ["TYPE_MISMATCH"]),
        ([], "int", []),
        ([], [], []),
        ("int", [], ["MISSING_UNION_BRANCH"]),
        (
            {"type": "array", "items": ["null", "int"]},
            ["null", {"type": "array", "items": ["null", "string"]}],
            ["MISSING_UNION_BRANCH"],
        ),
        (
            ["null", {"type": "record", "name": "t.P", "fields": []}],
            ["null", {"type": "record", "name": "t.Q", "fields": []}],
            ["MISSING_UNION_BRANCH"],
        ),
        # a branch of the same name that does not fit is passed over for one that does
        (color("A", "B", name="a.C"), [color("A", name="a.C"), color("A", "B", name="b.C")], []),
        # logical types do not count
        ({"type": "int", "logicalType": "date"}, {"type": "int", "logicalType": "time-millis"}, []),
        ({"type": "int", "logicalType": "date"}, "long", []),
        ({"type": "string", "logicalType": "uuid"}, "bytes", []),
    ],
)
def test_what_goes_together_and_what_does_not(writer: Any, reader: Any, rules: list[str]) -> None:
    assert [finding.rule for finding in breaking([value(writer)], value(reader), "BACKWARD")] == rules


def test_roots_need_not_be_records() -> None:
    assert breaking(["int"], "long", "BACKWARD") == []
    [finding] = breaking([["null", "int"]], "long", "BACKWARD")
    assert (finding.rule, finding.reader_path, finding.writer_path, finding.place) == ("TYPE_MISMATCH", "", "/0", "")


def test_the_default_of_an_enum_is_no_default_of_a_field() -> None:
    """Apache Avro's check calls it by this name."""
    [finding] = breaking([EMPTY], value(color("A", default="A")), "BACKWARD")
    assert (finding.rule, finding.reader_path) == ("TYPE_MISMATCH", "/fields/0/type")
    assert finding.fix == "Give the field a default."


def test_a_field_that_two_written_fields_could_fill_is_refused_as_readers_do() -> None:
    old = record({"name": "a", "type": "int"}, {"name": "b", "type": "int"})
    new = record({"name": "a", "type": "int", "aliases": ["b"]})
    [finding] = breaking([old], new, "BACKWARD")
    assert (finding.rule, finding.reader_path) == ("NAME_MISMATCH", "/fields/0/aliases")


@pytest.mark.parametrize("schema", TAKEN.values(), ids=TAKEN.keys())
def test_what_registries_take_for_a_schema_is_compared(schema: dict[str, Any]) -> None:
    alike = schema | {"owner": "Shop"}
    assert breaking([schema], alike, "FULL") == []


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED.keys())
def test_what_registries_refuse_is_no_schema_here_either(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        check([], schema, "FULL")
    with pytest.raises(SchemaError):
        parse(schema)


def test_a_schema_that_no_registry_takes_is_refused_with_its_place() -> None:
    with pytest.raises(SchemaError) as caught:
        check([REQUIRED], value({"type": "array"}), "FULL")
    assert caught.value.path == "/fields/0/type"


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


def test_what_a_recursive_type_rests_on_is_not_taken_for_sound_too_early() -> None:
    def link(payload: str) -> dict[str, Any]:
        inner = {"type": "record", "name": "t.Link", "fields": [{"name": "node", "type": ["null", "t.Node"]}]}
        node = record({"name": "link", "type": inner}, {"name": "payload", "type": payload}) | {"name": "t.Node"}
        return record({"name": "node", "type": node}, {"name": "other", "type": "t.Link"})

    places = [finding.place for finding in check([link("string")], link("int"), "BACKWARD")]
    assert places == ["node.payload", "other.node"]


def test_types_that_use_each_other_in_many_ways_are_compared_in_little_time() -> None:
    def layers(innermost: str) -> dict[str, Any]:
        type_: Any = {"type": "record", "name": "t.L0", "fields": [{"name": "x", "type": innermost}]}
        for n in range(1, 25):
            fields = [{"name": "a", "type": type_}, {"name": "b", "type": f"t.L{n - 1}"}]
            type_ = {"type": "record", "name": f"t.L{n}", "fields": fields}
        return record({"name": "top", "type": type_})  # 2**24 ways to the innermost

    assert check([layers("int")], layers("long"), "BACKWARD") == []
    found = check([layers("int")], layers("string"), "BACKWARD", witnesses=False)
    assert MAX_USES < len(found) < 100 * MAX_USES


def test_a_type_that_is_used_very_often_is_not_taken_for_sound_at_last() -> None:
    def often(symbols: list[str]) -> dict[str, Any]:
        one = {"type": "record", "name": "t.One", "fields": [{"name": "c", "type": color(*symbols)}]}
        fields = [{"name": "f", "type": one}, *({"name": f"f{n}", "type": "t.One"} for n in range(2 * MAX_USES))]
        return record(*fields)

    found = check([often(["A", "B"])], often(["A"]), "BACKWARD", witnesses=False)
    assert len(found) == 2 * MAX_USES + 1


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(records(), st.data(), st.integers(0, 2**32))
def test_what_is_called_compatible_is_read(schema: dict[str, Any], data: st.DataObject, seed: int) -> None:
    changed = data.draw(changes(schema))
    assume(readable(parse(schema), parse(changed)))
    Decoder(schema, changed).decode(Encoder(schema).encode(datum_for(schema, seed)), 0)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records())
def test_every_schema_is_compatible_with_itself(schema: dict[str, Any]) -> None:
    assert check([schema], schema | {"doc": "The same again."}, "FULL_TRANSITIVE") == []


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
