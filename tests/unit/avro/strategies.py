"""Random record schemas, with everything that Avro has, and data that fits them."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from lockgate.avro.parser import parse
from lockgate.avro.sample import sample_of

PLAIN: list[Any] = [
    "null",
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "bytes",
    "string",
    {"type": "string", "logicalType": "uuid"},
    {"type": "int", "logicalType": "date"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "local-timestamp-millis"},
    {"type": "long", "logicalType": "local-timestamp-micros"},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 38},
]


class _Names:
    def __init__(self) -> None:
        self.count = 0

    def fresh(self) -> str:
        self.count += 1
        return f"t.Type{self.count}"


def _branch_key(schema: Any) -> str:
    if isinstance(schema, str):
        return schema
    return str(schema.get("name", schema["type"]))


@st.composite
def types(draw: st.DrawFn, names: _Names, depth: int, enclosing: str) -> Any:
    kinds = ["plain"] * 4 + (
        ["enum", "fixed", "decimal", "array", "map", "union", "record", "self"] if depth < 3 else []
    )
    match draw(st.sampled_from(kinds)):
        case "enum":
            symbols = [f"S{n}" for n in range(draw(st.sampled_from([1, 3, 70])))]
            return {"type": "enum", "name": names.fresh(), "symbols": symbols}
        case "fixed":
            return {"type": "fixed", "name": names.fresh(), "size": draw(st.integers(0, 20))}
        case "decimal":
            name = names.fresh()
            return {"type": "fixed", "name": name, "size": 8, "logicalType": "decimal", "precision": 12, "scale": 3}
        case "array":
            return {"type": "array", "items": draw(types(names, depth + 1, enclosing))}
        case "map":
            return {"type": "map", "values": draw(types(names, depth + 1, enclosing))}
        case "union":
            branches: dict[str, Any] = {}
            for _ in range(draw(st.integers(1, 4))):
                branch = draw(types(names, depth + 1, enclosing))
                if not isinstance(branch, list):
                    branches.setdefault(_branch_key(branch), branch)
            return list(branches.values()) or ["null"]
        case "record":
            return draw(records(names, depth + 1))
        case "self":
            return ["null", enclosing]
        case _:
            return draw(st.sampled_from(PLAIN))


@st.composite
def records(draw: st.DrawFn, names: _Names | None = None, depth: int = 0) -> dict[str, Any]:
    names = names or _Names()
    name = names.fresh()
    count = draw(st.integers(0 if depth else 1, 5))
    fields = [{"name": f"f{n}", "type": draw(types(names, depth + 1, name))} for n in range(count)]
    return {"type": "record", "name": name, "fields": fields}


@st.composite
def defaults(draw: st.DrawFn, schema: Any) -> Any:
    """Draw a default for a type, as JSON; of unions it is of the first branch."""
    if isinstance(schema, list):
        return draw(defaults(schema[0]))
    kind = schema if isinstance(schema, str) else schema["type"]
    logical = "" if isinstance(schema, str) else schema.get("logicalType", "")
    match kind:
        case "null":
            return None
        case "boolean":
            return draw(st.booleans())
        case "int" | "long":
            return draw(st.integers(0, 86_399_999) if logical.startswith("time-") else st.integers(-20_000, 20_000))
        case "float" | "double":
            return draw(st.sampled_from([0, -1.5, 2, 1e30, 1e999 if kind == "double" else 0.25]))
        case "string":
            return str(draw(st.uuids())) if logical else draw(st.text(max_size=4))
        case "bytes":
            size = draw(st.integers(1, 3) if logical else st.integers(0, 4))
            return "".join(chr(draw(st.integers(0, 255))) for _ in range(size))
        case "fixed":
            largest = 0 if logical else 255
            return "".join(chr(draw(st.integers(0, largest))) for _ in range(schema["size"]))
        case "enum":
            return draw(st.sampled_from(schema["symbols"]))
        case "array":
            return draw(st.lists(defaults(schema["items"]), max_size=2))
        case "map":
            return draw(st.dictionaries(st.text(max_size=3), defaults(schema["values"]), max_size=2))
        case _:
            return {field["name"]: draw(defaults(field["type"])) for field in schema["fields"]}


@st.composite
def records_with_defaults(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a record in which some fields, at every depth, have defaults."""
    record: dict[str, Any] = draw(records())
    _give_defaults(draw, record)
    return record


def _give_defaults(draw: st.DrawFn, schema: Any) -> None:
    if isinstance(schema, list):
        for branch in schema:
            _give_defaults(draw, branch)
    elif isinstance(schema, dict):
        for field in schema.get("fields", ()):
            _give_defaults(draw, field["type"])
            if draw(st.booleans()):
                field["default"] = draw(defaults(field["type"]))
        for inner in ("items", "values"):
            _give_defaults(draw, schema.get(inner))


def datum_for(schema: Any, seed: int) -> dict[str, Any]:
    datum: dict[str, Any] = sample_of(parse(schema), random.Random(seed))
    return datum
