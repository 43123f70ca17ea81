"""Python names for Avro names: keywords, builtins and what the generated classes use themselves are stepped around."""

from __future__ import annotations

import keyword
from collections.abc import Collection, Iterable

__all__ = ["class_name", "field_names", "member_names"]

_IN_ANNOTATIONS = {"bool", "bytes", "dict", "float", "int", "list", "str", "tuple"}
_BUILTINS = {"TypeError", "classmethod", "isinstance", "type"}
_IMPORTED = {"Any", "ClassVar", "Decimal", "Literal", "Mapping", "Self", "UUID", "attrs", "common", "datetime", "enum"}
_IN_CLASSES = {"cls", "datum", "from_avro", "self", "to_avro"}
_VARIABLES = {"cls", "datum", "item", "key", "self", "value"}
_IN_ENUMS = {name for name in dir(str) if not name.startswith("_")} | {"mro", "name", "value"}


def class_name(name: str) -> str:
    """Return the class of a type's unqualified name."""
    return _unlike(name, _IMPORTED | _IN_ANNOTATIONS | _BUILTINS | _VARIABLES, ())


def field_names(names: Iterable[str], in_use: Collection[str]) -> dict[str, str]:
    """Return an attribute for each field of one record; `in_use` names the module's own classes and imports."""
    return _all_unlike(names, _IN_ANNOTATIONS | _IMPORTED | _BUILTINS | _IN_CLASSES | set(in_use))


def member_names(symbols: Iterable[str]) -> dict[str, str]:
    """Return an enum member for each symbol."""
    return _all_unlike(symbols, _IN_ENUMS)


def _all_unlike(names: Iterable[str], reserved: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    ordered = list(names)
    # names that can stay as they are come first, so that a renamed one never takes theirs
    for name in sorted(ordered, key=lambda name: _needs_change(name, reserved)):
        found[name] = _unlike(name, reserved, found.values())
    return {name: found[name] for name in ordered}


def _needs_change(name: str, reserved: Collection[str]) -> bool:
    return name.startswith("_") or keyword.iskeyword(name) or name in reserved


def _unlike(name: str, reserved: Collection[str], taken: Collection[str]) -> str:
    if not _needs_change(name, reserved) and name not in taken:
        return name
    bare = name.lstrip("_")  # a leading underscore means something to attrs, enum and the compiler
    if not bare or bare[0].isdigit():
        bare = f"field_{bare}"
    bare += "_"
    while bare in taken or bare in reserved:
        bare += "_"
    return bare
