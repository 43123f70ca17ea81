"""Python expressions for Avro types: the annotation, the way to a datum and back, and a default value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import attrs

from lockgate.avro.types import (
    Array,
    Enum,
    Map,
    Record,
    Type,
    Union,
    branch_name,
    python_kind,
    tagged_branches,
)
from lockgate.governance import identifiers

__all__ = ["Expressions", "text"]

_QUALIFIED = {"date": "datetime.date", "time": "datetime.time", "datetime": "datetime.datetime"}


def text(value: str) -> str:
    """Return a string literal with double quotes; lone surrogates, which no file can hold, are escaped."""
    return "".join(
        f"\\u{ord(character):04x}" if "\ud800" <= character <= "\udfff" else character
        for character in json.dumps(value, ensure_ascii=False)
    )


def _plain_literal(datum: Any) -> str:
    """Return a literal for a value that is no collection: what its `repr` is, with two exceptions."""
    if isinstance(datum, str):
        return text(datum)
    if isinstance(datum, float) and math.isinf(datum):  # 1e999, which JSON can write
        return f'float("{datum}")'
    return repr(datum)


@attrs.frozen
class _Branch:
    type: Type
    tag: str | None
    """The branch's name where a datum carries it."""
    kept: bool
    """Whether the tag stays in the Python value, because nothing else tells the branch."""


@attrs.define
class Expressions:
    """Write expressions for one module, and remember what they need beside them."""

    package: str
    """Of which the namespaces' modules are part."""
    namespace: str
    names_in_use: frozenset[str]
    """Names of the module's own classes and of the modules it imports: no attribute may hide them."""
    imports: set[str] = attrs.field(factory=set)
    """Import lines."""
    functions: dict[str, list[str]] = attrs.field(factory=dict)
    """Lines of module-level functions by name: unions do not fit into an expression."""

    def name(self, type_: Record | Enum) -> str:
        """Return how this module names a class."""
        namespace, _, name = type_.name.rpartition(".")
        own = identifiers.class_name(name)
        if namespace == self.namespace:
            return own
        self.imports.add(f"from {self.package} import {namespace}")
        return f"{namespace}.{own}"

    def annotation(self, type_: Type) -> str:
        """Return the Python type of a type's values."""
        match type_:
            case Record() | Enum():
                return self.name(type_)
            case Array():
                return f"list[{self.annotation(type_.items)}]"
            case Map():
                return f"dict[str, {self.annotation(type_.values)}]"
            case Union():
                parts = [self._branch_annotation(branch) for branch in _branches(type_)]
                parts.sort(key=lambda part: part == "None")
                return " | ".join(dict.fromkeys(parts))
            case _:
                return self._plain(python_kind(type_))

    def _plain(self, kind: str) -> str:
        if kind in _QUALIFIED:
            self.imports.add("import datetime")
        elif kind == "Decimal":
            self.imports.add("from decimal import Decimal")
        elif kind == "UUID":
            self.imports.add("from uuid import UUID")
        return _QUALIFIED.get(kind, kind)

    def _branch_annotation(self, branch: _Branch) -> str:
        annotation = self.annotation(branch.type)
        if not branch.kept:
            return annotation
        self.imports.add("from typing import Literal")
        return f"tuple[Literal[{text(branch.tag or '')}], {annotation}]"

    def to_avro(self, type_: Type, value: str, where: str) -> str:
        """Return an expression that makes a datum of a value; `where` names the field in functions for unions."""
        match type_:
            case Record():
                return f"{value}.to_avro()"
            case Enum():
                return f"{value}.value"
            case Array() | Map():
                return self._each(type_, value, lambda inner, item: self.to_avro(inner, item, where))
            case Union():
                return self._union(type_, value, where, to=True)
            case _:
                return value

    def from_avro(self, type_: Type, datum: str, where: str) -> str:
        """Return an expression that makes a value of a datum."""
        match type_:
            case Record():
                return f"{self.name(type_)}.from_avro({datum})"
            case Enum():
                return f"{self.name(type_)}({datum})"
            case Array() | Map():
                return self._each(type_, datum, lambda inner, item: self.from_avro(inner, item, where))
            case Union():
                return self._union(type_, datum, where, to=False)
            case _:
                return datum

    @staticmethod
    def _each(type_: Array | Map, value: str, convert: Callable[[Type, str], str]) -> str:
        if isinstance(type_, Array):
            converted = convert(type_.items, "item")
            return value if converted == "item" else f"[{converted} for item in {value}]"
        converted = convert(type_.values, "item")
        return value if converted == "item" else f"{{key: {converted} for key, item in {value}.items()}}"

    def _union(self, type_: Union, value: str, where: str, *, to: bool) -> str:
        convert = self.to_avro if to else self.from_avro
        branches = sorted(_branches(type_), key=_rank)
        inner = ["value" if to or not branch.tag or branch.kept else "value[1]" for branch in branches]
        converted = [
            convert(branch.type, expression, where) for branch, expression in zip(branches, inner, strict=True)
        ]
        if all(
            expression == "value" and (branch.kept or not branch.tag)
            for branch, expression in zip(branches, converted, strict=True)
        ):
            return value
        if len(branches) == 2 and python_kind(branches[0].type) == "None":
            return f"None if {value} is None else {convert(branches[1].type, value, where)}"
        self.imports.add("from typing import Any")
        annotation = self.annotation(type_)
        function = f"_{where}_{'to' if to else 'from'}_avro"
        while function in self.functions:  # a union in a union's list
            function += "_"
        lines = [f"def {function}(value: {annotation if to else 'Any'}) -> {'Any' if to else annotation}:"]
        for branch, expression in zip(branches, converted, strict=True):
            tag = text(branch.tag) if branch.tag else None
            if tag and (branch.kept or not to):
                lines.append(f"    if isinstance(value, tuple) and value[0] == {tag}:")
            else:
                lines.append(f"    if {self._test(branch.type, to=to)}:")
            if tag and to and not branch.kept:
                lines.append(f"        return ({tag}, {expression})")
            elif expression == "value[1]":  # the assignment tells the type checker what it is
                name = f"found_{len(lines)}"
                lines += [f"        {name}: {self.annotation(branch.type)} = value[1]", f"        return {name}"]
            else:
                lines.append(f"        return {expression}")
        lines.append('    raise TypeError(f"{type(value).__name__} is no branch of the union")')
        self.functions[function] = lines
        return f"{function}({value})"

    def _test(self, type_: Type, *, to: bool) -> str:
        if to and isinstance(type_, Record | Enum):
            return f"isinstance(value, {self.name(type_)})"
        match python_kind(type_):
            case "None":
                return "value is None"
            case "float":
                return "isinstance(value, float | int)"
            case kind:
                return f"isinstance(value, {self._plain(kind)})"

    def default(self, type_: Type, datum: Any) -> tuple[str, bool]:
        """Return an expression for a datum as a value, and whether it has to be made anew for each object."""
        match type_:
            case Record():
                return f"{self.name(type_)}.from_avro({self._literal(type_, datum)})", True
            case Enum():
                member = identifiers.member_names(type_.symbols)[datum]
                # a class further down the module does not exist yet when this one is made: enums come first
                return f"{self.name(type_)}.{member}", False
            case Array():
                return f"[{', '.join(self.default(type_.items, item)[0] for item in datum)}]", True
            case Map():
                parts = [f"{text(key)}: {self.default(type_.values, value)[0]}" for key, value in datum.items()]
                return f"{{{', '.join(parts)}}}", True
            case Union():
                branch = _branch_of(type_, datum)
                if not branch.tag:
                    return self.default(branch.type, datum)
                expression, fresh = self.default(branch.type, datum[1])
                return (f"({text(branch.tag)}, {expression})" if branch.kept else expression), fresh
            case _:
                self._plain(python_kind(type_))
                return _plain_literal(datum), False

    def _literal(self, type_: Type, datum: Any) -> str:
        """Return a datum as it is, as an expression."""
        match type_:
            case Record():
                parts = [
                    f"{text(field.name)}: {self._literal(field.type, datum[field.name])}" for field in type_.fields
                ]
                return f"{{{', '.join(parts)}}}"
            case Array():
                return f"[{', '.join(self._literal(type_.items, item) for item in datum)}]"
            case Map():
                parts = [f"{text(key)}: {self._literal(type_.values, value)}" for key, value in datum.items()]
                return f"{{{', '.join(parts)}}}"
            case Union():
                branch = _branch_of(type_, datum)
                inner = self._literal(branch.type, datum[1] if branch.tag else datum)
                return f"({text(branch.tag)}, {inner})" if branch.tag else inner
            case _:
                self._plain(python_kind(type_))
                return _plain_literal(datum)


def _branch_of(union: Union, datum: Any) -> _Branch:
    """Return the branch that a datum is of."""
    if isinstance(datum, tuple):
        return next(branch for branch in _branches(union) if branch.tag == datum[0])
    kind = "None" if datum is None else type(datum).__name__
    return next(branch for branch in _branches(union) if python_kind(branch.type) == kind)


def _branches(union: Union) -> list[_Branch]:
    tagged = tagged_branches(union)
    kinds = [python_kind(branch) for branch in union.branches]
    found = []
    for branch, tag, kind in zip(union.branches, tagged, kinds, strict=True):
        alike = [
            other
            for other, its_kind in zip(union.branches, kinds, strict=True)
            if its_kind == kind and not isinstance(other, Record | Enum)
        ]
        kept = tag and not isinstance(branch, Record | Enum) and len(alike) > 1
        found.append(_Branch(branch, branch_name(branch) if tag else None, kept))
    return found


def _rank(branch: _Branch) -> int:
    """Order branches so that `isinstance` finds the most special first: bool before int, datetime before date."""
    kind = python_kind(branch.type)
    if kind == "None":
        return 0
    if isinstance(branch.type, Record | Enum):
        return 1
    return {"bool": 2, "datetime": 2, "float": 4}.get(kind, 3)
