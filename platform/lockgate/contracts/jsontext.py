"""JSON with line numbers: parsed fast by the standard library, scanned again only where a message needs a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]  # undocumented in typeshed, stable since 2.6
from typing import Any

from lockgate.contracts.report import Report

__all__ = ["Lines", "parse_json"]

_MAX_DEPTH = 100  # of objects and lists; schemas that people read have ten
_BLANK = " \t\r\n"


class _RefusedError(ValueError):
    pass


def parse_json(text: str, file: str, report: Report) -> Any:
    """Return a JSON document, or None after reporting why there is none (`null` itself is reported too)."""
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        report.add(file, error.lineno, f"is not valid JSON: {error.msg} (column {error.colno})")
        return None
    except _RefusedError as error:
        report.add(file, Lines(text).duplicate or _line_of_text(text, error.args[1]), error.args[0])
        return None
    except RecursionError:
        report.add(file, 1, "is nested too deeply")
        return None
    if document is None:
        report.add(file, 1, "expected an Avro schema, got null")
    if _too_deep(document):
        report.add(file, 1, "is nested too deeply")
        return None
    return document


def _too_deep(document: Any) -> bool:
    """Tell whether a document would take those who walk through it to the end of the stack."""
    level = [document]
    for _ in range(_MAX_DEPTH):
        nested = [node for node in level if isinstance(node, dict | list)]
        if not nested:
            return False
        level = [child for node in nested for child in (node.values() if isinstance(node, dict) else node)]
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise _RefusedError(f'"{twice}" stands in one object twice', f'"{twice}"')
    return found


def _no_constant(constant: str) -> Any:
    raise _RefusedError(f"{constant} is no JSON", constant)


def _line_of_text(text: str, part: str) -> int:
    return text.count("\n", 0, max(0, text.find(part))) + 1


class Lines:
    """Know the line of every member and element of one JSON document that parses."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._decoder = json.JSONDecoder()
        self._places: dict[tuple[str, ...], tuple[int, int]] = {}
        self._counted_to = 0
        self._line = 1
        self.duplicate: int | None = None
        """The line of the first member whose name stands in its object twice."""
        self._scan(self._skip(0), ())

    def of(self, pointer: str | Sequence[str | int]) -> int:
        """Return the line of a JSON pointer (`/fields/0/type`) or path; of the nearest parent that exists."""
        return self.place(pointer)[0]

    def place(self, pointer: str | Sequence[str | int]) -> tuple[int, int]:
        """Return line and column of a JSON pointer or path, both 1-based; of the nearest parent that exists."""
        if isinstance(pointer, str):
            path = tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
        else:
            path = tuple(str(part) for part in pointer)
        while path not in self._places:
            if not path:
                return 1, 1
            path = path[:-1]
        return self._places[path]

    def _mark(self, path: tuple[str, ...], position: int) -> None:
        self._line += self._text.count("\n", self._counted_to, position)
        self._counted_to = position
        if path in self._places:
            self.duplicate = self.duplicate or self._line
        else:
            self._places[path] = self._line, position - self._text.rfind("\n", 0, position)

    def _skip(self, position: int) -> int:
        while position < len(self._text) and self._text[position] in _BLANK:
            position += 1
        return position

    def _scan(self, position: int, path: tuple[str, ...]) -> int:
        text = self._text
        if text[position] == "{":
            position = self._skip(position + 1)
            while text[position] != "}":
                start = position
                name, position = scanstring(text, position + 1)
                self._mark((*path, name), start)
                position = self._scan(self._skip(self._skip(position) + 1), (*path, name))
                position = self._next(position)
            return position + 1
        if text[position] == "[":
            position = self._skip(position + 1)
            index = 0
            while text[position] != "]":
                self._mark((*path, str(index)), position)
                position = self._next(self._scan(position, (*path, str(index))))
                index += 1
            return position + 1
        end: int = self._decoder.raw_decode(text, position)[1]
        return end

    def _next(self, position: int) -> int:
        position = self._skip(position)
        return self._skip(position + 1) if self._text[position] == "," else position
