"""From Python values to the underlying values of logical types, each checked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any
from uuid import UUID

from lockgate.avro.defaults import DAY_MILLIS, EPOCH, EPOCH_ORDINAL, LOCAL_EPOCH
from lockgate.avro.types import Fixed, Logical, Primitive

__all__ = ["Misfit", "describe", "to_raw"]


class Misfit(Exception):  # noqa: N818  # never leaves this package: the encoder makes an EventError of it
    """Say that a value is not what its schema expects."""

    def __init__(self, expected: str, value: Any, got: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.got = describe(value) if got is None else got


def describe(value: Any) -> str:
    """Return what a value is, for an error: its type, and the value itself only where it is no text of someone's."""
    match value:
        case None:
            return "None"
        case bool() | int() | float() | Decimal() | date() | time():
            return f"{type(value).__name__} {str(value)[:60]}"
        case str() | bytes() | bytearray():
            return f"{type(value).__name__} of length {len(value)}"
        case (str() as tag, _):
            return f"tuple ({tag[:60]!r}, …)"
        case _:
            return type(value).__name__


def to_raw(type_: Primitive | Fixed) -> Callable[[Any], Any]:
    """Return the function that makes the underlying value of a logical type's Python value, or raises Misfit."""
    logical = type_.logical
    if logical is None:  # pragma: no cover  # a caller's mistake
        raise AssertionError(type_)
    match logical.name:
        case "decimal":
            return _decimal(logical, type_.size if isinstance(type_, Fixed) else None)
        case "uuid":
            return _uuid
        case "date":
            return _date
        case "time-millis":
            return lambda value: _time(value) // 1000
        case "time-micros":
            return _time
        case "timestamp-millis":
            return _timestamp_millis
        case "timestamp-micros":
            return _timestamp_micros
        case "local-timestamp-millis":
            return lambda value: _local_micros(value) // 1000
        case _:
            return _local_micros


def _decimal(logical: Logical, size: int | None) -> Callable[[Any], bytes]:
    scale, limit = logical.scale, 10**logical.precision
    # a result has at most one digit more than fits: no exponent makes `int` build a number of a million digits
    exact = Context(
        prec=logical.precision, Emax=logical.precision, Emin=-999_999_999, traps=[Inexact, InvalidOperation, Overflow]
    )
    expected = f"a decimal of {logical.precision} digits, {scale} of them after the point"

    def convert(value: Any) -> bytes:
        if not isinstance(value, Decimal):
            raise Misfit("Decimal", value)
        try:
            shifted = value.scaleb(scale, exact)
            unscaled = int(shifted)
        except (ArithmeticError, ValueError):
            raise Misfit(expected, value) from None
        if unscaled != shifted or not -limit < unscaled < limit:
            raise Misfit(expected, value)
        length = size or (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
        return unscaled.to_bytes(length, "big", signed=True)

    return convert


def _uuid(value: Any) -> str:
    if not isinstance(value, UUID):
        raise Misfit("UUID", value)
    return str(value)


def _date(value: Any) -> int:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Misfit("date", value)
    return value.toordinal() - EPOCH_ORDINAL


def _time(value: Any) -> int:
    if not isinstance(value, time):
        raise Misfit("time", value)
    if value.tzinfo is not None:
        raise Misfit("a time without a zone", value)
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _since_epoch(value: Any) -> timedelta:
    if not isinstance(value, datetime):
        raise Misfit("datetime", value)
    if value.tzinfo is None:
        raise Misfit("a datetime with a time zone", value, f"{value} without one")
    return value - EPOCH


def _timestamp_millis(value: Any) -> int:
    """Return milliseconds, rounded down: clocks tick in microseconds, and the schema says what is kept of them."""
    delta = _since_epoch(value)
    return delta.days * DAY_MILLIS + delta.seconds * 1000 + delta.microseconds // 1000


def _timestamp_micros(value: Any) -> int:
    delta = _since_epoch(value)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _local_micros(value: Any) -> int:
    if not isinstance(value, datetime):
        raise Misfit("datetime", value)
    if value.tzinfo is not None:
        raise Misfit("a datetime without a time zone", value)
    delta = value - LOCAL_EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
