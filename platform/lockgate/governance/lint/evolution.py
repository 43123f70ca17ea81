"""Rules about what lets a schema change later: enums that can grow, defaults that hold, nothing promised in vain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lockgate.avro.schema import bundle
from lockgate.errors import SchemaError
from lockgate.governance.lint.parts import Part
from lockgate.governance.lint.rule import Hit, Rule
from lockgate.governance.lint.sources import DomainSource, SchemaSource

__all__ = ["RULES"]

_LARGEST_FLOAT = 3.4028234663852886e38
_NEUTRAL = {"DEFAULT", "NONE", "OTHER", "UNDEFINED", "UNKNOWN", "UNRECOGNIZED", "UNSPECIFIED"}


def _enum_defaults(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("enum"):
        if part.node.get("default") is None:
            yield Hit(
                part.pointer, f"the enum {part.label} has no default: a reader that does not know a new symbol fails"
            )


def _enum_neutral(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("enum"):
        default = part.node.get("default")
        if default is not None and not _NEUTRAL & set(default.upper().split("_")):
            yield Hit(
                f"{part.pointer}/default",
                f"a symbol that a reader does not know turns into {default}, a statement that nobody has made",
            )


def _defaults(source: SchemaSource) -> Iterator[Hit]:
    for field in source.of_kind("field"):
        yield from _out_of_range(field.node["type"], field.node.get("default"), f"{field.pointer}/default", field)
    # what event types use has been checked with them; a type that none of them uses is checked here
    if source.document["type"] != "record" or source.file.full_name in source.project.used:
        return
    try:
        bundle(source.file.full_name, {name: other.document for name, other in source.project.schemas.items()})
    except SchemaError as error:
        yield Hit(error.path, error.message)


def _out_of_range(type_: Any, default: Any, pointer: str, field: Part) -> Iterator[Hit]:
    first = type_[0] if isinstance(type_, list) and type_ else type_
    kind = first.get("type") if isinstance(first, dict) else first
    number = isinstance(default, int | float) and not isinstance(default, bool)
    if kind == "float" and number and abs(default) > _LARGEST_FLOAT:
        yield Hit(pointer, f"the default {default!r} of {field.label} is more than a float can hold")


def _unused(source: SchemaSource) -> Iterator[Hit]:
    if source.file.full_name not in source.project.used:
        listed = (
            "" if source.domain is None else f", and schemas/{source.domain}/domain.yaml does not list it in events"
        )
        yield Hit("", f"no event type uses {source.file.full_name}{listed}")


def _only_keys(source: SchemaSource) -> Iterator[Hit]:
    if source.file.full_name in source.project.contracts.events and len(source.document["fields"]) == 1:
        yield Hit("/fields", f"{source.file.full_name} holds its key and nothing else: not even when it happened")


def _levels(source: DomainSource) -> Iterator[Hit]:
    level = source.contract.compatibility
    if level == "NONE":
        yield Hit("/compatibility", "any change is accepted: NONE protects no reader")
    elif not level.endswith("_TRANSITIVE"):
        yield Hit(
            "/compatibility",
            f"{level} compares with the latest version only, and the topic still holds records of older ones",
            f"write {level}_TRANSITIVE",
        )


RULES = (
    Rule(
        "enum-default",
        "error",
        "An enum has a default symbol: only then may a symbol be added while old readers go on.",
        'add a symbol UNKNOWN and "default": "UNKNOWN"',
        schema=_enum_defaults,
    ),
    Rule(
        "enum-default-neutral",
        "warning",
        "The default symbol of an enum says that the value is not known: UNKNOWN, UNSPECIFIED, OTHER.",
        "add a symbol UNKNOWN and make it the default",
        schema=_enum_neutral,
    ),
    Rule(
        "default-valid",
        "error",
        "A default is a value of its field's type. (Loading refuses it in what events use; this finds it elsewhere.)",
        "write a value of the type, of the first branch in a union",
        schema=_defaults,
    ),
    Rule(
        "type-unused",
        "warning",
        "Every type is used: one that no event holds is promised to nobody, and checked by nobody.",
        "delete the file, or list the type in events",
        schema=_unused,
    ),
    Rule(
        "event-empty",
        "warning",
        "An event says more than its key.",
        "add at least when it happened",
        schema=_only_keys,
    ),
    Rule(
        "compatibility-transitive",
        "warning",
        "A domain's level is a transitive one: readers meet every version that the topic still holds.",
        "write FULL_TRANSITIVE",
        domain=_levels,
    ),
)
