"""Default values: from the JSON of a schema to the datum that a decoder would return."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any

from lockgate.avro.types import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    Array,
    Enum,
    Fixed,
    Logical,
    Map,
    Primitive,
    Record,
    Type,
    Union,
    branch_name,
    tagged_branches,
)
from lockgate.errors import SchemaError

__all__ = ["default_branch", "default_datum", "from_raw", "is_default"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_EPOCH = datetime(1970, 1, 1)  # local timestamps have no zone by definition
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
DAY_MILLIS = 24 * 3600 * 1000


def default_datum(type_: Type, default: Any, path: str = "") -> Any:
    """Return the datum that a field's JSON default stands for, a new one each time.

    Raise SchemaError, at `path` or below it, where it is no value of the type. A union's default is of the first
    branch that it fits (before Avro 1.12: of the first branch, always).
    """
    match type_:
        case Union():
            index = default_branch(type_, default, path)
            datum = default_datum(type_.branches[index], default, path)
            return (branch_name(type_.branches[index]), datum) if tagged_branches(type_)[index] else datum
        case Record():
            return _record(type_, default, path)
        case Array():
            if isinstance(default, list | tuple):
                return [default_datum(type_.items, item, f"{path}/{index}") for index, item in enumerate(default)]
        case Map():
            if isinstance(default, Mapping):
                return {str(key): default_datum(type_.values, value, f"{path}/{key}") for key, value in default.items()}
        case Enum():
            if default in type_.symbols:
                return default
        case Primitive(logical=logical) | Fixed(logical=logical):
            raw = _raw(type_, default, path)
            try:
                return raw if logical is None else from_raw(logical)(raw)
            except (ValueError, ArithmeticError) as error:
                raise SchemaError(
                    f"the default {default!r} is no {logical.name if logical else ''}", path=path
                ) from error
        case _:
            pass
    raise _misfit(type_, default, path)


def is_default(type_: Type, default: Any) -> bool:
    """Say whether registries take a value for a type's default: they do not look into text."""
    match type_:
        case Union():
            return any(is_default(branch, default) for branch in type_.branches)
        case Record():
            return isinstance(default, Mapping) and all(
                is_default(field.type, default.get(field.name, field.default))
                for field in type_.fields
                if field.name in default or not field.has_default
            )
        case Array():
            return isinstance(default, list | tuple) and all(is_default(type_.items, item) for item in default)
        case Map():
            return isinstance(default, Mapping) and all(is_default(type_.values, value) for value in default.values())
        case Primitive(kind="float" | "double") if isinstance(default, str):
            return default in ("NaN", "Infinity", "-Infinity")
        case Primitive(kind="null" | "boolean" | "int" | "long" | "float" | "double"):
            try:
                _raw(type_, default, "")
            except SchemaError:
                return False
            return True
        case _:
            return isinstance(default, str)


def default_branch(union: Union, default: Any, path: str = "") -> int:
    """Return the index of the first branch that a default fits; raise SchemaError where it fits none."""
    first: SchemaError | None = None
    for index, branch in enumerate(union.branches):
        try:
            default_datum(branch, default, path)
        except SchemaError as error:
            first = first or error
        else:
            return index
    raise first or _misfit(union, default, path)


def _record(type_: Record, default: Any, path: str) -> dict[str, Any]:
    if not isinstance(default, Mapping):
        raise _misfit(type_, default, path)
    datum = {}
    for field in type_.fields:
        if field.name in default:
            datum[field.name] = default_datum(field.type, default[field.name], f"{path}/{field.name}")
        elif field.has_default:
            datum[field.name] = default_datum(field.type, field.default, path)
        else:
            raise SchemaError(f"the default of {type_.name} lacks {field.name}", path=path)
    return datum


def _raw(type_: Primitive | Fixed, default: Any, path: str) -> Any:
    kind = "fixed" if isinstance(type_, Fixed) else type_.kind
    number = isinstance(default, int) and not isinstance(default, bool)
    if kind == "null" and default is None:
        return None
    if kind == "boolean" and isinstance(default, bool):
        return default
    if kind == "int" and number and INT_MIN <= default <= INT_MAX:
        return default
    if kind == "long" and number and LONG_MIN <= default <= LONG_MAX:
        return default
    if kind in ("float", "double") and (number or isinstance(default, float)):
        return float(default)
    if kind == "string" and isinstance(default, str):
        return default
    if kind in ("bytes", "fixed") and isinstance(default, str):
        # Avro writes bytes in JSON as text, one character of U+0000 to U+00FF a byte.
        try:
            raw = default.encode("latin-1")
        except UnicodeEncodeError as error:
            raise _misfit(type_, default, path) from error
        if not isinstance(type_, Fixed) or len(raw) == type_.size:
            return raw
    raise _misfit(type_, default, path)


def _misfit(type_: Type, default: Any, path: str) -> SchemaError:
    return SchemaError(f"the default {default!r} is no {branch_name(type_)}", path=path)


def from_raw(logical: Logical) -> Callable[[Any], Any]:
    """Return the function that makes a logical type's Python value of the underlying type's.

    It raises ValueError or ArithmeticError for what is out of range.
    """
    match logical.name:
        case "decimal":
            return _decimal_reader(logical.precision, logical.scale)
        case "uuid":
            return uuid.UUID
        case "date":
            return lambda days: date.fromordinal(days + EPOCH_ORDINAL)
        case "time-millis":
            return lambda millis: _time(millis * 1000)
        case "time-micros":
            return _time
        case "timestamp-millis":
            return lambda millis: EPOCH + timedelta(0, 0, 0, millis)
        case "timestamp-micros":
            return lambda micros: EPOCH + timedelta(0, 0, micros)
        case "local-timestamp-millis":
            return lambda millis: LOCAL_EPOCH + timedelta(0, 0, 0, millis)
        case "local-timestamp-micros":
            return lambda micros: LOCAL_EPOCH + timedelta(0, 0, micros)
        case _:  # pragma: no cover  # Logical is made in `types` only, of the names above
            raise AssertionError(logical.name)


def _time(micros: int) -> time:
    if not 0 <= micros < DAY_MILLIS * 1000:
        raise ValueError("not a time of day")
    seconds, micros = divmod(micros, 1_000_000)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, micros)


def _decimal_reader(precision: int, scale: int) -> Callable[[bytes], Decimal]:
    limit = 10**precision
    exact = Context(prec=precision, Emax=999_999_999, Emin=-999_999_999)

    def read(raw: bytes) -> Decimal:
        unscaled = int.from_bytes(raw, "big", signed=True)
        if not -limit < unscaled < limit:
            raise ValueError(f"more than {precision} digits")
        return Decimal(unscaled).scaleb(-scale, exact)

    return read
