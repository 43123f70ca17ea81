"""Encoders as straight-line Python: one function a record, which checks and writes in one go.

Strict, where a general encoder guesses: no value is made to fit (`1` for true, a float for an int, any object for a
string), no field is left out silently, and none is dropped because its name is misspelt.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from lockgate.avro.conversions import Misfit, to_raw
from lockgate.avro.defaults import default_datum
from lockgate.avro.source import MAX_DEPTH, MAX_EMPTY_ITEMS, Source, Trace, is_recursive, smallest
from lockgate.avro.types import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    Array,
    Enum,
    Fixed,
    Map,
    Primitive,
    Record,
    Type,
    Union,
    branch_name,
    python_kind,
    tagged_branches,
)

__all__ = ["Write", "compile_encoder"]

Write = Callable[[Any, bytearray], None]
"""`(datum, out)`. Misfit, or whatever a foreign value raises, means that the datum does not fit."""


def compile_encoder(record: Record, *, traced: bool) -> Callable[[Trace | None], Write]:
    """Return a function that makes the encoder; the traced variant keeps the path to where it is in its argument."""
    return _Generator(traced).compile(record)


class _Generator:
    """In the code: `o` output, `n` a number to be written, `d` nesting of recursive records."""

    def __init__(self, traced: bool) -> None:
        self._source = Source(traced, _HELPERS)
        self._functions: dict[int, str] = {}
        self._pending: list[tuple[str, Record]] = []

    def compile(self, record: Record) -> Callable[[Trace | None], Write]:
        root = self._function(record)
        while self._pending:
            self._record(*self._pending.pop())
        entry = root
        if is_recursive(record):
            entry = "entry"
            with self._source.block("def entry(r, o):"):
                self._source.line(f"{root}(r, o, 1)")
        return self._source.compile(entry)

    def _function(self, record: Record) -> str:
        if id(record) not in self._functions:
            self._functions[id(record)] = self._source.fresh("w")
            self._pending.append((self._functions[id(record)], record))
        return self._functions[id(record)]

    def _record(self, name: str, record: Record) -> None:
        source = self._source
        self._recursive = is_recursive(record)
        with source.block(f"def {name}(r, o{', d' if self._recursive else ''}):"):
            if self._recursive:
                with source.block(f"if d > {MAX_DEPTH}:"):
                    source.line("too_deep(r)")
            with source.block("if type(r) is not dict and not isinstance(r, Mapping):"):
                source.line(f"misfit({record.name!r}, r)")
            source.line("c = len(r)")
            for field in record.fields:
                value = source.fresh("v")
                with source.step(repr(field.name)):
                    if field.has_default:
                        default = source.constant(default_datum(field.type, field.default))
                        with source.block("try:"):
                            source.line(f"{value} = r[{field.name!r}]")
                        with source.block("except KeyError:"):
                            source.line(f"{value} = {default}")
                            source.line("c += 1")
                    elif source.traced:
                        with source.block("try:"):
                            source.line(f"{value} = r[{field.name!r}]")
                        with source.block("except KeyError:"):
                            source.line(f"missing({_describe(field.type)!r})")
                    else:
                        source.line(f"{value} = r[{field.name!r}]")
                    self._write(field.type, value)
            names = source.constant({field.name: None for field in record.fields})
            with source.block(f"if c != {len(record.fields)}:"):
                source.line(f"unknown(r, {names}, T)")

    def _write(self, type_: Type, value: str) -> None:
        """Add the lines that check and write what a variable holds; they may change the variable."""
        source = self._source
        match type_:
            case Primitive(logical=None):
                self._primitive(type_.kind, value)
            case Primitive():
                source.line(f"{value} = {source.constant(to_raw(type_))}({value})")
                self._written(type_.kind, value)
            case Fixed(logical=None):
                with source.block(f"if type({value}) is not bytes:"):
                    source.line(f"{value} = as_bytes({value})")
                with source.block(f"if len({value}) != {type_.size}:"):
                    source.line(f"wrong_size({type_.size}, {value})")
                source.line(f"o += {value}")
            case Fixed():
                source.line(f"o += {source.constant(to_raw(type_))}({value})")
            case Enum():
                self._enum(type_, value)
            case Array():
                self._array(type_, value)
            case Map():
                self._map(type_, value)
            case Union():
                self._union(type_, value)
            case Record():
                depth = (", d + 1" if self._recursive else ", 1") if is_recursive(type_) else ""
                source.line(f"{self._function(type_)}({value}, o{depth})")

    def _primitive(self, kind: str, value: str) -> None:
        source = self._source
        match kind:
            case "null":
                with source.block(f"if {value} is not None:"):
                    source.line(f"misfit('null', {value})")
            case "boolean":
                with source.block(f"if {value} is not True and {value} is not False:"):
                    source.line(f"misfit('boolean', {value})")
            case "int" | "long":
                with source.block(f"if type({value}) is not int:"):
                    source.line(f"{value} = as_int({value}, {kind!r})")
            case "float" | "double":
                with source.block(f"if type({value}) is not float:"):
                    source.line(f"{value} = as_float({value}, {kind!r})")
            case "bytes":
                with source.block(f"if type({value}) is not bytes:"):
                    source.line(f"{value} = as_bytes({value})")
            case "string":
                with source.block(f"if type({value}) is not str:"):
                    source.line(f"{value} = as_str({value})")
        self._written(kind, value)

    def _written(self, kind: str, value: str) -> None:
        """Add the lines that write a value of the right Python type."""
        source = self._source
        match kind:
            case "boolean":
                source.line(f"o.append(1 if {value} else 0)")
            case "int" | "long":
                with source.block(f"if -64 <= {value} < 64:"):
                    source.line(f"o.append(({value} << 1) ^ ({value} >> 63))")
                with source.block("else:"):
                    source.line(f"write_{kind}({value}, o)")
            case "float":
                source.line(f"o += pack_float({value})")
            case "double":
                source.line(f"o += pack_double({value})")
            case "bytes":
                self._size(value)
                source.line(f"o += {value}")
            case "string":
                source.line(f"{value} = encode({value})" if source.traced else f"{value} = {value}.encode()")
                self._size(value)
                source.line(f"o += {value}")

    def _size(self, value: str) -> None:
        source = self._source
        source.line(f"n = len({value})")
        with source.block("if n < 64:"):
            source.line("o.append(n + n)")
        with source.block("else:"):
            source.line("write_long(n, o)")

    def _enum(self, type_: Enum, value: str) -> None:
        source = self._source
        written = {symbol: bytes(_long(index)) for index, symbol in enumerate(type_.symbols)}
        symbols = source.constant(written)
        with source.block(f"if type({value}) is not str:"):
            source.line(f"{value} = as_str({value}, {type_.name!r})")
        if source.traced:
            with source.block(f"if {value} not in {symbols}:"):
                source.line(f"unknown_symbol({value}, {symbols})")
        source.line(f"o += {symbols}[{value}]")

    def _array(self, type_: Array, value: str) -> None:
        source = self._source
        item = source.fresh("x")
        with source.block(f"if type({value}) is not list and type({value}) is not tuple:"):
            source.line(f"misfit('a list', {value})")
        self._bound(type_.items, value)
        with source.block(f"if {value}:"):
            self._size(value)
            if source.traced:
                index = source.fresh("i")
                with (
                    source.block(f"for {index}, {item} in enumerate({value}):"),
                    source.step(f"'[%d]' % {index}"),
                ):
                    self._write(type_.items, item)
            else:
                with source.block(f"for {item} in {value}:"):
                    self._write(type_.items, item)
        source.line("o.append(0)")

    def _bound(self, items: Type, value: str) -> None:
        if not smallest(items):  # as the decoder does
            with self._source.block(f"if len({value}) > {MAX_EMPTY_ITEMS}:"):
                self._source.line(f"too_many({value})")

    def _map(self, type_: Map, value: str) -> None:
        source = self._source
        key, item = source.fresh("k"), source.fresh("x")
        with source.block(f"if type({value}) is not dict and not isinstance({value}, Mapping):"):
            source.line(f"misfit('a mapping', {value})")
        with source.block(f"if {value}:"):
            self._size(value)
            with source.block(f"for {key}, {item} in {value}.items():"), source.step(f"'[%r]' % ({key},)"):
                self._primitive("string", key)
                self._write(type_.values, item)
        source.line("o.append(0)")

    def _union(self, type_: Union, value: str) -> None:
        source = self._source
        tagged = tagged_branches(type_)
        kinds = [python_kind(branch) for branch in type_.branches]
        keyword = "if"
        for index, branch in enumerate(type_.branches):
            if tagged[index]:
                continue
            test = _TESTS[kinds[index]].format(value)
            if kinds[index] == "float" and "int" not in kinds:
                test = f"{test} or {_TESTS['int'].format(value)}"
            with source.block(f"{keyword} {test}:"):
                source.line(f"o += {_long(index)!r}")
                self._write(branch, value)
            keyword = "elif"
        if any(tagged):
            with source.block(f"{keyword} type({value}) is tuple and len({value}) == 2:"):
                tag, inner = source.fresh("t"), source.fresh("x")
                source.line(f"{tag}, {inner} = {value}")
                inside = "if"
                for index, branch in enumerate(type_.branches):
                    if tagged[index]:
                        with source.block(f"{inside} {tag} == {branch_name(branch)!r}:"):
                            source.line(f"o += {_long(index)!r}")
                            self._write(branch, inner)
                        inside = "elif"
                with source.block("else:"):
                    source.line(f"misfit({_describe(type_)!r}, {value})")
        with source.block("else:"):
            source.line(f"misfit({_describe(type_)!r}, {value})")


_TESTS = {
    "None": "{0} is None",
    "bool": "{0} is True or {0} is False",
    "int": "type({0}) is int or isinstance({0}, int) and not isinstance({0}, bool)",
    "float": "isinstance({0}, float)",
    "str": "isinstance({0}, str)",
    "bytes": "isinstance({0}, (bytes, bytearray, memoryview))",
    "list": "type({0}) is list",
    "dict": "isinstance({0}, Mapping)",
    "Decimal": "isinstance({0}, Decimal)",
    "UUID": "isinstance({0}, UUID)",
    "date": "isinstance({0}, date) and not isinstance({0}, datetime)",
    "time": "isinstance({0}, time)",
    "datetime": "isinstance({0}, datetime)",
}
"""How the code tells which branch a value without a tag is meant for; no two branches of a union share a kind."""


def _describe(type_: Type) -> str:
    match type_:
        case Union():
            tagged = tagged_branches(type_)
            names = [
                f"({branch_name(branch)!r}, …)" if tag else _describe(branch)
                for branch, tag in zip(type_.branches, tagged, strict=True)
            ]
            return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
        case Primitive(logical=logical) | Fixed(logical=logical) if logical is not None:
            return logical.name
        case Array():
            return "a list"
        case Map():
            return "a mapping"
        case _:
            return branch_name(type_)


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
    if not LONG_MIN <= value <= LONG_MAX:
        raise Misfit("a long (64 bits)", value)
    out += _long(value)


def _write_int(value: int, out: bytearray) -> None:
    if not INT_MIN <= value <= INT_MAX:
        raise Misfit("an int (32 bits)", value)
    out += _long(value)


def _long(value: int) -> bytes:
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


_HELPERS: dict[str, Any] = {
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
