"""Rules about unions: what may be missing, and what is a choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lockgate.avro.parser import parse
from lockgate.avro.types import PRIMITIVES, python_kind
from lockgate.governance.lint.parts import Part
from lockgate.governance.lint.rule import Hit, Rule
from lockgate.governance.lint.sources import SchemaSource

__all__ = ["RULES"]

_MANY_BRANCHES = 4


def _null_first(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("union"):
        if "null" not in part.node or part.node[0] == "null":
            continue
        default = None if part.field is None else part.field.node.get("default")
        if default is None:  # a default is of the first branch: one that is a value keeps its branch there
            yield Hit(part.pointer, f"null is not the first branch of {_whose(part)}")


def _null_default(source: SchemaSource) -> Iterator[Hit]:
    for field in source.of_kind("field"):
        type_ = field.node["type"]
        if isinstance(type_, list) and type_ and type_[0] == "null" and "default" not in field.node:
            yield Hit(
                field.pointer,
                f"{field.label} may be null and has no default: it cannot be added or removed later",
            )


def _single_branches(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("union"):
        if len(part.node) == 1:
            yield Hit(part.pointer, f"{_whose(part)} is a union of one type")


def _many_branches(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("union"):
        others = [branch for branch in part.node if branch != "null"]
        if len(others) > _MANY_BRANCHES:
            yield Hit(part.pointer, f"{_whose(part)} is a choice of {len(others)} types")


def _alike_branches(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("union"):
        kinds = [(_plain_kind(branch), branch) for branch in part.node]
        for kind in dict.fromkeys(kind for kind, _ in kinds if kind):
            alike = [_called(branch) for its_kind, branch in kinds if its_kind == kind]
            if len(alike) > 1:
                yield Hit(
                    part.pointer,
                    f"{' and '.join(alike)} of {_whose(part)} are both {kind} in Python: "
                    "each value has to name its branch",
                )


def _plain_kind(branch: Any) -> str | None:
    """Return the Python type of a plain branch; a record's or an enum's class tells the branch by itself."""
    kind = branch["type"] if isinstance(branch, dict) else branch
    return python_kind(parse(branch)) if kind in PRIMITIVES or kind == "fixed" else None


def _called(branch: Any) -> str:
    if not isinstance(branch, dict):
        return str(branch)
    return str(branch.get("name") or branch.get("logicalType") or branch["type"])


def _whose(part: Part) -> str:
    return f"the union of {part.field.label}" if part.field else "the union"


RULES = (
    Rule(
        "union-null-first",
        "error",
        "In a union, null comes first: a default is of the first branch, and what may be null starts as null.",
        'write ["null", …]',
        schema=_null_first,
    ),
    Rule(
        "union-null-default",
        "error",
        "A field that may be null has the default null: then it can be added and removed later.",
        'add "default": null',
        schema=_null_default,
    ),
    Rule(
        "union-single",
        "error",
        "A union has at least two branches: one alone costs a byte a value and says nothing.",
        "write the type without the brackets",
        schema=_single_branches,
    ),
    Rule(
        "union-size",
        "warning",
        f"A union has no more than {_MANY_BRANCHES} types beside null: SQL engines make a column of each.",
        "make event types of their own, or a record with optional fields",
        schema=_many_branches,
    ),
    Rule(
        "union-alike",
        "warning",
        "The branches of a union differ in their Python types: else every value has to name its branch.",
        "keep the wider one (long for int, double for float), or wrap them in records",
        schema=_alike_branches,
    ),
)
