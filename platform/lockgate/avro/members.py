"""Members of schema objects: what the parser reads of them alike, whatever the type."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lockgate.avro.types import Logical, Primitive
from lockgate.errors import SchemaError

__all__ = ["aliases_of", "json_kind", "owner_of", "primitive", "unknown_logical"]


def aliases_of(document: Mapping[str, Any], path: str) -> Sequence[str]:
    """Return the aliases as they are written; raise SchemaError where they are no list of names."""
    aliases = document.get("aliases", ())
    well_formed = isinstance(aliases, Sequence) and not isinstance(aliases, str | bytes)
    if not well_formed or not all(isinstance(alias, str) for alias in aliases):
        raise SchemaError("`aliases` must be a list of names", path=f"{path}/aliases")
    found: Sequence[str] = aliases
    return found


@lru_cache(1024)
def primitive(kind: str, logical: Logical | None, unknown_logical: str) -> Primitive:
    """Return the one object for a primitive type: comparing a type with itself takes no time then."""
    return Primitive(kind, logical, unknown_logical)


def owner_of(document: Mapping[str, Any]) -> str:
    """Return who owns a type, where its schema says so."""
    owner = document.get("owner", "")
    return owner if isinstance(owner, str) else json.dumps(owner, sort_keys=True)


def unknown_logical(document: Mapping[str, Any], known: Logical | None) -> str:
    """Return what the schema calls a logical type that is none of those that Lockgate knows."""
    name = document.get("logicalType")
    return name if known is None and isinstance(name, str) else ""


def json_kind(value: Any) -> str:
    """Return what a JSON value is called in messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, Mapping) else "a list"
