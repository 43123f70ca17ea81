"""The parts of a schema document as it is written: types, fields, and where they stand.

Rules look at the text and not at `lockgate.avro.types`, for much of what they look for is gone once it is parsed: a
logical type that has no effect, an attribute in the wrong place, a union around one type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from lockgate.avro.types import PRIMITIVES

__all__ = ["Leaf", "Part", "leaves", "parts", "words"]

NAMED = ("record", "error", "enum", "fixed")


@attrs.frozen
class Part:
    """Name one type or field of a document."""

    kind: str
    """`field`; or of a type: `record`, `enum`, `fixed`, `array`, `map`, `union`, `name` (by which a type is used),
    `primitive`."""
    pointer: str
    node: Any
    """As the document has it: an object, a list, or a name."""
    name: str = ""
    """Of a field, or the full name of a named type."""
    owner: str = ""
    """Of a field: the short name of its record."""
    field: Part | None = None
    """Of a type: the field whose whole type it is."""

    @property
    def label(self) -> str:
        """Return what people call it: `OrderPlaced.total`, `OrderPlaced`."""
        short = self.name.rpartition(".")[2]
        return f"{self.owner}.{short}" if self.owner else short


def parts(document: Any, namespace: str, pointer: str = "", field: Part | None = None) -> Iterator[Part]:
    """Yield the parts of a valid document, each before what is inside it."""
    if isinstance(document, str):
        primitive = document in PRIMITIVES
        name = document if primitive or "." in document else f"{namespace}.{document}"
        yield Part("primitive" if primitive else "name", pointer, document, name, field=field)
    elif isinstance(document, Sequence):
        yield Part("union", pointer, document, field=field)
        for index, branch in enumerate(document):
            yield from parts(branch, namespace, f"{pointer}/{index}")
    elif document["type"] in NAMED:
        yield from _named(document, namespace, pointer, field)
    elif document["type"] in ("array", "map"):
        yield Part(document["type"], pointer, document, field=field)
        member = "items" if document["type"] == "array" else "values"
        yield from parts(document[member], namespace, f"{pointer}/{member}")
    elif document["type"] in PRIMITIVES:
        yield Part("primitive", pointer, document, document["type"], field=field)
    else:  # an object around a type says no more than the type
        yield from parts(document["type"], namespace, f"{pointer}/type", field)


def _named(document: Mapping[str, Any], namespace: str, pointer: str, field: Part | None) -> Iterator[Part]:
    name = document["name"]
    if "." not in name:
        name = f"{document.get('namespace', namespace)}.{name}"
    kind = "record" if document["type"] == "error" else document["type"]
    yield Part(kind, pointer, document, name, field=field)
    inside, _, short = name.rpartition(".")
    for index, member in enumerate(document.get("fields", ())):
        found = Part("field", f"{pointer}/fields/{index}", member, member["name"], owner=short)
        yield found
        yield from parts(member["type"], inside, f"{found.pointer}/type", found)


@attrs.frozen
class Leaf:
    """Name a primitive type that a field's values are made of, through unions, lists and maps."""

    kind: str
    logical: str
    pointer: str


def leaves(type_: Any, pointer: str) -> Iterator[Leaf]:
    """Yield the primitive types in a field's type; those of named types are these types' own."""
    if isinstance(type_, str):
        if type_ in PRIMITIVES:
            yield Leaf(type_, "", pointer)
        return
    if isinstance(type_, Sequence):
        for index, branch in enumerate(type_):
            yield from leaves(branch, f"{pointer}/{index}")
        return
    kind = type_["type"]
    if kind in PRIMITIVES:
        yield Leaf(kind, str(type_.get("logicalType", "")), pointer)
    elif kind in ("array", "map"):
        member = "items" if kind == "array" else "values"
        yield from leaves(type_[member], f"{pointer}/{member}")
    elif not isinstance(kind, str):  # an object around a type
        yield from leaves(kind, f"{pointer}/type")


def words(name: str) -> list[str]:
    """Return the words of a name, in whichever case it is written: `unit_price`, `unitPrice` and `UnitPrice` alike."""
    spaced = "".join(
        f" {character}" if character.isupper() and not before.isupper() else character
        for before, character in zip(f" {name}", name, strict=False)
    )
    return spaced.replace("_", " ").lower().split()
