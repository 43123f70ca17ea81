"""Witnesses: data that fastavro, which knows nothing of the checker, cannot read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lockgate.avro import Finding, Witness, check
from lockgate.avro.codec import Decoder
from lockgate.avro.parser import parse
from lockgate.avro.specimens import NoSpecimen, specimen
from lockgate.errors import SchemaError
from tests.evolutions import pairs

Pair = tuple[dict[str, Any], dict[str, Any]]


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.Event", "fields": list(fields)} | more


def value(type_: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "value", "type": type_} | more)


def color(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "t.Color", "symbols": list(symbols)} | more


def witness(old: Any, new: Any, level: str = "BACKWARD") -> Witness:
    [finding] = check([old], new, level)
    assert finding.witness is not None
    return finding.witness


def read(encoded: bytes, writer: Any, reader: Any) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(encoded), fastavro.parse_schema(writer), fastavro.parse_schema(reader))


def test_a_witness_is_a_datum_that_one_schema_writes_and_the_other_does_not_read() -> None:
    old, new = value(color("A", "B")), value(color("A"))
    found = witness(old, new)
    assert found == Witness(
        found=True,
        statement="what version 1 writes cannot be read with the candidate",
        datum={"value": "B"},
        encoded="02",
        written_with="version 1",
        read_with="the candidate",
        answer="SchemaResolutionError: B not found in reader symbol list t.Color, known symbols: ['A']",
    )
    assert read(bytes.fromhex(found.encoded), old, old) == found.datum
    with pytest.raises(fastavro.read.SchemaResolutionError):
        read(bytes.fromhex(found.encoded), old, new)


def test_forward_it_is_written_with_the_candidate() -> None:
    found = witness(value(color("A")), value(color("A", "B")), "FORWARD")
    assert (found.written_with, found.read_with, found.datum) == ("the candidate", "version 1", {"value": "B"})


@pytest.mark.parametrize(
    ("old", "new", "datum"),
    [
        (value(["null", "int"]), value(["int"]), {"value": None}),
        (value(["int", "null"]), value(["null"]), {"value": {"int": 16777217}}),
        (
            value({"type": "array", "items": ["null", color("A", "B")]}),
            value({"type": "array", "items": ["null", color("A")]}),
            {"value": [{"t.Color": "B"}]},
        ),
        (
            value({"type": "map", "values": {"type": "fixed", "name": "t.F", "size": 2}}),
            value({"type": "map", "values": {"type": "fixed", "name": "t.F", "size": 3}}),
            {"value": {"key": "\0\0"}},
        ),
        (
            record({"name": "next", "type": ["null", "t.Event"]}, {"name": "c", "type": color("A", "B")}),
            record({"name": "next", "type": ["null", "t.Event"]}, {"name": "c", "type": color("A")}),
            {"next": None, "c": "B"},
        ),
    ],
)
def test_it_has_the_part_that_breaks_and_little_else(old: Any, new: Any, datum: Any) -> None:
    assert witness(old, new).datum == datum


def test_each_witness_shows_its_own_finding_where_it_can() -> None:
    old = record({"name": "a", "type": ["null", "int", "string"]}, {"name": "b", "type": color("A", "B", "C")})
    new = record({"name": "a", "type": ["string"]}, {"name": "b", "type": color("C")})
    found = [finding.witness.datum for finding in check([old], new, "BACKWARD") if finding.witness]
    assert found == [
        {"a": None, "b": "C"},
        {"a": {"int": 16777217}, "b": "C"},
        {"a": {"string": ""}, "b": "A"},
    ]


def test_an_unsafe_finding_is_shown_by_what_is_read_instead() -> None:
    found = witness(value(color("A", "B", default="A")), value(color("A", default="A")))
    assert (found.found, found.answer) == (True, 'reads "A" where "B" was written')
    found = witness(value("long"), value("double"))
    assert (found.datum, found.answer) == (
        {"value": 2**53 + 1},
        "reads 9007199254740992.0 where 9007199254740993 was written",
    )
    found = witness(value("bytes"), value("string"))
    assert found.answer.startswith("UnicodeDecodeError")


def test_where_fastavro_reads_on_the_statement_says_so_and_what_the_strict_decoder_does() -> None:
    old, new = (value({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale}) for scale in (2, 3))
    findings = {finding.rule: finding.witness for finding in check([old], new, "BACKWARD")}
    found = findings["DECIMAL_SCALE_CHANGED"]
    assert found is not None
    assert (found.found, found.datum, found.encoded) == (False, None, "")
    assert found.statement == (
        "none found: fastavro reads as they were written each of the 7 data that were tried; it goes by the writer's "
        "scale, where other libraries go by the reader's; Lockgate's decoder refuses them (schema-mismatch: value "
        "(byte 0 of 5): a decimal of scale 2 is not one of scale 3)"
    )


def test_where_no_value_ends_the_statement_says_so() -> None:
    endless = {"name": "self", "type": ["t.Event"]}
    old, new = record(endless, {"name": "a", "type": "int"}), record(endless, {"name": "a", "type": "string"})
    assert witness(old, new).statement == "no datum can be made: t.Event holds itself without end"


def test_where_fastavro_does_not_take_a_schema_the_statement_says_so() -> None:
    odd = {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}
    found = witness(value(odd), value("int"))
    assert not found.found
    assert found.statement.startswith("fastavro does not take the schema: ")


def test_what_only_people_would_miss_has_no_witness() -> None:
    [finding] = check([record(doc="What.")], record(), "BACKWARD")
    assert finding.witness is None


def test_none_is_made_unless_it_is_asked_for() -> None:
    [finding] = check([value("int")], value("string"), "BACKWARD", witnesses=False)
    assert finding.witness is None


def test_a_finding_as_json_is_json() -> None:
    [finding] = check([value(["null", color("A", "B")])], value(["null", color("A")]), "BACKWARD")
    assert json.loads(json.dumps(finding.as_json())) == finding.as_json()
    assert finding.as_json()["causes"][0]["rule"] == "MISSING_ENUM_SYMBOLS"


def innermost(finding: Finding) -> Iterator[Finding]:
    yield finding
    for cause in finding.causes:
        yield from innermost(cause)


def resolve(document: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        document = document[int(step) if isinstance(document, list) else step]
    return document


PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


def is_named(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(is_named, schema))
    return schema["type"] in ("record", "enum", "fixed") if isinstance(schema, dict) else schema not in PRIMITIVES


def fastavro_is_lenient(finding: Finding, pair: Pair) -> bool:
    """Say whether a breaking finding is of a class that fastavro reads all the same: docs/compatibility.md has them."""
    for inner in innermost(finding):
        # two written fields fill one, and the first one wins
        if inner.reader_path.endswith("/aliases"):
            return True
        reader, writer = resolve(pair[1], inner.reader_path), resolve(pair[0], inner.writer_path)
        match inner.rule:
            case "TYPE_MISMATCH" | "MISSING_UNION_BRANCH":
                # a named type is taken for any other one of its last name or alias, whatever their kinds and sizes
                if is_named(reader) and is_named(writer):
                    return True
            case "NAME_MISMATCH":
                # an alias counts for every namespace
                if "aliases" in resolve(pair[1], inner.reader_path.removesuffix("/name")):
                    return True
    return False


def valid(pair: Pair) -> bool:
    try:
        for schema in pair:
            parse(schema)
    except SchemaError:
        return False
    return True


GENERATED = settings(
    deadline=None,
    derandomize=True,
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@GENERATED
@given(pairs())
def test_every_breaking_finding_has_a_witness_or_is_of_a_class_that_fastavro_lets_pass(pair: Pair) -> None:
    assume(valid(pair))
    findings = [finding for finding in check([pair[0]], pair[1], "BACKWARD") if finding.kind == "breaking"]
    # where a field is filled twice, what breaks in it may go unnoticed as well
    lenient = any(fastavro_is_lenient(finding, pair) for finding in findings)
    for finding in findings:
        assert finding.witness is not None
        if finding.witness.found:
            with pytest.raises(Exception):  # noqa: B017, PT011  # whatever a reader raises, it does not read
                read(bytes.fromhex(finding.witness.encoded), *pair)
        else:
            assert lenient, finding


def last_names(schema: Any) -> Iterator[str]:
    """Yield the last part of every name and alias of a type in a schema."""
    if isinstance(schema, list):
        for branch in schema:
            yield from last_names(branch)
    elif isinstance(schema, dict):
        if schema["type"] in ("record", "enum", "fixed"):
            yield from (name.rpartition(".")[2] for name in (schema["name"], *schema.get("aliases", ())))
        for inner in (schema.get("items"), schema.get("values"), *(f["type"] for f in schema.get("fields", ()))):
            yield from last_names(inner)


def fastavro_is_misled(pair: Pair) -> bool:
    """Say whether there are types that only their namespaces tell apart: fastavro may take the wrong branch then."""
    names = list(last_names(pair[1]))
    return len(names) != len(set(names))


REFUSED_VALUES = {
    "BYTES_READ_AS_TEXT",
    "DECIMAL_PRECISION_NARROWED",
    "DECIMAL_SCALE_CHANGED",
    "LOGICAL_TYPE_CHANGED",
}
"""Hazards that the strict decoder answers by refusing the value: it takes none for another."""


@GENERATED
@given(pairs(), st.integers(0, 2**16))
def test_what_has_no_breaking_finding_is_read_whatever_it_is(pair: Pair, seed: int) -> None:
    assume(valid(pair))
    findings = check([pair[0]], pair[1], "BACKWARD", witnesses=False)
    assume(not any(finding.kind == "breaking" for finding in findings))
    writer, reader = map(fastavro.parse_schema, pair)
    decoder = Decoder(*pair)
    for drawn in range(seed, seed + 8):
        try:
            datum = specimen(parse(pair[0]), (), (), drawn)
        except NoSpecimen:
            return
        out = io.BytesIO()
        fastavro.schemaless_writer(out, writer, datum)
        if not fastavro_is_misled(pair):
            fastavro.schemaless_reader(io.BytesIO(out.getvalue()), writer, reader)
        if not REFUSED_VALUES & {finding.rule for finding in findings}:
            decoder.decode(out.getvalue(), 0)
