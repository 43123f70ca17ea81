"""Rules about attributes: Avro ignores what it does not know, and with it what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lockgate.avro.logical import parse_logical
from lockgate.contracts.report import nearest
from lockgate.governance.lint.parts import NAMED
from lockgate.governance.lint.rule import Hit, Rule
from lockgate.governance.lint.sources import SchemaSource

__all__ = ["RULES"]

_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "field": ("aliases", "default", "doc", "name", "order", "type"),
    "record": ("aliases", "doc", "fields", "name", "namespace", "type"),
    "enum": ("aliases", "default", "doc", "name", "namespace", "symbols", "type"),
    "fixed": ("aliases", "doc", "logicalType", "name", "namespace", "precision", "scale", "size", "type"),
    "array": ("items", "type"),
    "map": ("type", "values"),
    "primitive": ("logicalType", "precision", "scale", "type"),
}
_OF_TYPES = {"items", "logicalType", "precision", "scale", "size", "symbols", "values"}
_LOGICAL = (
    "date", "decimal", "local-timestamp-micros", "local-timestamp-millis", "time-micros", "time-millis",
    "timestamp-micros", "timestamp-millis", "uuid",
)  # fmt: skip


def _logical_types(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("primitive", "fixed", "enum", "record", "array", "map"):
        if not isinstance(part.node, dict) or "logicalType" not in part.node:
            continue
        name = part.node["logicalType"]
        kind = part.node["type"]
        if parse_logical(part.node, kind, part.node.get("size"), part.pointer) is not None:
            continue
        meant = nearest(name, _LOGICAL) if isinstance(name, str) and name not in _LOGICAL else None
        message = f"the logical type {name} has no effect: " + (
            f"there is none on {kind}" if name in _LOGICAL else "Lockgate and most readers do not know it"
        )
        yield Hit(f"{part.pointer}/logicalType", message, f"did you mean {meant}?" if meant else "")


def _misplaced(source: SchemaSource) -> Iterator[Hit]:
    for field in source.of_kind("field"):
        for name in field.node:
            if name in _OF_TYPES:
                yield Hit(
                    f"{field.pointer}/{name}",
                    f"{name} of {field.label} stands beside its type and has no effect",
                    f'move it into the type: "type": {{"type": …, "{name}": …}}',
                )


def _misspelt(source: SchemaSource) -> Iterator[Hit]:
    for part in source.parts:
        known = _ATTRIBUTES.get(part.kind)
        if known is None or not isinstance(part.node, dict):
            continue
        for name in part.node:
            meant = None if name in known or name in _OF_TYPES else nearest(name, known)
            if meant is not None and meant not in part.node:
                yield Hit(
                    f"{part.pointer}/{name}",
                    f"{name} is no attribute of Avro and has no effect",
                    f"did you mean {meant}?",
                )


def _aliases(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("field", *NAMED):
        inside = "" if part.kind == "field" else part.name.rpartition(".")[0]
        for index, alias in enumerate(part.node.get("aliases", ())):
            if (alias if "." in alias or not inside else f"{inside}.{alias}") == part.name:
                yield Hit(f"{part.pointer}/aliases/{index}", f"{alias} is its own alias")


RULES = (
    Rule(
        "logical-effect",
        "error",
        "A logical type has an effect: Avro ignores one that it does not know, or that stands on another type.",
        "write one that Avro knows on the type that carries it (docs/contracts.md)",
        schema=_logical_types,
    ),
    Rule(
        "attribute-place",
        "error",
        "Attributes of a type stand inside the type: beside it, in the field, they have no effect.",
        "move it into the type",
        schema=_misplaced,
    ),
    Rule(
        "attribute-spelling",
        "error",
        "Attributes are spelt as Avro spells them: it ignores those that it does not know, `defualt` among them.",
        "correct it",
        schema=_misspelt,
    ),
    Rule(
        "alias-self",
        "warning",
        "An alias is another name than the name itself.",
        "remove it, or write the earlier name",
        schema=_aliases,
    ),
)
