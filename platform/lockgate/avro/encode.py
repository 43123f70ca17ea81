"""Encoders as straight-line Python: one function a record, which checks and writes in one go.

Strict, where a general encoder guesses: no value is made to fit (`1` for true, a float for an int, any object for a
string), no field is left out silently, and none is dropped because its name is misspelt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lockgate.avro.conversions import to_raw
from lockgate.avro.defaults import default_datum
from lockgate.avro.source import MAX_DEPTH, MAX_EMPTY_ITEMS, Source, Trace, is_recursive, smallest
from lockgate.avro.types import (
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
from lockgate.avro.writing import WRITING, zigzag

__all__ = ["Write", "compile_encoder"]

Write = Callable[[Any, bytearray], None]
"""`(datum, out)`. Misfit, or whatever a foreign value raises, means that the datum does not fit."""


def compile_encoder(record: Record, *, traced: bool) -> Callable[[Trace | None], Write]:
    """Return a function that makes the encoder; the traced variant keeps the path to where it is in its argument."""
    return _Generator(traced).compile(record)


class _Generator:
    """In the code: `o` output, `n` a number to be written, `d` nesting of recursive records."""

    def __init__(self, traced: bool) -> None:
        self._source = Source(traced, WRITING)
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
        written = {symbol: bytes(zigzag(index)) for index, symbol in enumerate(type_.symbols)}
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
                source.line(f"o += {zigzag(index)!r}")
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
                            source.line(f"o += {zigzag(index)!r}")
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
