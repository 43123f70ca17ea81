"""Pairs of schemas: what a change, or two schemas drawn apart from a few names, makes of one event type."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

__all__ = ["REFUSED", "TAKEN", "pairs", "small_records"]

PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
LOGICAL: list[Any] = [
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
    {"type": "string", "logicalType": "uuid"},
]
NAMES = ["A", "B", "n.A", "n.B", "m.A"]
FIELDS = ["a", "b", "c"]
SYMBOLS = ["X", "Y", "Z"]


def _with(type_: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.Odd", "fields": [{"name": "a", "type": type_} | more]}


def _nested(depth: int) -> Any:
    return {"type": "array", "items": _nested(depth - 1)} if depth else "int"


TAKEN: dict[str, Any] = {
    "an empty union": _with([]),
    "an enum without symbols": _with({"type": "enum", "name": "C", "symbols": []}),
    "a decimal without precision": _with({"type": "bytes", "logicalType": "decimal"}),
    "a decimal whose scale is too large": _with(
        {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}
    ),
    "a record that no value ends": _with("t.Odd"),
    "an alias twice": {
        "type": "record",
        "name": "t.Odd",
        "fields": [{"name": name, "type": "int", "aliases": ["x"]} for name in "ab"],
    },
    "arrays in arrays": _with(_nested(10)),
    "letters beyond ASCII": {"type": "record", "name": "Größe", "fields": [{"name": "größe", "type": "int"}]},
    "a symbol beyond ASCII": _with({"type": "enum", "name": "C", "symbols": ["ä"]}),
    "a primitive type's name in a namespace": {"type": "record", "name": "n.string", "fields": []},
    "a doc that is no text": _with("int", doc=3),
    "a namespace that is no text": {"type": "record", "name": "Odd", "namespace": 3, "fields": []},
    "a default of too few bytes": _with({"type": "fixed", "name": "F", "size": 2}, default="x"),
    "a default symbol that the enum has not": _with({"type": "enum", "name": "C", "symbols": ["A"]}, default="Z"),
    "a default of the second branch": _with(["null", "string"], default="x"),
    "a default that is not a number": _with("double", default="NaN"),
    "a name that begins with a dot": {"type": "record", "name": ".Odd", "fields": []},
    "a fixed of no bytes": _with({"type": "fixed", "name": "F", "size": 0}),
    "an error": {"type": "error", "name": "t.Odd", "fields": []},
}
"""Schemas that registries take, though most of them are nobody's intention."""
REFUSED: dict[str, Any] = {
    "a dash in a name": _with("int", name="a-b"),
    "a digit first": _with("int", name="1a"),
    "no name": {"type": "record", "name": "", "fields": []},
    "two dots in a name": {"type": "record", "name": "a..b", "fields": []},
    "a space in a symbol": _with({"type": "enum", "name": "C", "symbols": ["a b"]}),
    "a symbol twice": _with({"type": "enum", "name": "C", "symbols": ["A", "A"]}),
    "a default that is none of the enum's symbols": _with(
        {"type": "enum", "name": "C", "symbols": ["A"], "default": "B"}
    ),
    "a primitive type's name": {"type": "record", "name": "string", "fields": []},
    "a default of another type": _with("int", default="x"),
    "a default with a fraction": _with("long", default=1.5),
    "a default that is too large": _with("int", default=2**31),
    "a default of a wrong item": _with({"type": "array", "items": "int"}, default=[1, "x"]),
    "a default that lacks a field": _with(
        {"type": "record", "name": "P", "fields": [{"name": "x", "type": "int"}]}, default={}
    ),
    "a type that nobody defines": _with("t.Other"),
    "a type twice": _with({"type": "record", "name": "t.Odd", "fields": []}),
    "a union in a union": _with([["int"]]),
    "a union in an object": _with({"type": ["null", "int"]}),
    "a branch twice": _with(["int", "int"]),
    "two arrays in a union": _with([{"type": "array", "items": "int"}, {"type": "array", "items": "string"}]),
    "an array without items": _with("array"),
    "a size below nothing": _with({"type": "fixed", "name": "F", "size": -1}),
    "an alias with a dash": _with("int") | {"aliases": ["a-b"]},
    "an order that there is not": _with("int", order="x"),
    "no fields": {"type": "record", "name": "t.Odd"},
}
"""Schemas that registries refuse."""


class _Draw:
    """Draw one schema; names that are taken are used again, or not at all."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._defined: list[str] = []
        self._open: set[str] = set()

    def one(self, choices: list[Any]) -> Any:
        return self._draw(st.sampled_from(choices))

    def record(self, name: str, depth: int) -> dict[str, Any]:
        self._defined.append(name)
        self._open.add(name)
        fields = []
        aliased: set[str] = set()
        for field in self._draw(st.lists(st.sampled_from(FIELDS), unique=True, max_size=3)):
            drawn: dict[str, Any] = {"name": field, "type": self.type(depth + 1)}
            default = _default(drawn["type"])
            if default is not None and self._draw(st.booleans()):
                drawn["default"] = default[0]
            if not self._draw(st.integers(0, 4)):
                alias = self.one([other for other in [*FIELDS, "d"] if other != field])
                if alias not in aliased:
                    aliased.add(alias)
                    drawn["aliases"] = [alias]
            fields.append(drawn)
        self._open.discard(name)
        names = {field["name"] for field in fields}
        for drawn in fields:  # a schema whose alias is another field's name is refused from the start
            if set(drawn.get("aliases", ())) & names:
                del drawn["aliases"]
        return {"type": "record", "name": name, "fields": fields} | self._aliases(name)

    def _aliases(self, name: str) -> dict[str, Any]:
        if self._draw(st.integers(0, 4)):
            return {}
        return {"aliases": [self.one([other for other in NAMES if other != name])]}

    def type(self, depth: int) -> Any:
        kinds = ["primitive"] * 5 + ["logical"]
        if depth < 4:
            kinds += ["union", "union", "record", "enum", "fixed", "array", "map"]
        if self._defined:
            kinds += ["known"]
        match self.one(kinds):
            case "logical":
                return dict(self.one(LOGICAL))
            case "union":
                return self._union(depth)
            case "known":
                known = self.one(self._defined)
                # a record that holds itself for certain has no value
                return ["null", known] if known in self._open else known
            case "record" | "enum" | "fixed" as kind:
                free = [name for name in NAMES if name not in self._defined]
                return self._named(kind, self.one(free), depth) if free else "int"
            case "array":
                return {"type": "array", "items": self.type(depth + 1)}
            case "map":
                return {"type": "map", "values": self.type(depth + 1)}
            case _:
                return self.one(PRIMITIVES)

    def _named(self, kind: str, name: str, depth: int) -> dict[str, Any]:
        if kind == "record":
            return self.record(name, depth)
        self._defined.append(name)
        if kind == "fixed":
            return {"type": "fixed", "name": name, "size": self.one([1, 2])} | self._aliases(name)
        symbols = self._draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True))
        drawn: dict[str, Any] = {"type": "enum", "name": name, "symbols": symbols} | self._aliases(name)
        if not self._draw(st.integers(0, 2)):
            drawn["default"] = self.one(symbols)
        return drawn

    def _union(self, depth: int) -> list[Any]:
        branches: dict[str, Any] = {}
        for _ in range(self._draw(st.integers(1, 3))):
            branch = self.type(depth + 1)
            if not isinstance(branch, list):
                branches.setdefault(_key(branch), branch)
        return list(branches.values()) or ["null"]


def _key(branch: Any) -> str:
    return branch if isinstance(branch, str) else str(branch.get("name", branch["type"]))


def _default(type_: Any) -> tuple[Any] | None:
    """Return a default for a type, or None where none is at hand."""
    match type_:
        case list():
            return _default(type_[0])
        case "null":
            return (None,)
        case "boolean":
            return (True,)
        case "int" | "long":
            return (7,)
        case "float" | "double":
            return (0.5,)
        case "string" | "bytes":
            return ("x",)
        case {"type": "array"}:
            return ([],)
        case {"type": "map"}:
            return ({},)
        case {"type": "enum", "symbols": symbols}:
            return (symbols[-1],)
        case {"logicalType": "date" | "timestamp-millis" | "timestamp-micros"}:
            return (7,)
        case _:
            return None


@st.composite
def small_records(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the schema of a record of few names, so that two of them have much in common."""
    return _Draw(draw).record("t.Event", 0)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw two schemas: drawn apart, or the second one a change of the first."""
    first = draw(small_records())
    if draw(st.integers(0, 2)) == 0:
        return first, draw(small_records())
    second = copy.deepcopy(first)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(second))
        _change(draw, *draw(st.sampled_from(places)))
    return first, second


def _places(document: Any) -> Any:
    """Yield the objects of a schema that can be changed in place."""
    if isinstance(document, dict):
        yield document, document["type"]
        for field in document.get("fields", ()):
            yield field, "field"
            yield from _places(field["type"])
        yield from _places(document.get("items", document.get("values")))
    elif isinstance(document, list):
        yield document, "union"
        for branch in document:
            yield from _places(branch)


def _change(draw: st.DrawFn, place: Any, kind: Any) -> None:
    def one(*choices: Any) -> Any:
        return draw(st.sampled_from(choices))

    match kind:
        case "field":
            match one("type", "optional", "rename", "alias", "default"):
                case "type" if isinstance(place["type"], str):
                    place["type"] = one(*PRIMITIVES)
                    place.pop("default", None)
                case "optional":
                    place.pop("default", None)
                    if not isinstance(place["type"], list) and place["type"] != "null":
                        place["type"] = ["null", place["type"]]
                case "rename":
                    place["name"] = f"{place['name']}2"
                case "alias":
                    place["aliases"] = [place["name"]]
                    place["name"] = f"{place['name']}2"
                case _:
                    default = _default(place["type"])
                    if "default" in place:
                        del place["default"]
                    elif default is not None:
                        place["default"] = default[0]
        case "record":
            match one("rename", "alias", "add", "remove", "reverse"):
                case "rename":
                    _rename(place, one("C", "n.C"), aliased=False)
                case "alias":
                    _rename(place, one("C", "n.C"), aliased=True)
                case "add":
                    place["fields"].append({"name": "e", "type": one("int", ["null", "int"])})
                    if draw(st.booleans()):
                        place["fields"][-1]["default"] = _default(place["fields"][-1]["type"])[0]  # type: ignore[index]
                case "remove":
                    # what the field defines may be used further on: it goes only where it defines nothing
                    place["fields"] = [
                        field for n, field in enumerate(place["fields"]) if n or not isinstance(field["type"], str)
                    ]
                case _:
                    pass
        case "enum":
            match one("symbol", "default", "rename", "shorten"):
                case "symbol":
                    place["symbols"] = [*place["symbols"], "W"]
                case "default":
                    place["default"] = place["symbols"][0]
                case "rename":
                    _rename(place, "C", aliased=draw(st.booleans()))
                case _ if len(place["symbols"]) > 1 and place.get("default") != place["symbols"][-1]:
                    place["symbols"] = place["symbols"][:-1]
        case "fixed":
            place["size"] = one(1, 2, 3)
        case "union":
            if len(place) > 1 and draw(st.booleans()) and isinstance(place[-1], str):
                place.pop()
            else:
                new = one(*PRIMITIVES)
                if new not in map(_key, place):
                    place.append(new)


def _rename(place: dict[str, Any], name: str, *, aliased: bool) -> None:
    """Rename a type where it is defined; its uses by name go with it only in as far as they are inside a string."""
    if aliased:
        place["aliases"] = [place["name"]]
    place["name"] = name
