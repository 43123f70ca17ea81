"""The parser: the only reader of schema documents. Everything else works on the types that it returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lockgate.avro.defaults import default_datum, is_default
from lockgate.avro.logical import parse_logical
from lockgate.avro.members import aliases_of, json_kind, owner_of, primitive, unknown_logical
from lockgate.avro.types import (
    INT_MAX,
    NO_DEFAULT,
    PRIMITIVES,
    Array,
    Enum,
    Field,
    Fixed,
    Logical,
    Map,
    Named,
    Primitive,
    Record,
    Reference,
    Type,
    Union,
    branch_name,
    walk,
)
from lockgate.errors import SchemaError

__all__ = ["parse"]

_COMPLEX = ("record", "error", "enum", "fixed", "array", "map")
_PLAIN = {name: Primitive(name) for name in PRIMITIVES}
_MAX_NESTING = 100
_MAX_CONTAINERS = 8
"""Lists of lists of maps … without a record between: a generated function can nest loops only so deep."""


def _is_name(text: str) -> bool:
    return text.isidentifier() and text.isascii()


_is_wide_name = re.compile(r"[^\W\d]\w*").fullmatch


def parse(document: Any, *, self_contained: bool = True, strict: bool = True) -> Type:
    """Parse a schema document and return its type.

    With `self_contained` off, names that the document does not define become References, and defaults of their fields
    are not checked. With `strict` off, what registries take for a schema is one, though Lockgate would not encode or
    decode with it: letters beyond ASCII in names, unions and enums of nothing, types that no value ends, aliases that
    are other fields' names, decimals that are none. Raise SchemaError with the JSON pointer of the first mistake.
    """
    return _Parser(self_contained, strict).document(document)


class _Parser:
    def __init__(self, self_contained: bool, strict: bool) -> None:
        self._self_contained = self_contained
        self._strict = strict
        self._is_name: Callable[[str], object] = _is_name if strict else _is_wide_name
        self._named: dict[str, Named] = {}
        self._open: set[str] = set()
        self._defaults: list[tuple[Field, str]] = []
        self._depth = 0
        self._containers = 0

    def document(self, document: Any) -> Type:
        root = self._type(document, "", "")
        if not self._strict:
            for field, path in self._defaults:
                if not is_default(field.type, field.default):
                    raise SchemaError(f"the default {field.default!r} is no {branch_name(field.type)}", path=path)
            return root
        for type_ in walk(root):
            if isinstance(type_, Record):
                self._refuse_endless(type_)
        for field, path in self._defaults:
            if self._self_contained or not any(isinstance(type_, Reference) for type_ in walk(field.type)):
                default_datum(field.type, field.default, path)
        return root

    def _refuse_endless(self, record: Record) -> None:
        """Refuse a record whose every value would contain another one of itself."""
        stack: list[Type] = [field.type for field in record.fields]
        seen: set[int] = set()
        while stack:
            here = stack.pop()
            if here is record:
                raise SchemaError(f"{record.name} always contains itself: no value of it could ever end")
            if isinstance(here, Record) and id(here) not in seen:
                seen.add(id(here))
                stack.extend(field.type for field in here.fields)

    def _type(self, document: Any, namespace: str, path: str) -> Type:
        if type(document) is str:
            # most types of most schemas: worth a way of their own
            return _PLAIN.get(document) or self._name_or_primitive(document, namespace, path)
        self._depth += 1
        if self._depth > _MAX_NESTING:
            raise SchemaError(f"types are nested more than {_MAX_NESTING} deep", path=path)
        try:
            if isinstance(document, str):
                return self._name_or_primitive(document, namespace, path)
            if isinstance(document, Mapping):
                return self._object(document, namespace, path)
            if isinstance(document, Sequence) and not isinstance(document, bytes):
                return self._union(document, namespace, path)
        finally:
            self._depth -= 1
        raise SchemaError(f"expected a schema, got {json_kind(document)}", path=path)

    def _name_or_primitive(self, name: str, namespace: str, path: str) -> Type:
        if name in PRIMITIVES:
            return _PLAIN[name]
        if name in _COMPLEX:
            raise SchemaError(f"a {name} is written as an object", path=path)
        full_name = self._full_name(name, namespace, path)
        known = self._named.get(full_name)
        if known is not None:
            return known
        if self._self_contained:
            raise SchemaError(f"no type is called {full_name}", path=path)
        return Reference(full_name)

    def _union(self, document: Sequence[Any], namespace: str, path: str) -> Union:
        branches: list[Type] = []
        for index, branch in enumerate(document):
            here = f"{path}/{index}"
            type_ = self._type(branch, namespace, here)
            if isinstance(type_, Union):
                raise SchemaError("a union may not hold a union directly", path=here)
            if branch_name(type_) in map(branch_name, branches):
                raise SchemaError(f"{branch_name(type_)} is in the union twice", path=here)
            branches.append(type_)
        if not branches and self._strict:
            raise SchemaError("a union needs at least one type", path=path)
        return Union(tuple(branches), path)

    def _object(self, document: Mapping[str, Any], namespace: str, path: str) -> Type:
        kind = document.get("type")
        if kind in ("record", "error"):
            return self._record(document, namespace, path)
        if kind == "enum":
            return self._enum(document, namespace, path)
        if kind == "fixed":
            return self._fixed(document, namespace, path)
        if kind == "array":
            return Array(self._contained(document, "items", namespace, path), path)
        if kind == "map":
            return Map(self._contained(document, "values", namespace, path), path)
        if kind is None:
            raise SchemaError("`type` is missing", path=path)
        if not isinstance(kind, str | Mapping):
            raise SchemaError(f"expected the name of a type, got {json_kind(kind)}", path=f"{path}/type")
        inner = self._type(kind, namespace, f"{path}/type")
        if isinstance(inner, Primitive) and inner.logical is None and "logicalType" in document:
            logical = self._logical(document, inner.kind, None, path)
            return primitive(inner.kind, logical, unknown_logical(document, logical))
        return inner

    def _member(self, document: Mapping[str, Any], key: str, namespace: str, path: str) -> Type:
        if key not in document:
            raise SchemaError(f"`{key}` is missing", path=path)
        return self._type(document[key], namespace, f"{path}/{key}")

    def _contained(self, document: Mapping[str, Any], key: str, namespace: str, path: str) -> Type:
        self._containers += 1
        if self._containers > _MAX_CONTAINERS and self._strict:
            raise SchemaError(f"arrays and maps are nested more than {_MAX_CONTAINERS} deep", path=path)
        type_ = self._member(document, key, namespace, path)
        self._containers -= 1
        return type_

    def _identity(
        self, document: Mapping[str, Any], namespace: str, path: str
    ) -> tuple[str, str, tuple[str, ...], str]:
        """Return full name, namespace for what is inside, aliases and doc of a named type."""
        name = document.get("name")
        if not isinstance(name, str):
            raise SchemaError("`name` is missing" if name is None else "`name` must be a string", path=path)
        own = document.get("namespace", namespace)
        if not isinstance(own, str):
            if self._strict:
                raise SchemaError("`namespace` must be a string", path=f"{path}/namespace")
            own = namespace
        full_name = self._full_name(name, own, f"{path}/name")
        if (full_name.rpartition(".")[2] if self._strict else full_name) in PRIMITIVES:
            raise SchemaError(f"{name} is the name of a primitive type", path=f"{path}/name")
        if full_name in self._named:
            raise SchemaError(f"{full_name} is defined twice", path=path)
        inside = full_name.rpartition(".")[0]
        aliases: tuple[str, ...] = ()
        if "aliases" in document:
            aliases = tuple(
                self._full_name(alias, inside, f"{path}/aliases/{index}")
                for index, alias in enumerate(aliases_of(document, path))
            )
        return full_name, inside, aliases, self._doc(document, path)

    def _record(self, document: Mapping[str, Any], namespace: str, path: str) -> Record:
        name, inside, aliases, doc = self._identity(document, namespace, path)
        record = Record(name, (), aliases, doc, owner_of(document), path)
        self._named[name] = record
        members = document.get("fields")
        if not isinstance(members, Sequence) or isinstance(members, str | bytes):
            raise SchemaError("`fields` must be a list", path=f"{path}/fields" if "fields" in document else path)
        fields: list[Field] = []
        seen: set[str] = set()
        around, self._containers = self._containers, 0
        for index, member in enumerate(members):
            here = f"{path}/fields/{index}"
            field = self._field(member, inside, here)
            for known_as in (field.name, *field.aliases) if self._strict else (field.name,):
                if known_as in seen:
                    raise SchemaError(f"{known_as} is a field of {name} twice", path=here)
                seen.add(known_as)
            fields.append(field)
        self._containers = around
        record.fields = tuple(fields)
        record.positions.update({field.name: index for index, field in enumerate(fields)})
        return record

    def _field(self, document: Any, namespace: str, path: str) -> Field:
        if not isinstance(document, Mapping):
            raise SchemaError(f"expected a field, got {json_kind(document)}", path=path)
        name = document.get("name")
        if not isinstance(name, str) or not self._is_name(name):
            raise SchemaError(
                f"expected a field's name, got {name!r}", path=f"{path}/name" if "name" in document else path
            )
        aliases = tuple(aliases_of(document, path)) if "aliases" in document else ()
        for index, alias in enumerate(aliases):
            if self._strict and not _is_name(alias):
                raise SchemaError(f"{alias!r} is no name", path=f"{path}/aliases/{index}")
        if "order" in document and document["order"] not in ("ascending", "descending", "ignore"):
            raise SchemaError("`order` must be ascending, descending or ignore", path=f"{path}/order")
        type_ = self._member(document, "type", namespace, path)
        field = Field(name, type_, document.get("default", NO_DEFAULT), aliases, self._doc(document, path))
        if field.has_default:
            self._defaults.append((field, f"{path}/default"))
        return field

    def _enum(self, document: Mapping[str, Any], namespace: str, path: str) -> Enum:
        name, _, aliases, doc = self._identity(document, namespace, path)
        symbols = document.get("symbols")
        if not isinstance(symbols, Sequence) or isinstance(symbols, str | bytes) or not (symbols or not self._strict):
            raise SchemaError("`symbols` must be a list of at least one symbol", path=path)
        seen: set[str] = set()
        for index, symbol in enumerate(symbols):
            here = f"{path}/symbols/{index}"
            if not isinstance(symbol, str) or not self._is_name(symbol):
                raise SchemaError(f"{symbol!r} is no symbol", path=here)
            if symbol in seen:
                raise SchemaError(f"{symbol} is there twice", path=here)
            seen.add(symbol)
        default = document.get("default")
        if default is not None and default not in symbols:
            raise SchemaError(f"the default {default!r} is none of the symbols", path=f"{path}/default")
        enum = Enum(name, tuple(symbols), default, aliases, doc, owner_of(document), path)
        self._named[name] = enum
        return enum

    def _fixed(self, document: Mapping[str, Any], namespace: str, path: str) -> Fixed:
        name, _, aliases, doc = self._identity(document, namespace, path)
        size = document.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= INT_MAX:
            raise SchemaError("`size` must be a number of bytes", path=path)
        logical = self._logical(document, "fixed", size, path)
        unknown = unknown_logical(document, logical)
        fixed = Fixed(name, size, logical, aliases, doc, owner_of(document), path, unknown)
        self._named[name] = fixed
        return fixed

    def _full_name(self, name: str, namespace: str, path: str) -> str:
        full_name = name if "." in name or not namespace else f"{namespace}.{name}"
        if not self._strict:
            full_name = full_name.removeprefix(".")
        if not all(map(self._is_name, full_name.split("."))):
            raise SchemaError(f"{full_name!r} is no Avro name", path=path)
        return full_name

    def _doc(self, document: Mapping[str, Any], path: str) -> str:
        doc = document.get("doc", "")
        if not isinstance(doc, str):
            if self._strict:
                raise SchemaError("`doc` must be a string", path=f"{path}/doc")
            return ""
        return doc

    def _logical(self, document: Mapping[str, Any], kind: str, size: int | None, path: str) -> Logical | None:
        try:
            return parse_logical(document, kind, size, path)
        except SchemaError:
            if self._strict:
                raise
            return None
