"""`.avsc` files at one moment, now or at a commit: found by the names of their types, with the lines of their parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from lockgate.avro.schema import full_name_of
from lockgate.avro.types import PRIMITIVES
from lockgate.contracts.jsontext import Lines
from lockgate.contracts.schemas import walk_names

__all__ = ["Document", "Find", "locate", "path_of", "read", "working_tree"]

_NAMED = ("record", "error", "enum", "fixed")


@attrs.frozen(slots=False)  # what is looked up again is cached in the instance's __dict__
class Document:
    """Hold one `.avsc` file that holds the type which its path says."""

    full_name: str
    text: str
    content: Mapping[str, Any]

    @cached_property
    def uses(self) -> frozenset[str]:
        """Return the full names of the types that it refers to, and does not define itself."""
        parts = list(walk_names(self.content, self.full_name.rpartition(".")[0], ()))
        own = {name for kind, name, _ in parts if kind == "defines"}
        return frozenset(name for kind, name, _ in parts if kind == "uses" and name not in own)

    @cached_property
    def definitions(self) -> Mapping[str, tuple[str, ...]]:
        """Return the path of each type that is defined in it, by full name."""
        parts = walk_names(self.content, self.full_name.rpartition(".")[0], ())
        return {name: path[:-1] for kind, name, path in parts if kind == "defines"}

    @cached_property
    def lines(self) -> Lines:
        """Return the lines of its parts."""
        return Lines(self.text)


Find: TypeAlias = Callable[[str], Document | None]
"""Return the document of a full name at one moment, or None where there is none that can be read."""


def path_of(full_name: str) -> str:
    """Return the path, from the project's root, of the file that defines a type."""
    namespace, _, name = full_name.rpartition(".")
    return f"schemas/{namespace}/{name}.avsc"


def read(full_name: str, content: bytes) -> Document | None:
    """Return a file's document, or None where it is not the schema of this type."""
    try:
        text = content.decode("utf-8-sig")
        document = json.loads(text)
        if document["type"] not in _NAMED or full_name_of(document) != full_name:
            return None
        found = Document(full_name, text, document)
        _ = found.uses  # whoever gets a document can walk through it
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return found


def working_tree(root: Path) -> Find:
    """Return what finds documents among a project's files as they are."""
    known: dict[str, Document | None] = {}

    def find(full_name: str) -> Document | None:
        if full_name not in known:
            try:
                known[full_name] = read(full_name, (root / path_of(full_name)).read_bytes())
            except OSError:
                known[full_name] = None
        return known[full_name]

    return find


def locate(find: Find, full_name: str, pointer: str) -> tuple[str, int]:
    """Return file and line of a JSON pointer into the bundled schema of a type, shared types included.

    A pointer goes on through a type that is used by its name, as if the type were written there. What a file does not
    hold has the line of the nearest part around it.
    """
    start = find(full_name)
    if start is None:
        return path_of(full_name), 1
    place = _Place(start, (), start.content, full_name.rpartition(".")[0])
    for token in _tokens(pointer):
        place = _enter(place, token, find)
        step = place.step(token)
        if step is None:
            break
        place = step
    return path_of(place.document.full_name), place.document.lines.of(place.path)


@attrs.frozen
class _Place:
    document: Document
    path: tuple[str, ...]
    node: Any
    namespace: str

    def step(self, token: str) -> _Place | None:
        node = self.node
        if isinstance(node, list) and token.isdecimal() and int(token) < len(node):
            return attrs.evolve(self, path=(*self.path, token), node=node[int(token)])
        if isinstance(node, dict) and token in node:
            namespace = self.namespace
            if node.get("type") in _NAMED and isinstance(node.get("name"), str):
                namespace = full_name_of({"namespace": namespace} | node).rpartition(".")[0]
            return attrs.evolve(self, path=(*self.path, token), node=node[token], namespace=namespace)
        return None


def _enter(place: _Place, token: str, find: Find) -> _Place:
    """Go to where a member of a type can be: through its name, and through objects that only wrap it."""
    for _ in range(_MAX_HOPS):
        node = place.node
        if isinstance(node, str) and node not in PRIMITIVES:
            full_name = node if "." in node or not place.namespace else f"{place.namespace}.{node}"
            document = place.document if full_name in place.document.definitions else find(full_name)
            if document is None:
                return place
            path = document.definitions.get(full_name, ())
            place = _Place(document, path, _at(document.content, path), full_name.rpartition(".")[0])
        elif isinstance(node, dict) and token not in node and "type" in node:
            place = attrs.evolve(place, path=(*place.path, "type"), node=node["type"])
        else:
            return place
    return place


_MAX_HOPS = 20  # a name, a wrapper, a name: nobody writes more, and a circle ends here


def _at(content: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        content = content[int(part)] if isinstance(content, list) else content[part]
    return content


def _tokens(pointer: str) -> Iterator[str]:
    for token in pointer.split("/")[1:]:
        yield token.replace("~1", "/").replace("~0", "~")
