"""A strict reader of YAML mappings: every value has a line, every mistake is reported, nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

import attrs
import yaml

from lockgate.contracts.report import Report, nearest

__all__ = ["DURATION_WORDS", "LONGEST_DURATION_MS", "UNITS_MS", "UNREAD", "At", "Fields", "Texts", "duration_ms"]

T = TypeVar("T")

_TAG: Final = "tag:yaml.org,2002:"
_KINDS: Final = {
    "bool": "a truth value",
    "float": "a number",
    "int": "a number",
    "null": "nothing",
    "timestamp": "a date",
}
UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)", re.ASCII)
LONGEST_DURATION_MS: Final = 36_500 * UNITS_MS["d"]
DURATION_WORDS: Final = "a duration such as 500ms, 10s, 1m, 12h or 7d"


@attrs.frozen
class At(Generic[T]):
    """Hold a value and the line it stands on, 1-based."""

    value: T
    line: int


@attrs.frozen
class Texts:
    """Hold a list of different texts."""

    items: tuple[At[str], ...] = ()
    complete: bool = False
    """Whether all of it could be read; if not, nothing follows from what is missing."""

    def __contains__(self, value: str) -> bool:
        return any(item.value == value for item in self.items)


UNREAD: Final = Texts()
"""A list of which nothing is known."""


def duration_ms(text: str) -> int | None:
    """Return a duration such as `500ms`, `10s`, `1m`, `12h` or `7d` in milliseconds, or None where it is none."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    milliseconds = int(match[1]) * UNITS_MS[match[2]]
    return milliseconds if 0 < milliseconds <= LONGEST_DURATION_MS else None


class Fields:
    """Read one mapping whose fields are known beforehand.

    Methods return None for a field that is absent or wrong; what is wrong has been reported by then. A field that is
    probably meant by an unknown one counts as wrong, so that a typing mistake is reported once.
    """

    def __init__(  # one mapping needs all of it, and nobody but the file readers builds one
        self,
        node: yaml.MappingNode,
        file: str,
        report: Report,
        *,
        path: str = "",
        known: Iterable[str],
        required: Iterable[str] = (),
    ) -> None:
        self.file = file
        self.line = node.start_mark.line + 1
        self._report = report
        self._path = path
        self._nodes: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        self._meant: set[str] = set()
        known = tuple(known)
        for name, line, value in self.pairs(node, file, report, path):
            if name in known:
                self._nodes[name], self._lines[name] = value, line
            else:
                meant = nearest(name, known)
                if meant is not None:
                    self._meant.add(meant)
                hint = f"did you mean {meant}?" if meant else f"known fields: {', '.join(known)}"
                report.add(file, line, f"unknown field {path}{name}", hint)
        for name in required:
            if name not in self._nodes and name not in self._meant:
                report.add(file, self.line, f"missing field {path}{name}")

    @staticmethod
    def pairs(node: yaml.MappingNode, file: str, report: Report, path: str) -> Iterator[tuple[str, int, yaml.Node]]:
        """Yield name, line and value of each field; report names that are no text or stand there twice."""
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}str":
                where = f"{path.rstrip('.')}: " if path else ""
                report.add(file, line, f"{where}expected the name of a field, got {_describe(key)}")
            elif key.value in seen:
                report.add(file, line, f"{path}{key.value} stands here twice, first on line {seen[key.value]}")
            else:
                seen[key.value] = line
                yield key.value, line, value

    def has(self, name: str) -> bool:
        """Tell whether a field is there, rightly or wrongly filled."""
        return name in self._nodes

    def is_mapping(self, name: str) -> bool:
        """Tell whether a field is there and has fields of its own."""
        return isinstance(self._nodes.get(name), yaml.MappingNode)

    def uncertain(self, name: str) -> bool:
        """Tell whether a field is absent only because its name was probably mistyped."""
        return name in self._meant and name not in self._nodes

    def line_of(self, name: str) -> int:
        """Return the line of a field, or of the mapping where the field is absent."""
        return self._lines.get(name, self.line)

    def text(self, name: str) -> At[str] | None:
        """Return a field's text: one line, not empty, without blanks at its ends."""
        node = self._nodes.get(name)
        return None if node is None else self._text(node, f"{self._path}{name}")

    def texts(self, name: str) -> Texts:
        """Return a list of different texts, an empty one where the field is absent."""
        node = self._nodes.get(name)
        if node is None:
            return Texts(complete=not self.uncertain(name))
        path = f"{self._path}{name}"
        if not isinstance(node, yaml.SequenceNode):
            self._wrong(node, path, "a list")
            return UNREAD
        seen: dict[str, int] = {}
        items = []
        complete = True
        for index, item in enumerate(node.value):
            text = self._text(item, f"{path}[{index}]")
            if text is None:
                complete = False
                continue
            if text.value in seen:
                self._report.add(self.file, text.line, f"{path} lists {text.value} twice")
                continue
            seen[text.value] = text.line
            items.append(text)
        return Texts(tuple(items), complete)

    def integer(self, name: str, *, default: int, maximum: int) -> int | None:
        """Return a whole number from 1 to `maximum`."""
        node = self._nodes.get(name)
        if node is None:
            return default
        path = f"{self._path}{name}"
        # YAML 1.1 reads 010 as eight and 1:30 as ninety: only plain decimal digits mean what they look like
        if not isinstance(node, yaml.ScalarNode) or not re.fullmatch(r"-?(0|[1-9][0-9]*)", node.value, re.ASCII):
            self._wrong(node, path, "a whole number")
            return None
        if node.tag != f"{_TAG}int":
            self._wrong(node, path, "a whole number", "remove the quotes")
            return None
        if len(node.value) > 9 or not 1 <= int(node.value) <= maximum:
            line = node.start_mark.line + 1
            self._report.add(self.file, line, f"{path}: expected 1 to {maximum:,}, got {_short(node.value)}")
            return None
        return int(node.value)

    def flag(self, name: str) -> bool | None:
        """Return `true` or `false`, false where the field is absent."""
        node = self._nodes.get(name)
        if node is None:
            return False
        # YAML 1.1 also reads yes, on and their like as truth values: what is written is what is meant
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}bool" and node.value in ("true", "false"):
            return bool(node.value == "true")
        self._wrong(node, f"{self._path}{name}", "true or false")
        return None

    def mapping(self, name: str) -> yaml.MappingNode | None:
        """Return a field's mapping."""
        node = self._nodes.get(name)
        if node is None:
            return None
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, f"{self._path}{name}", "fields")
            return None
        return node

    def mappings(self, name: str) -> Iterator[tuple[str, yaml.MappingNode]]:
        """Yield each mapping of a list with its path; none where the field is absent."""
        node = self._nodes.get(name)
        if node is None:
            return
        path = f"{self._path}{name}"
        if not isinstance(node, yaml.SequenceNode):
            self._wrong(node, path, "a list")
            return
        for index, item in enumerate(node.value):
            if isinstance(item, yaml.MappingNode):
                yield f"{path}[{index}]", item
            else:
                self._wrong(item, f"{path}[{index}]", "fields")

    def parsed(self, name: str, parse: Callable[[str], T | None], expected: str) -> At[T] | None:
        """Return what `parse` makes of a field's text; None from it means that the text is not `expected`."""
        node = self._nodes.get(name)
        return None if node is None else self._parsed(node, f"{self._path}{name}", parse, expected)

    def parsed_list(self, name: str, parse: Callable[[str], T | None], expected: str) -> tuple[At[T], ...] | None:
        """Return what `parse` makes of each text of a list; None where the list or one of its items is wrong."""
        node = self._nodes.get(name)
        if node is None:
            return None if self.uncertain(name) else ()
        path = f"{self._path}{name}"
        if not isinstance(node, yaml.SequenceNode):
            self._wrong(node, path, "a list")
            return None
        items = [self._parsed(item, f"{path}[{index}]", parse, expected) for index, item in enumerate(node.value)]
        return None if None in items else tuple(item for item in items if item is not None)

    def _parsed(self, node: yaml.Node, path: str, parse: Callable[[str], T | None], expected: str) -> At[T] | None:
        line = node.start_mark.line + 1
        value = parse(node.value) if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            self._report.add(self.file, line, f"{path}: expected {expected}, got {_describe(node)}")
            return None
        return At(value, line)

    def _text(self, node: yaml.Node, path: str) -> At[str] | None:
        if not isinstance(node, yaml.ScalarNode):
            self._wrong(node, path, "text")
            return None
        if node.tag != f"{_TAG}str":
            plain = node.tag.removeprefix(_TAG) in _KINDS and node.tag != f"{_TAG}null"
            self._wrong(node, path, "text", "put it in quotes" if plain else None)
            return None
        if not node.value:
            self._wrong(node, path, "text")
            return None
        if not node.value.isprintable() or node.value != node.value.strip():
            self._wrong(node, path, "one line of text without blanks at its ends")
            return None
        return At(node.value, node.start_mark.line + 1)

    def _wrong(self, node: yaml.Node, path: str, expected: str, next_step: str | None = None) -> None:
        line = node.start_mark.line + 1
        self._report.add(self.file, line, f"{path}: expected {expected}, got {_describe(node)}", next_step)


def _describe(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "fields"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if node.tag == f"{_TAG}str":
        return f"{_short(node.value)!r}" if node.value else "empty text"
    kind = node.tag.removeprefix(_TAG)
    if kind == "null":
        return "nothing"
    if kind in _KINDS:
        return f"{_KINDS[kind]} ({_short(node.value)})"
    return f"a value with the tag {_short(node.tag)}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
