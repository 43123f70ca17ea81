"""Specimens: the smallest datum of a type that has a certain part, to show what becomes of that part.

A specimen is what fastavro takes: underlying values (a date is a number of days), a union's value as `(branch, value)`.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

from lockgate.avro.findings import Route
from lockgate.avro.types import Array, Enum, Fixed, Map, Primitive, Record, Type, Union, branch_name

__all__ = ["NoSpecimen", "as_json", "specimen"]

_SMALLEST: dict[str, Any] = {
    "null": None,
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "bytes": b"",
    "string": "",
}
_TELLING: dict[str, Any] = {"int": 2**24 + 1, "long": 2**53 + 1, "bytes": b"\xff"}
"""Values of the part itself that a promotion does not carry over."""
_NIL_UUID = "00000000-0000-0000-0000-000000000000"


class NoSpecimen(Exception):  # noqa: N818  # never leaves this package: it becomes a witness's statement
    """Say that a type has no value that ends, or none with the part."""


def specimen(type_: Type, route: Route, avoid: Collection[Route] = (), seed: int | None = None) -> Any:
    """Return a datum with the part that a route leads to; other parts as small as can be, or drawn, with a seed.

    `avoid` holds routes to parts that cannot be read either: the datum has them only where it must. Raise NoSpecimen.
    """
    rng = None if seed is None else random.Random(seed)  # noqa: S311  # sample data, no secret
    return _Specimen(frozenset(avoid), rng).along(type_, route, ())


class _Specimen:
    def __init__(self, avoid: frozenset[Route], rng: random.Random | None) -> None:
        self._avoid = avoid
        self._rng = rng
        self._open: list[int] = []

    def along(self, type_: Type, route: Route, done: Route) -> Any:
        if not route:
            return self._part(type_, done)
        step, rest, here = route[0], route[1:], (*done, route[0])
        match type_, step:
            case Record(), str():
                return {
                    field.name: self.along(field.type, rest, here)
                    if field.name == step
                    else self.fill(field.type, (*done, field.name))
                    for field in type_.fields
                }
            case Array(), "[]":
                return [self.along(type_.items, rest, here)]
            case Map(), "[]":
                return {"key": self.along(type_.values, rest, here)}
            case Union(), int():
                branch = type_.branches[step]
                return branch_name(branch), self.along(branch, rest, here)
            case Enum(), tuple():
                return step[0]
        raise AssertionError(type_, route)  # pragma: no cover  # a route comes from a comparison of this very type

    def _part(self, type_: Type, done: Route) -> Any:
        """Return a value of the part itself: one that a reader of another type is likely to notice."""
        if isinstance(type_, Primitive) and type_.logical is None and type_.kind in _TELLING:
            return _TELLING[type_.kind]
        if isinstance(type_, Primitive) and type_.logical is not None and type_.logical.name == "decimal":
            digits = int("123456789"[: type_.logical.precision])
            return digits.to_bytes(digits.bit_length() // 8 + 1, "big", signed=True)
        return self.fill(type_, done)

    def fill(self, type_: Type, done: Route) -> Any:
        match type_:
            case Record():
                if id(type_) in self._open:
                    raise NoSpecimen(f"{type_.name} holds itself without end")
                self._open.append(id(type_))
                try:
                    return {field.name: self.fill(field.type, (*done, field.name)) for field in type_.fields}
                finally:
                    self._open.pop()
            case Union():
                return self._branch(type_, done)
            case Array():
                return [self.fill(type_.items, (*done, "[]"))] if self._more() else []
            case Map():
                return {"key": self.fill(type_.values, (*done, "[]"))} if self._more() else {}
            case Enum():
                symbols = [symbol for symbol in type_.symbols if (*done, symbol) not in self._avoid] or type_.symbols
                return self._rng.choice(symbols) if self._rng else symbols[0]
            case Fixed():
                return bytes(type_.size)
            case Primitive():
                return self._primitive(type_)
            case _:  # pragma: no cover  # references do not get as far as a comparison
                raise AssertionError(type_)

    def _more(self) -> bool:
        return self._rng is not None and len(self._open) < 4 and self._rng.random() < 0.5

    def _branch(self, union: Union, done: Route) -> Any:
        order = list(range(len(union.branches)))
        if self._rng is not None:
            self._rng.shuffle(order)
        order.sort(key=lambda index: self._spoilt((*done, index)))
        if self._rng is None or len(self._open) >= 4:
            order.sort(
                key=lambda index: (
                    self._spoilt((*done, index)),
                    isinstance(union.branches[index], Record | Array | Map),
                )
            )
        problem: NoSpecimen | None = None
        for index in order:
            try:
                return branch_name(union.branches[index]), self.fill(union.branches[index], (*done, index))
            except NoSpecimen as error:
                problem = error
        raise problem or NoSpecimen("an empty union has no value")

    def _spoilt(self, here: Route) -> bool:
        return any(route[: len(here)] == here for route in self._avoid)

    def _primitive(self, type_: Primitive) -> Any:
        if type_.logical is not None and type_.logical.name == "uuid":
            return _NIL_UUID
        if type_.logical is not None and type_.logical.name == "decimal":
            return b"\x00"
        if self._rng is not None and type_.kind in ("int", "long"):
            # a day, a time of day or a moment, if it is one
            return self._rng.randrange(20_000)
        if self._rng is not None and type_.kind in ("string", "bytes"):
            text = self._rng.choice(("", "a", "größe", "日本"))
            return text if type_.kind == "string" else text.encode()
        return _SMALLEST[type_.kind]


def as_json(datum: Any) -> Any:
    """Return a specimen, or what fastavro has read, as JSON values."""
    match datum:
        case None | bool() | int() | str():
            return datum
        case float():
            return datum if abs(datum) != float("inf") and datum == datum else str(datum)
        case bytes():
            return datum.decode("latin-1")
        case (str() as branch, value):
            return None if branch == "null" else {branch: as_json(value)}
        case list():
            return [as_json(item) for item in datum]
        case dict():
            return {key: as_json(value) for key, value in datum.items()}
        case _:  # a value of a logical type
            return str(datum)
