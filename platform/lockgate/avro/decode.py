"""Decoders as straight-line Python: one function a record, written for one pair of writer's and reader's schema.

Pure Python beats a general decoder in C here, for nothing is looked up in a schema while records flow; and it can
check everything on its way, which the C decoder does not: it takes a negative index for one from the end, any byte
for a boolean, 64 bits for an int, and ends the process on deep nesting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lockgate.avro import comparison, resolution
from lockgate.avro.defaults import default_datum, from_raw
from lockgate.avro.reading import READING
from lockgate.avro.source import MAX_DEPTH, MAX_EMPTY_ITEMS, Source, Trace, is_recursive, smallest
from lockgate.avro.types import (
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

__all__ = ["compile_decoder"]

Read = Callable[[bytes, int, int], tuple[Any, int]]
"""`(value, position, end) -> (datum, position after it)`. IndexError means that the value ends early."""


def compile_decoder(writer: Record, reader: Record, *, traced: bool) -> Callable[[Trace | None], Read]:
    """Return a function that makes the decoder; the traced variant keeps the path to where it is in its argument."""
    return _Generator(traced).compile(writer, reader)


class _Generator:
    """In the code: `b` value, `i` position, `e` end, `n` the number just read, `d` nesting of recursive records."""

    def __init__(self, traced: bool) -> None:
        self._source = Source(traced, READING)
        self._functions: dict[tuple[int, int], str] = {}
        self._pending: list[tuple[str, Record, Record]] = []

    def compile(self, writer: Record, reader: Record) -> Callable[[Trace | None], Read]:
        self._function(writer, reader)
        root = self._functions[id(writer), id(reader)]
        while self._pending:
            self._record(*self._pending.pop())
        entry = root
        if is_recursive(writer):
            entry = "entry"
            with self._source.block("def entry(b, i, e):"):
                self._source.line(f"return {root}(b, i, e, 1)")
        return self._source.compile(entry)

    def _function(self, writer: Record, reader: Record) -> str:
        key = (id(writer), id(reader))
        if key not in self._functions:
            self._functions[key] = self._source.fresh("r")
            self._pending.append((self._functions[key], writer, reader))
        return self._functions[key]

    def _record(self, name: str, writer: Record, reader: Record) -> None:
        source = self._source
        self._recursive = is_recursive(writer)
        with source.block(f"def {name}(b, i, e{', d' if self._recursive else ''}):"):
            if self._recursive:
                with source.block(f"if d > {MAX_DEPTH}:"):
                    source.line("too_deep()")
            wanted: dict[str, tuple[str, Type]] = {}
            parts: list[str] = []
            for field in reader.fields:
                found = resolution.field_of(writer, field)
                if found is not None:
                    wanted[found.name] = (source.fresh("v"), field.type)
                    parts.append(f"{field.name!r}: {wanted[found.name][0]}")
                elif field.has_default:
                    parts.append(f"{field.name!r}: {self._default(field.type, field.default)}")
                else:
                    self._mismatch(f"{reader.name} needs the field {field.name}, which {writer.name} does not have")
            for field in writer.fields:
                with source.step(repr(field.name)):
                    to, type_ = wanted.get(field.name, ("_", field.type))
                    self._read(field.type, type_, to)
            source.line(f"return {{{', '.join(parts)}}}, i")

    def _default(self, type_: Type, default: Any) -> str:
        datum = default_datum(type_, default)
        if isinstance(datum, list | dict | tuple):  # never the same list in two events
            return f"{self._source.constant(lambda: default_datum(type_, default))}()"
        return self._source.constant(datum)

    def _mismatch(self, message: str) -> None:
        self._source.line(f"mismatch({message!r})")

    def _read(self, writer: Type, reader: Type, to: str) -> None:
        """Add the lines that read a value of the writer's type and leave it in a variable as the reader's."""
        source = self._source
        if isinstance(writer, Union):
            self._union(writer, reader, to)
            return
        if isinstance(reader, Union):
            index = comparison.select_branch(writer, reader)
            if index is None:
                self._mismatch(f"{branch_name(writer)} is none of the reader's branches")
                return
            branch = reader.branches[index]
            self._read(writer, branch, to)
            if tagged_branches(reader)[index]:
                source.line(f"{to} = ({branch_name(branch)!r}, {to})")
            return
        if source.traced:
            source.line("T.at = i")
        match writer, reader:
            case Primitive(), Primitive() if writer.kind == reader.kind or resolution.promotes(
                writer.kind, reader.kind
            ):
                self._primitive(writer.kind, to)
                self._promote(writer.kind, reader.kind, to)
                self._logical(writer.logical, reader.logical, to)
            case Fixed(), Fixed() if writer.size == reader.size and resolution.names_match(writer, reader):
                self._slice(str(writer.size), f"{to} = b[i:j]")
                self._logical(writer.logical, reader.logical, to)
            case Enum(), Enum() if resolution.names_match(writer, reader):
                self._enum(writer, reader, to)
            case Array(), Array():
                self._array(writer, reader, to)
            case Map(), Map():
                self._map(writer, reader, to)
            case Record(), Record() if resolution.names_match(writer, reader):
                depth = (", d + 1" if self._recursive else ", 1") if is_recursive(writer) else ""
                source.line(f"{to}, i = {self._function(writer, reader)}(b, i, e{depth})")
            case _:
                self._mismatch(f"{branch_name(writer)} cannot be read as {branch_name(reader)}")

    def _slice(self, size: str, then: str) -> None:
        source = self._source
        source.line(f"j = i + {size}")
        with source.block("if j > e:"):
            source.line("raise IndexError")
        source.line(then)
        source.line("i = j")

    def _size(self) -> None:
        source = self._source
        source.line("n = b[i]")
        with source.block("if n & 129:"):  # negative, or of several bytes
            source.line("n, i = read_size(b, i)")
        with source.block("else:"):
            source.line("n >>= 1")
            source.line("i += 1")

    def _primitive(self, kind: str, to: str) -> None:
        source = self._source
        match kind:
            case "null":
                source.line(f"{to} = None")
            case "boolean":
                source.line("n = b[i]")
                with source.block("if n > 1:"):
                    source.line("bad_boolean(n)")
                source.line(f"{to} = n == 1")
                source.line("i += 1")
            case "int" | "long":
                source.line("n = b[i]")
                with source.block("if n < 128:"):
                    source.line(f"{to} = (n >> 1) ^ -(n & 1)")
                    source.line("i += 1")
                with source.block("else:"):
                    source.line(f"{to}, i = read_{kind}(b, i)")
            case "float":
                self._slice("4", f"{to} = unpack_float(b, i)[0]")
            case "double":
                self._slice("8", f"{to} = unpack_double(b, i)[0]")
            case "bytes":
                self._size()
                self._slice("n", f"{to} = b[i:j]")
            case "string":
                self._size()
                self._slice("n", f"{to} = b[i:j].decode()")

    def _promote(self, writer: str, reader: str, to: str) -> None:
        if writer in ("int", "long") and reader in ("float", "double"):
            self._source.line(f"{to} = float({to})")
        elif (writer, reader) == ("string", "bytes"):
            self._source.line(f"{to} = {to}.encode()")
        elif (writer, reader) == ("bytes", "string"):
            self._source.line(f"{to} = {to}.decode()")

    def _logical(self, writer: Logical | None, reader: Logical | None, to: str) -> None:
        if conflict := resolution.logical_conflict(writer, reader):
            self._mismatch(conflict)
        elif reader is not None:
            match reader.name:
                case "timestamp-millis":
                    self._source.line(f"{to} = EPOCH + timedelta(0, 0, 0, {to})")
                case "timestamp-micros":
                    self._source.line(f"{to} = EPOCH + timedelta(0, 0, {to})")
                case _:
                    self._source.line(f"{to} = {self._source.constant(from_raw(reader))}({to})")

    def _enum(self, writer: Enum, reader: Enum, to: str) -> None:
        source = self._source
        known = {
            2 * index: symbol if symbol in reader.symbols else reader.default
            for index, symbol in enumerate(writer.symbols)
        }
        # by the byte as it stands in the value: an index below 64 is one byte, twice the index
        symbols = source.constant({byte: symbol for byte, symbol in known.items() if symbol is not None})
        of_first_byte = source.constant(
            {byte: symbol for byte, symbol in known.items() if symbol is not None and byte < 128}
        )
        source.line(f"{to} = {of_first_byte}.get(b[i])")
        with source.block(f"if {to} is None:"):
            source.line(f"n, i = read_index(b, i, {len(writer.symbols)})")
            source.line(f"{to} = {symbols}.get(n + n)")
            with source.block(f"if {to} is None:"):
                source.line(f"unknown_symbol({source.constant(writer)}, {source.constant(reader)}, n)")
        with source.block("else:"):
            source.line("i += 1")

    def _union(self, writer: Union, reader: Type, to: str) -> None:
        source = self._source
        last = len(writer.branches) - 1
        if source.traced:
            source.line("T.at = i")
        source.line("n = b[i]")
        with source.block(f"if n & 1 or n > {min(2 * last, 126)}:"):
            source.line(f"n, i = read_index(b, i, {last + 1})")
            source.line("n += n")
        with source.block("else:"):
            source.line("i += 1")
        for index, branch in enumerate(writer.branches):
            opening = "else:" if index == last else f"elif n == {2 * index}:" if index else f"if n == {2 * index}:"
            with source.block("if True:" if last == 0 else opening):
                self._read(branch, reader, to)

    def _blocks(self, item: Callable[[], None], item_size: int, done: str) -> None:
        """Add the lines that read blocks of items until the empty one; `item` adds those that read one item."""
        source = self._source
        stop = source.fresh("s")
        with source.block("while True:"):
            source.line("n = b[i]")
            with source.block("if n == 0:"):
                source.line("i += 1")
                source.line("break")
            with source.block("if n & 129:"):
                source.line(f"n, i, {stop} = read_block(b, i)")
                with source.block("if n == 0:"):
                    source.line("break")
            with source.block("else:"):
                source.line("n >>= 1")
                source.line("i += 1")
                source.line(f"{stop} = 0")
            if item_size:
                # a count that the value cannot hold is refused before anything is made for it
                with source.block(f"if n > {f'(e - i) // {item_size}' if item_size > 1 else 'e - i'}:"):
                    source.line("raise IndexError")
            else:
                with source.block(f"if n + len({done}) > {MAX_EMPTY_ITEMS}:"):
                    source.line("too_many()")
            with source.block("for _ in range(n):"):
                item()
            with source.block(f"if {stop} and i != {stop}:"):
                source.line("bad_block()")

    def _array(self, writer: Array, reader: Array, to: str) -> None:
        source = self._source
        items, item = source.fresh("l"), source.fresh("x")

        def read() -> None:
            with source.step(f"'[%d]' % len({items})"):
                self._read(writer.items, reader.items, item)
            source.line(f"{items}.append({item})")

        source.line(f"{items} = []")
        self._blocks(read, smallest(writer.items), items)
        source.line(f"{to} = {items}")

    def _map(self, writer: Map, reader: Map, to: str) -> None:
        source = self._source
        values, key, value = source.fresh("m"), source.fresh("k"), source.fresh("x")

        def read() -> None:
            self._primitive("string", key)
            with source.step(f"'[%r]' % {key}"):
                self._read(writer.values, reader.values, value)
            source.line(f"{values}[{key}] = {value}")

        source.line(f"{values} = {{}}")
        self._blocks(read, 1 + smallest(writer.values), values)
        source.line(f"{to} = {values}")
