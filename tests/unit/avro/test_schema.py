"""Schema documents: mistakes with their place, bundles, and what counts as the same."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.avro.codec import Encoder
from lockgate.avro.sample import sample
from lockgate.avro.schema import bundle, canonical, full_name_of, names_used, validate
from lockgate.errors import SchemaError

MONEY = {"type": "record", "name": "Money", "namespace": "common", "fields": [{"name": "amount", "type": "long"}]}


def record(*fields: Any, name: str = "Event", namespace: str = "t") -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": namespace, "fields": list(fields)}


def field(type_: Any, **more: Any) -> dict[str, Any]:
    return {"name": "value", "type": type_} | more


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        (17, "", "expected a schema, got a number"),
        ({"name": "x"}, "", "`type` is missing"),
        ({"type": "record"}, "", "`name` is missing"),
        ({"type": "record", "name": "E"}, "", "`fields` must be a list"),
        ({"type": "record", "name": "1E", "fields": []}, "/name", "'1E' is no Avro name"),
        ({"type": "record", "name": "string", "fields": []}, "/name", "primitive"),
        (record({"type": "int"}), "/fields/0", "field's name"),
        (record({"name": "a"}), "/fields/0", "`type` is missing"),
        (record({"name": "a-b", "type": "int"}), "/fields/0/name", "a-b"),
        (record(field("int"), field("int")), "/fields/1", "twice"),
        (record(field("array")), "/fields/0/type", "a array is written as an object"),
        (record(field({"type": "array"})), "/fields/0/type", "`items` is missing"),
        (record(field({"type": "map", "values": 3})), "/fields/0/type/values", "expected a schema"),
        (record(field([])), "/fields/0/type", "at least one type"),
        (record(field(["int", "int"])), "/fields/0/type/1", "int is in the union twice"),
        (record(field(["null", ["int"]])), "/fields/0/type/1", "may not hold a union"),
        (record(field({"type": "enum", "name": "C", "symbols": []})), "/fields/0/type", "symbol"),
        (record(field({"type": "enum", "name": "C", "symbols": ["A", "A"]})), "/fields/0/type/symbols/1", "twice"),
        (record(field({"type": "enum", "name": "C", "symbols": ["a b"]})), "/fields/0/type/symbols/0", "no symbol"),
        (
            record(field({"type": "enum", "name": "C", "symbols": ["A"], "default": "B"})),
            "/fields/0/type/default",
            "none of the symbols",
        ),
        (record(field({"type": "fixed", "name": "F", "size": -1})), "/fields/0/type", "`size`"),
        (record(field({"type": "bytes", "logicalType": "decimal"})), "/fields/0/type", "precision"),
        (
            record(field({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3})),
            "/fields/0/type/scale",
            "`scale`",
        ),
        (
            record(field({"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 5})),
            "/fields/0/type/precision",
            "2 bytes hold 4",
        ),
        (record(field("int", default="1")), "/fields/0/default", "is no int"),
        (record(field("int", default=2**31)), "/fields/0/default", "is no int"),
        (record(field(["string", "null"], default=1)), "/fields/0/default", "is no string"),
        (record(field(MONEY, default={})), "/fields/0/default", "lacks amount"),
        (record(field({"type": "array", "items": "int"}, default=[1, "x"])), "/fields/0/default/1", "is no int"),
        (record(field("t.Event")), "", "always contains itself"),
        (record(field("int", aliases="x")), "/fields/0/aliases", "list of names"),
        (record(field({"type": "record", "name": "t.Event", "fields": []})), "/fields/0/type", "defined twice"),
    ],
)
def test_a_mistake_is_found_with_its_place(document: Any, path: str, message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        validate(document)
    assert message in str(caught.value)
    assert caught.value.path == path


def test_a_schema_nested_without_end_is_refused() -> None:
    document: Any = "int"
    for _ in range(5000):
        document = {"type": "array", "items": document}
    with pytest.raises(SchemaError, match="nested"):
        validate(record(field(document)))


def test_names_of_other_documents_are_taken_as_given_unless_it_is_to_be_self_contained() -> None:
    document = record(field("common.Money"), {"name": "other", "type": ["null", "Other"]})
    validate(document)
    assert names_used(document) == {"common.Money", "t.Other"}
    with pytest.raises(SchemaError, match=r"no type is called common\.Money"):
        validate(document, self_contained=True)


def test_logical_types_on_the_wrong_type_are_ignored_as_avro_says() -> None:
    schema = record(
        field({"type": "string", "logicalType": "date"}), {"name": "b", "type": {"type": "int", "logicalType": "x"}}
    )
    assert Encoder(schema).encode({"value": "a", "b": 1})


def test_a_bundle_inlines_each_type_at_its_first_use() -> None:
    order = record(field("common.Money"), {"name": "more", "type": {"type": "array", "items": "common.Money"}})
    bundled = bundle("t.Event", {"t.Event": order, "common.Money": MONEY})
    assert bundled["fields"][0]["type"] == MONEY
    assert bundled["fields"][1]["type"]["items"] == "common.Money"
    validate(bundled, self_contained=True)


def test_a_bundle_keeps_documents_as_they_are() -> None:
    order = record(field("common.Money"))
    before = repr((order, MONEY))
    bundle("t.Event", {"t.Event": order, "common.Money": MONEY})
    assert repr((order, MONEY)) == before


def test_names_inside_an_inlined_type_are_of_its_own_namespace() -> None:
    documents = {
        "t.Event": record(field("common.Outer")),
        "common.Outer": record(field("Inner"), name="Outer", namespace="common"),
        "common.Inner": record(field("int"), name="Inner", namespace="common"),
    }
    inner = bundle("t.Event", documents)["fields"][0]["type"]["fields"][0]["type"]
    assert full_name_of(inner) == "common.Inner"


def test_a_dangling_reference_names_who_uses_it() -> None:
    with pytest.raises(SchemaError, match=r"no document defines common\.Mony, which t\.Event uses") as caught:
        bundle("t.Event", {"t.Event": record(field("common.Mony"))})
    assert caught.value.path == "/fields/0/type"


def test_a_circle_of_documents_is_refused() -> None:
    documents = {
        "t.A": record(field(["null", "t.B"]), name="A"),
        "t.B": record(field(["null", "t.A"]), name="B"),
    }
    with pytest.raises(SchemaError, match=r"t\.A → t\.B → t\.A"):
        bundle("t.A", documents)


def test_a_record_may_hold_itself() -> None:
    node = record(field(["null", "t.Event"]))
    assert sample(bundle("t.Event", {"t.Event": node}), 1)


def test_documentation_and_spelling_do_not_change_the_meaning() -> None:
    one = record(field("string", doc="text", order="ascending"))
    other = {
        "fields": [{"type": {"type": "string"}, "name": "value"}],
        "name": "t.Event",
        "type": "record",
        "doc": "An event.",
    }
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    "changed",
    [
        record(field("string", default="x")),
        record(field("string", aliases=["old"])),
        record(field({"type": "string", "logicalType": "uuid"})),
        record(field("string", pii=True)),
        record(field("string"), name="Other"),
    ],
)
def test_defaults_aliases_logical_types_attributes_and_names_do(changed: Any) -> None:
    assert canonical(record(field("string"))) != canonical(changed)


def test_samples_are_the_same_for_the_same_seed() -> None:
    schema = record(field(MONEY), {"name": "note", "type": ["null", "string"]})
    assert sample(schema, 7) == sample(schema, 7)
    assert any(sample(schema, seed) != sample(schema, 7) for seed in range(20))
