"""Which event type another one was before: by an alias, by its own name in another domain, or by what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from lockgate.governance.documents import Document

__all__ = ["Rename", "aliases", "predecessor"]

_ALIKE = 0.7
"""How many of all fields of two records have to be the same, for one to be taken for the other under a new name."""


@attrs.frozen
class Rename:
    """Say that an event type carries on another one that is gone."""

    old: str
    new: str
    evidence: Literal["alias", "moved", "alike"]
    """An alias names it · the same name in another domain · its fields are nearly the same."""


def predecessor(document: Document, gone: Sequence[Document]) -> Rename | None:
    """Return which of the types that went when this one came it carries on, or None."""
    if not gone:
        return None
    named = aliases(document.full_name, document.content)
    for there in gone:
        if there.full_name in named:
            return Rename(there.full_name, document.full_name, "alias")
    short = document.full_name.rpartition(".")[2]
    alike = sorted(((_likeness(document, there), there.full_name) for there in gone), reverse=True)
    for _, name in alike:
        if name.rpartition(".")[2] == short:
            return Rename(name, document.full_name, "moved")
    namespace = document.full_name.rpartition(".")[0]
    likeness, name = next((pair for pair in alike if pair[1].rpartition(".")[0] == namespace), (0.0, ""))
    return Rename(name, document.full_name, "alike") if likeness >= _ALIKE else None


def aliases(full_name: str, content: Mapping[str, Any]) -> set[str]:
    """Return the full names that a type may have had before, as it says itself."""
    namespace = full_name.rpartition(".")[0]
    said: Iterable[str] = content.get("aliases", ())
    return {alias if "." in alias else f"{namespace}.{alias}" for alias in said}


def _likeness(one: Document, other: Document) -> float:
    if one.content["type"] != other.content["type"]:
        return 0.0
    a, b = _parts(one), _parts(other)
    return len(a & b) / max(1, len(a | b))


def _parts(document: Document) -> set[str]:
    """Return the fields, or symbols, of a type in a form that its own namespace does not show in."""
    namespace = f"{document.full_name.rpartition('.')[0]}."
    fields = document.content.get("fields", document.content.get("symbols", ()))
    return {
        json.dumps([field["name"], field["type"]], sort_keys=True).replace(namespace, "")
        if isinstance(field, dict)
        else str(field)
        for field in fields
    }
