"""Generated Python: lines, indentation, constants, and what encoder and decoder functions have in common.

Everything of a schema that gets into a line goes in as `repr` of a string or as a named constant, never as code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lockgate.avro.types import Array, Enum, Fixed, Map, Primitive, Record, Type, Union, walk

__all__ = ["MAX_DEPTH", "MAX_EMPTY_ITEMS", "Source", "Trace", "is_recursive", "smallest"]

MAX_DEPTH = 200
"""How deep a recursive type may be nested: far beyond any sensible event, well below what Python's stack takes."""
MAX_EMPTY_ITEMS = 10_000
"""How long a list may be whose items take no byte: its length is not bounded by the size of the record."""


class Trace(list[str]):
    """Follow the path through a datum: field names and `[index]`; only the slow, explaining variant keeps one."""

    at = 0
    """Of a decoder: the position last read from."""

    @property
    def path(self) -> str:
        """Return the path as errors print it: `lines[2].amount`."""
        return "".join(part if part.startswith("[") else f".{part}" for part in self).removeprefix(".")


class Source:
    """Collect the source of a module of functions, then compile it."""

    def __init__(self, traced: bool, names: dict[str, Any]) -> None:
        self.traced = traced
        self._names = dict(names)
        self._lines: list[str] = []
        self._indent = 0
        self._count = 0

    def line(self, text: str) -> None:
        """Add one line."""
        self._lines.append(f"{'    ' * self._indent}{text}")

    @contextmanager
    def block(self, opening: str) -> Iterator[None]:
        """Add a line that opens a block; what is added inside is indented."""
        self.line(opening)
        self._indent += 1
        yield
        self._indent -= 1

    @contextmanager
    def step(self, part: str) -> Iterator[None]:
        """Say, in the traced variant, that what is added inside concerns a part of the datum; `part` is code."""
        if self.traced:
            self.line(f"T.append({part})")
        yield
        if self.traced:
            self.line("T.pop()")

    def fresh(self, prefix: str) -> str:
        """Return a variable's name that is not in use."""
        self._count += 1
        return f"{prefix}{self._count}"

    def constant(self, value: Any) -> str:
        """Return a name under which the generated code finds a value."""
        name = self.fresh("K")
        self._names[name] = value
        return name

    def compile(self, entry: str) -> Callable[[Trace | None], Callable[..., Any]]:
        """Compile, and return a function that makes the entry function; it takes the trace to follow, or None."""
        body = "".join(f"    {line}\n" for line in self._lines)
        text = f"def make(T):\n{body}    return {entry}\n"
        # as attrs and dataclasses do: code made of counters, constants and repr'd strings
        exec(compile(text, "<lockgate codec>", "exec"), self._names)  # noqa: S102
        make: Callable[[Trace | None], Callable[..., Any]] = self._names["make"]
        return make


def is_recursive(record: Record) -> bool:
    """Say whether a record may hold itself, directly or through others."""
    return any(inner is record for field in record.fields for inner in walk(field.type))


def smallest(type_: Type) -> int:
    """Return the fewest bytes that a value of a type takes."""
    match type_:
        case Primitive(kind=kind):
            return {"null": 0, "float": 4, "double": 8}.get(kind, 1)
        case Fixed():
            return type_.size
        case Record():
            return sum(smallest(field.type) for field in type_.fields)
        case Union() | Array() | Map() | Enum():
            return 1
        case _:  # pragma: no cover  # references do not get as far as a codec
            raise AssertionError(type_)
