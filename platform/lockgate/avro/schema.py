"""Schema documents: which names they use, how they are bundled into one, and when two mean the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lockgate.avro.parser import parse
from lockgate.avro.types import PRIMITIVES, Record, Reference, walk
from lockgate.errors import SchemaError

__all__ = ["assemble", "bundle", "canonical", "full_name_of", "names_used", "validate"]

_NAMED = ("record", "error", "enum", "fixed")


def validate(document: Any, *, self_contained: bool = False) -> None:
    """Check a schema document; raise SchemaError with the JSON pointer of its first mistake.

    Types that it names but does not define are taken as given, unless it is to be `self_contained`.
    """
    parse(document, self_contained=self_contained)


def full_name_of(document: Mapping[str, Any]) -> str:
    """Return the full name of the record, enum or fixed that a valid document defines."""
    name, namespace = str(document["name"]), document.get("namespace")
    return f"{namespace}.{name}" if namespace and "." not in name else name


def names_used(document: Any) -> set[str]:
    """Return the full names of the types that a document uses and does not define; raise SchemaError if not valid."""
    return {type_.name for type_ in walk(parse(document, self_contained=False)) if isinstance(type_, Reference)}


def bundle(full_name: str, documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a self-contained schema of one type: each type that it uses is inlined at its first use, then named.

    `documents` maps the full name of each type to its document. Raise SchemaError for a name that no document
    defines, for documents that refer to each other in a circle (a record may refer to itself), and for what is not
    valid.
    """
    bundled = assemble(full_name, documents)
    root = parse(bundled)
    if not isinstance(root, Record):
        raise SchemaError(f"{full_name} is no record")
    return bundled


def assemble(full_name: str, documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what `bundle` returns, for those who parse it themselves: whether it is a valid record is not checked."""
    bundled: dict[str, Any] = _Bundler(documents).document(full_name, "")
    return bundled


class _Bundler:
    def __init__(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self._documents = documents
        self._defined: set[str] = set()
        self._open: list[str] = []

    def document(self, full_name: str, path: str) -> Any:
        if full_name not in self._documents:
            used_by = f", which {self._open[-1]} uses" if self._open else ""
            raise SchemaError(f"no document defines {full_name}{used_by}", path=path)
        self._open.append(full_name)
        copy = _rewrite(self._documents[full_name], "", "", self._use, self._define)
        self._open.pop()
        return copy

    def _define(self, full_name: str, document: dict[str, Any]) -> dict[str, Any]:
        self._defined.add(full_name)
        namespace, _, name = full_name.rpartition(".")
        # the namespace is always said, for the type it lands in may be of another one
        return {"type": document.pop("type"), "name": name, "namespace": namespace} | {
            key: value for key, value in document.items() if key not in ("name", "namespace")
        }

    def _use(self, full_name: str, path: str) -> Any:
        if full_name in self._open[:-1]:
            circle = [*self._open[self._open.index(full_name) :], full_name]
            raise SchemaError(f"types refer to each other in a circle: {' → '.join(circle)}", path=path)
        return full_name if full_name in self._defined else self.document(full_name, path)


def canonical(schema: Any) -> str:
    """Return a normal form: two schemas with the same one mean the same to every reader and writer.

    Names are written in full, keys sorted; documentation and the order of keys do not count. Defaults, aliases,
    logical types and attributes that Avro does not know do.
    """
    return json.dumps(
        _rewrite(schema, "", "", lambda name, _: name, _define_canonical), sort_keys=True, separators=(",", ":")
    )


def _define_canonical(full_name: str, document: dict[str, Any]) -> dict[str, Any]:
    namespace = full_name.rpartition(".")[0]
    kept = {key: value for key, value in document.items() if key not in ("name", "namespace", "doc")}
    if kept.pop("aliases", None):
        kept["aliases"] = sorted(
            alias if "." in alias or not namespace else f"{namespace}.{alias}" for alias in document["aliases"]
        )
    if "fields" in kept:
        kept["fields"] = [_canonical_field(field) for field in kept["fields"]]
    return kept | {"name": full_name}


def _canonical_field(field: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in field.items() if key != "doc"}
    if kept.get("order") == "ascending":
        del kept["order"]
    if kept.pop("aliases", None):
        kept["aliases"] = sorted(field["aliases"])
    return kept


_Use = Callable[[str, str], Any]
_Define = Callable[[str, dict[str, Any]], dict[str, Any]]


def _rewrite(document: Any, namespace: str, path: str, use: _Use, define: _Define) -> Any:
    """Copy a schema; `use` replaces the names of types, `define` the objects that define named ones."""
    if isinstance(document, str):
        if document in PRIMITIVES:
            return document
        return use(document if "." in document or not namespace else f"{namespace}.{document}", path)
    if isinstance(document, Sequence):
        return [_rewrite(item, namespace, f"{path}/{index}", use, define) for index, item in enumerate(document)]
    if not isinstance(document, Mapping) or "type" not in document:
        raise SchemaError("expected a schema", path=path)
    kind = document["type"]
    copy = dict(document)
    if kind in _NAMED:
        if not isinstance(document.get("name"), str):
            raise SchemaError("`name` is missing", path=path)
        full_name = full_name_of({"namespace": namespace} | copy)
        copy = define(full_name, copy)
        if kind in ("record", "error"):
            inside = full_name.rpartition(".")[0]
            copy["fields"] = [
                _rewrite_field(field, inside, f"{path}/fields/{index}", use, define)
                for index, field in enumerate(copy.get("fields", ()))
            ]
    elif kind in ("array", "map"):
        member = "items" if kind == "array" else "values"
        copy[member] = _rewrite(document.get(member), namespace, f"{path}/{member}", use, define)
    else:
        copy["type"] = _rewrite(kind, namespace, f"{path}/type", use, define)
        if len(copy) == 1:  # {"type": "string"} says no more than "string"
            return copy["type"]
    return copy


def _rewrite_field(field: Any, namespace: str, path: str, use: _Use, define: _Define) -> Any:
    if not isinstance(field, Mapping) or "type" not in field:
        raise SchemaError("expected a field with a name and a type", path=path)
    return dict(field) | {"type": _rewrite(field["type"], namespace, f"{path}/type", use, define)}
