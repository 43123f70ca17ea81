"""What generated decoders call: numbers of several bytes, checked lengths and indexes, and the ways to refuse."""

from __future__ import annotations

import struct
from datetime import timedelta
from typing import Any, NoReturn

from lockgate.avro.defaults import EPOCH
from lockgate.avro.source import MAX_DEPTH, MAX_EMPTY_ITEMS
from lockgate.avro.types import INT_MAX, INT_MIN, Enum
from lockgate.errors import PoisonError

__all__ = ["READING"]


def _malformed(message: str) -> NoReturn:
    raise PoisonError("malformed", message)


def _read_long(b: bytes, i: int) -> tuple[int, int]:
    n = b[i] & 127
    shift = 7
    while True:
        i += 1
        byte = b[i]
        if byte < 128:
            break
        n |= (byte & 127) << shift
        shift += 7
        if shift > 63:
            _malformed("a number of more than 64 bits")
    n |= byte << shift
    if n >> 64:
        _malformed("a number of more than 64 bits")
    return (n >> 1) ^ -(n & 1), i + 1


def _read_int(b: bytes, i: int) -> tuple[int, int]:
    n, after = _read_long(b, i)
    if not INT_MIN <= n <= INT_MAX:
        _malformed("an int of more than 32 bits")
    return n, after


def _read_number(b: bytes, i: int) -> tuple[int, int]:
    byte = b[i]
    return _read_long(b, i) if byte > 127 else ((byte >> 1) ^ -(byte & 1), i + 1)


def _read_size(b: bytes, i: int) -> tuple[int, int]:
    n, after = _read_number(b, i)
    if n < 0:
        _malformed(f"a length of {n}")
    return n, after


def _read_index(b: bytes, i: int, count: int) -> tuple[int, int]:
    n, after = _read_number(b, i)
    if not 0 <= n < count:
        raise PoisonError("index-out-of-range", f"index {n}, of {count}")
    return n, after


def _read_block(b: bytes, i: int) -> tuple[int, int, int]:
    """Return the count of a block's items, the position after it, and where the block must end; 0 if it says not."""
    n, i = _read_number(b, i)
    if n >= 0:
        return n, i, 0
    size, i = _read_size(b, i)
    return -n, i, i + size


def _bad_boolean(n: int) -> NoReturn:
    _malformed(f"a boolean of 0x{n:02x}")


def _bad_block() -> NoReturn:
    _malformed("a block of items that is not as long as it says")


def _too_deep() -> NoReturn:
    _malformed(f"nested more than {MAX_DEPTH} deep")


def _too_many() -> NoReturn:
    _malformed(f"more than {MAX_EMPTY_ITEMS} items of no bytes")


def _mismatch(message: str) -> NoReturn:
    raise PoisonError("schema-mismatch", message)


def _unknown_symbol(writer: Enum, reader: Enum, n: int) -> NoReturn:
    raise PoisonError("schema-mismatch", f"{reader.name} does not have the symbol {writer.symbols[n]}, nor a default")


READING: dict[str, Any] = {
    "EPOCH": EPOCH,
    "bad_block": _bad_block,
    "bad_boolean": _bad_boolean,
    "mismatch": _mismatch,
    "read_block": _read_block,
    "read_index": _read_index,
    "read_int": _read_int,
    "read_long": _read_long,
    "read_size": _read_size,
    "timedelta": timedelta,
    "too_deep": _too_deep,
    "too_many": _too_many,
    "unknown_symbol": _unknown_symbol,
    "unpack_double": struct.Struct("<d").unpack_from,
    "unpack_float": struct.Struct("<f").unpack_from,
}
"""By the names under which generated code finds them."""
