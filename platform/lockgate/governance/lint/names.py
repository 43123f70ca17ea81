"""Rules about names: one spelling for each kind, and none that a reader or a program would confuse."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lockgate.contracts.schemas import COMMON
from lockgate.governance import identifiers
from lockgate.governance.lint.parts import NAMED, Part, words
from lockgate.governance.lint.rule import Hit, Rule
from lockgate.governance.lint.sources import DomainSource, SchemaSource

__all__ = ["RULES"]

_TYPE = re.compile(r"[A-Z][A-Za-z0-9]*", re.ASCII)
_FIELD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", re.ASCII)
_NAMESPACE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)
_NOISE = ("avro", "dto", "enum", "message", "pojo", "record", "schema")


def _type_names(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind(*NAMED):
        short = part.name.rpartition(".")[2]
        if not _TYPE.fullmatch(short):
            better = "".join(word.capitalize() for word in words(short))
            yield Hit(f"{part.pointer}/name", f"the {part.kind} {short} is not in PascalCase", f"call it {better}")


def _field_names(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("field"):
        if not _FIELD.fullmatch(part.name):
            better = "_".join(words(part.name))
            yield Hit(
                f"{part.pointer}/name",
                f"the field {part.label} is not in snake_case",
                f"call it {better}, with the alias {part.name} if it has been written under that name",
            )


def _symbols(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("enum"):
        for index, symbol in enumerate(part.node["symbols"]):
            if not _SYMBOL.fullmatch(symbol):
                yield Hit(
                    f"{part.pointer}/symbols/{index}",
                    f"the symbol {symbol} of {part.label} is not in UPPER_CASE",
                    f"call it {'_'.join(words(symbol)).upper()}",
                )


def _namespaces(source: DomainSource) -> Iterator[Hit]:
    if not _NAMESPACE.fullmatch(source.domain):
        better = "_".join(words(source.domain))
        yield Hit("", f"the namespace {source.domain} is not in snake_case", f"call the folder schemas/{better}")


def _noise(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind(*NAMED):
        *rest, last = words(part.name.rpartition(".")[2])
        if rest and last in _NOISE:
            yield Hit(f"{part.pointer}/name", f"{part.label} says {last}, which every reader of a schema knows")


def _confusable(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("record"):
        fields = [(field["name"], f"{part.pointer}/fields/{index}/name") for index, field in _fields(part)]
        yield from _alike(part, "field", fields)
    for part in source.of_kind("enum"):
        symbols = [(symbol, f"{part.pointer}/symbols/{n}") for n, symbol in enumerate(part.node["symbols"])]
        yield from _alike(part, "symbol", symbols)


def _alike(part: Part, what: str, names: Iterable[tuple[str, str]]) -> Iterator[Hit]:
    seen: dict[str, str] = {}
    for name, pointer in names:
        other = seen.setdefault(name.replace("_", "").lower(), name)
        if other != name:
            yield Hit(pointer, f"the {what}s {other} and {name} of {part.label} differ in no more than case and _")


def _fields(part: Part) -> Iterator[tuple[int, dict[str, str]]]:
    yield from enumerate(part.node["fields"])


def _python_names(source: SchemaSource) -> Iterator[Hit]:
    for part in source.of_kind("record"):
        names = [field["name"] for _, field in _fields(part)]
        for index, attribute in enumerate(identifiers.field_names(names, ()).values()):
            if attribute != names[index]:
                yield Hit(
                    f"{part.pointer}/fields/{index}/name",
                    f"the field {names[index]} of {part.label} cannot be called so in Python: it becomes {attribute}",
                )


def _shadows(source: SchemaSource) -> Iterator[Hit]:
    shared = {schema.file.stem.lower(): schema for schema in source.project.schemas.values() if schema.domain is None}
    if source.file.folder == COMMON:
        return
    for part in source.of_kind(*NAMED):
        other = shared.get(part.name.rpartition(".")[2].lower())
        if other is not None:
            yield Hit(
                f"{part.pointer}/name",
                f"{part.name} shadows the shared type {other.file.full_name} ({other.path})",
                f"use {other.file.full_name}, or say in the name what is different",
            )


RULES = (
    Rule(
        "type-name",
        "error",
        "Types are named in PascalCase: their names are class names in every language.",
        "rename the type; a new event type is a new name anyway, a shared type takes an alias",
        schema=_type_names,
    ),
    Rule(
        "field-name",
        "error",
        "Fields are named in snake_case: one spelling, also where columns are folded to one case.",
        "rename the field, with an alias",
        schema=_field_names,
    ),
    Rule(
        "symbol-name",
        "error",
        "Enum symbols are in UPPER_CASE: they are constants in every language.",
        "rename the symbol",
        schema=_symbols,
    ),
    Rule(
        "namespace-name",
        "error",
        "Namespaces are in snake_case: they are packages, and folders on disks that fold case.",
        "rename the folder",
        domain=_namespaces,
    ),
    Rule(
        "name-noise",
        "warning",
        "A type's name does not say that it is a record, an enum, a schema: what it is of the business is what counts.",
        "leave the last word out",
        schema=_noise,
    ),
    Rule(
        "name-confusable",
        "error",
        "Fields and symbols of one type differ in more than case and underscores: SQL engines and people fold them.",
        "rename one of them",
        schema=_confusable,
    ),
    Rule(
        "python-name",
        "warning",
        "A field's name is one that Python can have: `from` or `self` would become `from_`, `self_` in the classes.",
        "choose another word",
        schema=_python_names,
    ),
    Rule(
        "type-shadowed",
        "error",
        "A domain's type has another name than every shared type: in code, two classes of one name are taken for each "
        "other.",
        "use the shared type, or another name",
        schema=_shadows,
    ),
)
