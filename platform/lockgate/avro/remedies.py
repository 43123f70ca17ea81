"""Words for findings: what types are called, and the usual remedy of each of Avro's rules."""

from __future__ import annotations

from lockgate.avro.findings import Direction, Rule
from lockgate.avro.types import Enum, Fixed, Record, Type, Union, branch_name

__all__ = ["FIXES", "a", "any_of"]


def a(type_: Type) -> str:
    """Return what a type is called, with its article."""
    name = branch_name(type_)
    if name == "null" or isinstance(type_, Record | Enum | Fixed):
        return name
    return f"{'an' if name[0] in 'aiu' else 'a'} {name}"


def any_of(union: Union) -> str:
    """Return what the branches of a union are called."""
    return " or ".join(map(a, union.branches)) or "nothing"


FIXES: dict[Rule, dict[Direction, str]] = {
    "FIXED_SIZE_MISMATCH": {
        "backward": "Keep the size, and add a field of a new fixed type beside it.",
        "forward": "Keep the size, and add a field of a new fixed type beside it.",
    },
    "MISSING_ENUM_SYMBOLS": {
        "backward": "Keep the symbols, or give the enum a default symbol for what it does not know.",
        "forward": "Earlier readers need a default symbol: add one first, and the symbols when all readers have it.",
    },
    "MISSING_UNION_BRANCH": {
        "backward": "Keep the branch in the union, and repair what is wrong inside it.",
        "forward": "Write only what earlier readers know: add the branch when all readers have it.",
    },
    "NAME_MISMATCH": {
        "backward": "Keep the name, or give the type its earlier name as an alias.",
        "forward": "Keep the name: earlier readers do not know the new one, and aliases count for readers only.",
    },
    "READER_FIELD_MISSING_DEFAULT_VALUE": {
        "backward": "Give the field a default.",
        "forward": "Keep the field: earlier readers need it, for it had no default.",
    },
    "TYPE_MISMATCH": {
        "backward": "Keep the type or widen it as Avro allows, or add a new field with a default beside it.",
        "forward": "Keep the type, or add a new field beside it and write both until all readers use the new one.",
    },
}
