"""The checker's verdict is the registry's: on pairs made by hand and by hypothesis, rule by rule and place by place."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from lockgate.avro import check
from lockgate.avro.parser import parse
from lockgate.errors import RegistryError, SchemaError
from lockgate.registry import Registry
from tests.evolutions import REFUSED, TAKEN, pairs
from tests.worlds import SharedStack

ROOT = Path(__file__).resolve().parents[2]
PAIRS = 250
"""How many pairs hypothesis draws; those that are no valid schemas, or the same, are left out."""
THREADS = 8
_DIFFERENCE = re.compile(
    r"(?:(?P<FIXED_SIZE_MISMATCH>expected: \d+, found: \d+)|(?P<NAME_MISMATCH>expected: [^ ]+)"
    r"|(?P<MISSING_ENUM_SYMBOLS>\[[^\[\]]+\])|(?P<MISSING_UNION_BRANCH>reader union lacking writer type: \w+)"
    r"|(?P<TYPE_MISMATCH>reader type: \w+ not compatible with writer type: \w+)"
    r"|(?P<READER_FIELD_MISSING_DEFAULT_VALUE>\w+)) at (?P<place>/[\w/]*)"
)
"""How Apache Avro's check, inside the registry, words each of its rules."""


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.Event", "fields": list(fields)} | more


def value(type_: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "value", "type": type_} | more)


def named(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name} | more


def color(*symbols: str, name: str = "t.Color", **more: Any) -> dict[str, Any]:
    return named("enum", name, symbols=list(symbols)) | more


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def kinds(field: int) -> list[Any]:
    """Return a type of every kind; the named ones have a name of the field's own."""
    name = f"t.Same{field}"
    return [
        "null",
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "bytes",
        "string",
        named("fixed", name, size=1),
        color("A", name=name),
        named("record", name, fields=[]),
        {"type": "array", "items": "int"},
        {"type": "map", "values": "int"},
        ["null", "int"],
        ["string", named("record", name, fields=[])],
        [],
    ]


def every_kind(written: int | None = None) -> dict[str, Any]:
    """Return a record with a field of each kind, or one with as many fields of the same kind."""
    return record(
        *(
            {"name": f"f{field}", "type": kinds(field)[field if written is None else written]}
            for field in range(len(kinds(0)))
        )
    )


BY_HAND: list[tuple[Any, Any]] = [
    *((every_kind(kind), every_kind()) for kind in range(len(kinds(0)))),
    # names: the last part, aliases, relative ones
    (value(named("fixed", "a.F", size=1)), value(named("fixed", "b.F", size=1))),
    (value(named("fixed", "t.F", size=1)), value(named("fixed", "t.G", size=1, aliases=["F"]))),
    (value(named("fixed", "s.F", size=1)), value(named("fixed", "t.G", size=1, aliases=["F"]))),
    (value(named("fixed", "s.F", size=1)), value(named("fixed", "t.G", size=1, aliases=["s.F"]))),
    (value(["null", named("fixed", "s.F", size=1)]), value(["null", named("fixed", "t.F", size=1)])),
    (value(named("fixed", "t.F", size=1)), value(named("fixed", "t.G", size=2))),
    (record(), record() | {"name": "s.Event"}),
    (record(), record() | {"name": "t.Other"}),
    (record(), record(aliases=["t.Event"]) | {"name": "t.Other"}),
    # enums: symbols, defaults, and the default that is none of the field's
    (value(color("A", "B")), value(color("B"))),
    (value(color("A", "B")), value(color("B", default="B"))),
    (value(color("A", "B")), value(color("B", name="t.Hue"))),
    (record(), value(color("A", default="A"))),
    (record(), value(color("A"), default="A")),
    (value(color("A", "B", name="a.C")), value([color("A", name="a.C"), color("A", "B", name="b.C")])),
    # fields: defaults of a later branch, aliases, a null that is no default
    (record(), value(["null", "int"])),
    (record(), value(["null", "int"], default=None)),
    (record(), value(["null", "string"], default="x")),
    (value("int"), record({"name": "number", "type": "long", "aliases": ["value"]})),
    # a type used twice, and by itself
    *(
        (
            record({"name": "a", "type": named("record", "t.P", fields=[])}, {"name": "b", "type": "t.P"}),
            record(
                {"name": "a", "type": named("record", "t.P", fields=[{"name": "x", "type": "int"} | more])},
                {"name": "b", "type": "t.P"},
            ),
        )
        for more in ({}, {"default": 1})
    ),
    *(
        (
            record({"name": "next", "type": ["null", "t.Event"]}, {"name": "value", "type": "int"}),
            record({"name": "next", "type": ["null", "t.Event"]}, {"name": "value", "type": type_}),
        )
        for type_ in ("long", "string")
    ),
    # what the registry takes for a schema
    (record({"name": "größe", "type": "int"}), record({"name": "größe", "type": "long"})),
    (value({"type": "bytes", "logicalType": "decimal"}), value("bytes")),
    (value(color()), value(color("A"))),
    # logical types do not count
    (value(decimal(9, 2)), value(decimal(9, 3))),
    (value({"type": "int", "logicalType": "date"}), value({"type": "long", "logicalType": "timestamp-millis"})),
]


@attrs.frozen
class Difference:
    """Describe a pair on which the registry and the checker differ, and why; docs/compatibility.md has the table."""

    writer: Any
    reader: Any
    registry: str
    """`yes`, `no`, or `refused`: no verdict, so nothing can be registered."""
    checker: str
    follows: str
    """Who follows the specification."""


DIFFERENCES = {
    "a field that two written fields could fill": Difference(
        record({"name": "a", "type": "int"}, {"name": "b", "type": "int"}),
        record({"name": "a", "type": "int", "aliases": ["b"]}),
        registry="refused",
        checker="no",
        follows="both: the specification does not say which of the two, and Java's readers refuse to choose",
    ),
    "a type that is used before it is defined": Difference(
        record({"name": "a", "type": named("record", "t.P", fields=[])}, {"name": "b", "type": "t.P"}),
        record({"name": "a", "type": "t.P"}, {"name": "b", "type": named("record", "t.P", fields=[])}),
        registry="yes",
        checker="refused",
        follows="the checker: a name must be defined before it is used",
    ),
}


@pytest.fixture(scope="module")
def registry(stack: SharedStack) -> Iterator[Registry]:
    """Return the registry as the identity that may register."""
    with Registry(stack.settings("ci")) as client:
        yield client


Answer = tuple[str, set[tuple[str, str]]]
"""`yes`, `no` or `refused`, and the rules that were broken, each with its place in the reader's schema."""


def of_registry(registry: Registry, writer: Any, reader: Any) -> Answer:
    """Return what the registry says to a reader's schema that follows a writer's."""
    subject = f"parity-{secrets.token_hex(8)}-t.Event"
    registry.set_compatibility(subject, "BACKWARD")
    registry.register(subject, writer)
    try:
        registry.register(subject, reader)
    except RegistryError as error:
        refusal = error
    else:
        return "yes", set()
    if refusal.status != 409:
        return "refused", set()
    matches = list(_DIFFERENCE.finditer(refusal.message.partition("list of diff types: [")[2]))
    assert matches, refusal.message
    return "no", {(next(rule for rule, text in match.groupdict().items() if text), match["place"]) for match in matches}


def of_checker(writer: Any, reader: Any) -> Answer:
    """Return what the checker says, with the place where a type is defined, not where it is used by its name."""
    try:
        findings = check([writer], reader, "BACKWARD", witnesses=False)
    except SchemaError:
        return "refused", set()
    found: set[tuple[str, str]] = set()
    for finding in findings:
        inner = finding
        while inner.causes and inner.causes[0].rule == finding.rule and finding.rule != "MISSING_UNION_BRANCH":
            inner = inner.causes[0]
        if finding.kind == "breaking":
            found.add((finding.rule, inner.reader_path))
    return ("no" if found else "yes"), found


def agree(theirs: Answer, ours: Answer) -> bool:
    """Say whether two answers are the same: the registry adds the index of the writer's branch to some places."""
    return (
        theirs[0] == ours[0]
        and {rule for rule, _ in theirs[1]} == {rule for rule, _ in ours[1]}
        and all(any(rule == r and within(place, p) for r, p in ours[1]) for rule, place in theirs[1])
        and all(any(rule == r and within(p, place) for r, p in theirs[1]) for rule, place in ours[1])
    )


def within(place: str, path: str) -> bool:
    return place in (path or "/", path) or place.startswith(f"{path}/")


def drawn() -> list[tuple[Any, Any]]:
    """Return pairs that hypothesis draws, the same ones each time."""
    found: dict[str, tuple[Any, Any]] = {}

    @settings(
        max_examples=PAIRS,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(pairs())
    def draw(pair: tuple[Any, Any]) -> None:
        try:
            for schema in pair:
                parse(schema)
        except SchemaError:
            return
        if pair[0] != pair[1]:
            found[json.dumps(pair)] = pair

    draw()
    return list(found.values())


def test_the_verdict_is_the_registrys_on_every_pair(registry: Registry) -> None:
    asked = [*BY_HAND, *drawn()]
    assert len(asked) > len(BY_HAND) + PAIRS // 2
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda pair: of_registry(registry, *pair), asked))
    ours = [of_checker(*pair) for pair in asked]
    # all of it would prove little if one of the verdicts never came
    assert {"yes", "no"} == {verdict for verdict, _ in ours} - {"refused"}
    assert len({rule for _, found in ours for rule, _ in found}) == len(_DIFFERENCE.groupindex) - 1
    unlike = [
        (pair, registry_says, checker_says)
        for pair, registry_says, checker_says in zip(asked, answers, ours, strict=True)
        if not agree(registry_says, checker_says) and not listed(registry_says, checker_says)
    ]
    assert not unlike, f"{len(unlike)} of {len(asked)}: {json.dumps(unlike[0], default=list)}"


def listed(theirs: Answer, ours: Answer) -> bool:
    """Say whether two answers differ in the one listed way that drawing may hit upon."""
    ambiguous = any(rule == "NAME_MISMATCH" and path.endswith("/aliases") for rule, path in ours[1])
    return theirs[0] == "refused" and ours[0] == "no" and ambiguous


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_a_listed_difference_is_still_there(registry: Registry, difference: Difference) -> None:
    pair = difference.writer, difference.reader
    assert of_registry(registry, *pair)[0] == difference.registry
    assert of_checker(*pair)[0] == difference.checker


def test_what_is_a_schema_for_the_registry_is_one_for_the_checker(registry: Registry) -> None:
    def taken(schema: Any) -> bool:
        try:
            registry.register(f"parity-{secrets.token_hex(8)}-t.Odd", schema)
        except RegistryError as error:
            assert error.status == 422  # noqa: PT017  # any other status is no answer
            return False
        return True

    odd = TAKEN | REFUSED
    with ThreadPoolExecutor(THREADS) as pool:
        answers = dict(zip(odd, pool.map(taken, odd.values()), strict=True))
    assert answers == dict.fromkeys(TAKEN, True) | dict.fromkeys(REFUSED, False)


def test_every_listed_difference_is_documented() -> None:
    text = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    for name, difference in DIFFERENCES.items():
        assert f"| {name} | {difference.registry} | {difference.checker} | {difference.follows} |" in text
