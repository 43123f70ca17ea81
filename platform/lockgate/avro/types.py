"""The types of one Avro schema as values: names resolved, defaults kept as written, recursion as shared objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import attrs

__all__ = [
    "NO_DEFAULT",
    "Array",
    "Enum",
    "Field",
    "Fixed",
    "Logical",
    "Map",
    "Named",
    "Primitive",
    "Record",
    "Reference",
    "Type",
    "Union",
    "branch_name",
    "python_kind",
    "tagged_branches",
    "walk",
]

PRIMITIVES: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
NO_DEFAULT: Final[Any] = attrs.NOTHING


@attrs.frozen
class Logical:
    """Name a logical type that Lockgate gives a Python type of its own."""

    name: str
    precision: int = 0
    """Of a decimal: digits in all."""
    scale: int = 0
    """Of a decimal: digits after the point."""


@attrs.frozen
class Primitive:
    """Describe one of the eight primitive types."""

    kind: str
    logical: Logical | None = None
    unknown_logical: str = ""
    """What the schema calls a logical type that Lockgate does not know: data are of the plain type."""


@attrs.frozen
class Array:
    """Describe a list of items of one type."""

    items: Type
    path: str = attrs.field(default="", eq=False, repr=False)
    """JSON pointer into the document that it was parsed from."""


@attrs.frozen
class Map:
    """Describe a mapping of strings to values of one type."""

    values: Type
    path: str = attrs.field(default="", eq=False, repr=False)
    """JSON pointer into the document that it was parsed from."""


@attrs.frozen
class Union:
    """Describe a choice of types; none of them is a union."""

    branches: tuple[Type, ...]
    path: str = attrs.field(default="", eq=False, repr=False)
    """JSON pointer into the document that it was parsed from."""


@attrs.frozen(eq=False)
class Enum:
    """Describe a list of symbols."""

    name: str
    """Full name."""
    symbols: tuple[str, ...]
    default: str | None = None
    """The symbol that readers use for one that they do not know."""
    aliases: tuple[str, ...] = ()
    """Full names."""
    doc: str = ""
    owner: str = ""
    """Who answers for it, where the schema has an attribute of that name."""
    path: str = attrs.field(default="", eq=False, repr=False)
    """JSON pointer into the document that it was parsed from."""


@attrs.frozen(eq=False)
class Fixed:
    """Describe a fixed number of bytes."""

    name: str
    size: int
    logical: Logical | None = None
    aliases: tuple[str, ...] = ()
    doc: str = ""
    owner: str = ""
    path: str = attrs.field(default="", eq=False, repr=False)
    """JSON pointer into the document that it was parsed from."""
    unknown_logical: str = ""


@attrs.frozen
class Field:
    """Describe a field of a record."""

    name: str
    type: Type
    default: Any = NO_DEFAULT
    """As the schema has it: JSON."""
    aliases: tuple[str, ...] = ()
    doc: str = ""

    @property
    def has_default(self) -> bool:
        """Say whether the schema gives a default."""
        return self.default is not NO_DEFAULT


@attrs.define(eq=False)
class Record:
    """Describe a record; two are the same only as objects, for a record may hold itself.

    `fields` and `positions` are filled in while parsing and not changed afterwards.
    """

    name: str
    fields: tuple[Field, ...] = attrs.field(default=(), repr=False)
    aliases: tuple[str, ...] = ()
    doc: str = ""
    owner: str = ""
    path: str = attrs.field(default="", eq=False, repr=False)
    """JSON pointer into the document that it was parsed from."""
    positions: dict[str, int] = attrs.field(factory=dict, repr=False)
    """Where each field is, by its name."""


@attrs.frozen
class Reference:
    """Stand for a named type that the document does not define."""

    name: str


Named: TypeAlias = Record | Enum | Fixed
Type: TypeAlias = Primitive | Array | Map | Union | Record | Enum | Fixed | Reference


def walk(root: Type) -> Iterator[Type]:
    """Yield every type below and including one, each named type once."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        here = stack.pop()
        match here:
            case Record() | Enum() | Fixed():
                if id(here) in seen:
                    continue
                seen.add(id(here))
        yield here
        match here:
            case Record():
                stack.extend(field.type for field in reversed(here.fields))
            case Array():
                stack.append(here.items)
            case Map():
                stack.append(here.values)
            case Union():
                stack.extend(reversed(here.branches))


def branch_name(branch: Type) -> str:
    """Return what a union's branch is called: a named type's full name, or the type's own."""
    match branch:
        case Primitive():
            return branch.kind
        case Array():
            return "array"
        case Map():
            return "map"
        case Union():
            return "union"
        case _:
            return branch.name


_LOGICAL_KINDS = {
    "decimal": "Decimal",
    "uuid": "UUID",
    "date": "date",
    "time-millis": "time",
    "time-micros": "time",
    "timestamp-millis": "datetime",
    "timestamp-micros": "datetime",
    "local-timestamp-millis": "datetime",
    "local-timestamp-micros": "datetime",
}
_PRIMITIVE_KINDS = {
    "null": "None",
    "boolean": "bool",
    "int": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "bytes": "bytes",
    "string": "str",
}


def python_kind(type_: Type) -> str:
    """Return the name of the Python type that carries a type's values in a datum; `union` for a union."""
    match type_:
        case Primitive(kind=kind, logical=None):
            return _PRIMITIVE_KINDS[kind]
        case Primitive(logical=Logical(name=name)) | Fixed(logical=Logical(name=name)):
            return _LOGICAL_KINDS[name]
        case Fixed():
            return "bytes"
        case Enum():
            return "str"
        case Array():
            return "list"
        case Map() | Record():
            return "dict"
        case _:
            return "union"


def tagged_branches(union: Union) -> tuple[bool, ...]:
    """Say for each branch whether its values are written `(branch name, value)`.

    They are where another branch has the same Python type, because the value alone would not say which is meant.
    """
    kinds = [python_kind(branch) for branch in union.branches]
    return tuple(kinds.count(kind) > 1 for kind in kinds)
