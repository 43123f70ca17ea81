"""What generated encoders call: checks of values that are not of the plain type, numbers, and the ways to refuse."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from lockgate.avro.conversions import Misfit
from lockgate.avro.source import MAX_DEPTH, MAX_EMPTY_ITEMS, Trace
from lockgate.avro.types import INT_MAX, INT_MIN, LONG_MAX, LONG_MIN

__all__ = ["WRITING", "zigzag"]


def _misfit(expected: str, value: Any) -> NoReturn:
    raise Misfit(expected, value)


def _as_str(value: Any, expected: str = "string") -> str:
    if not isinstance(value, str):
        raise Misfit(expected, value)
    return str.__str__(value)


def _encode(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Misfit("text that UTF-8 can hold", value, "a lone surrogate") from None


def _as_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise Misfit("bytes", value)
    return bytes(value)


def _as_int(value: Any, expected: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Misfit(expected, value)
    return int(value)


def _as_float(value: Any, expected: str) -> float:
    """Return a float for a float or an int, as type checkers allow, where it holds the very same number."""
    if isinstance(value, float):
        return float(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Misfit(expected, value)
    try:
        converted = float(value)
    except OverflowError:
        raise Misfit(expected, value) from None
    if converted != value:
        raise Misfit(f"a number that a {expected} can hold", value)
    return converted


_FLOAT = struct.Struct("<f")


def _pack_float(value: float) -> bytes:
    try:
        return _FLOAT.pack(value)
    except OverflowError:
        raise Misfit("a number that a float can hold", value) from None


def _write_long(value: int, out: bytearray) -> None:
    if _SIX_BYTES <= value < _SEVEN_BYTES:  # the times of 1970 to 2039 in milliseconds, all but their first months
        n = value << 1
        low, high = n & 0x1FFFFF, n >> 21
        out += _pack_six(
            low & 127 | 128, low >> 7 & 127 | 128, low >> 14 | 128, high & 127 | 128, high >> 7 & 127 | 128, high >> 14
        )
        return
    if not LONG_MIN <= value <= LONG_MAX:
        raise Misfit("a long (64 bits)", value)
    out += zigzag(value)


def _write_int(value: int, out: bytearray) -> None:
    if not INT_MIN <= value <= INT_MAX:
        raise Misfit("an int (32 bits)", value)
    out += zigzag(value)


_SIX_BYTES, _SEVEN_BYTES = 1 << 34, 1 << 41
_pack_six = struct.Struct("6B").pack


def zigzag(value: int) -> bytes:
    """Return a number as Avro writes it: zigzag, seven bits a byte, the lowest first."""
    n = (value << 1) ^ (value >> 63)
    if n < 0x80:
        return bytes((n,))
    if n < 0x4000:
        return bytes((n & 127 | 128, n >> 7))
    written = bytearray()
    while n > 127:
        written.append(n & 127 | 128)
        n >>= 7
    written.append(n)
    return bytes(written)


def _wrong_size(size: int, value: bytes) -> NoReturn:
    raise Misfit(f"{size} bytes", value, f"{len(value)} bytes")


def _missing(expected: str) -> NoReturn:
    raise Misfit(expected, None, "nothing: the field is missing")


def _unknown(record: Mapping[Any, Any], names: Mapping[str, None], trace: Trace | None) -> NoReturn:
    extra = [name for name in record if name not in names]
    if trace is not None:
        trace.append(str(extra[0]) if extra else "")
    raise Misfit(f"one of the fields {', '.join(names)}", None, f"the unknown field {extra[0] if extra else '?'}")


def _unknown_symbol(value: str, symbols: Mapping[str, bytes]) -> NoReturn:
    raise Misfit(f"one of {', '.join(symbols)}", value, repr(value[:40]))


def _too_deep(value: Any) -> NoReturn:
    raise Misfit(f"at most {MAX_DEPTH} levels", value, "more")


def _too_many(value: Any) -> NoReturn:
    raise Misfit(f"at most {MAX_EMPTY_ITEMS} items that take no byte", value, f"{len(value)}")


WRITING: dict[str, Any] = {
    "Decimal": Decimal,
    "Mapping": Mapping,
    "UUID": UUID,
    "as_bytes": _as_bytes,
    "as_float": _as_float,
    "as_int": _as_int,
    "as_str": _as_str,
    "date": date,
    "datetime": datetime,
    "encode": _encode,
    "misfit": _misfit,
    "missing": _missing,
    "pack_double": struct.Struct("<d").pack,
    "pack_float": _pack_float,
    "time": time,
    "too_deep": _too_deep,
    "too_many": _too_many,
    "unknown": _unknown,
    "unknown_symbol": _unknown_symbol,
    "write_int": _write_int,
    "write_long": _write_long,
    "wrong_size": _wrong_size,
}
"""By the names under which generated code finds them."""
