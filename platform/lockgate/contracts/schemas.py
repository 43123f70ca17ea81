"""`.avsc` files, read one at a time, and how they refer to each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import attrs

from lockgate.avro.schema import validate
from lockgate.contracts.jsontext import Lines, parse_json
from lockgate.contracts.report import Report, nearest
from lockgate.contracts.source import read_text
from lockgate.errors import SchemaError

__all__ = ["COMMON", "SchemaFile", "check_definitions", "check_references", "read_schema", "walk_names"]

COMMON: Final = "common"
"""The namespace of types that every domain may use."""

_PRIMITIVE: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_Path = tuple[str, ...]


@attrs.frozen(slots=False)  # `lines` is cached in the instance's __dict__
class SchemaFile:
    """Hold one `.avsc` file; without `document` where it could not be read, which has been reported."""

    folder: str
    stem: str
    file: str
    text: str = ""
    document: Mapping[str, Any] | None = None
    defines: tuple[tuple[str, _Path], ...] = ()
    """Full names of the types defined in it, its own first, each with its place."""
    uses: tuple[tuple[str, _Path], ...] = ()
    """Full names that it refers to, primitive types aside, each with its place."""

    @property
    def full_name(self) -> str:
        """Return the name that the file's folder and name promise."""
        return f"{self.folder}.{self.stem}"

    @cached_property
    def lines(self) -> Lines:
        """Return the lines of the document's parts."""
        return Lines(self.text)

    def field(self, name: str) -> tuple[int, Mapping[str, Any]] | None:
        """Return the index of a field of the record, and the field itself, or None."""
        fields = () if self.document is None else self.document.get("fields", ())
        for index, field in enumerate(fields):
            if field["name"] == name:
                return index, field
        return None


def read_schema(path: Path, folder: str, file: str, report: Report) -> SchemaFile:
    """Read an `.avsc` file; its type is the one that its folder and name say."""
    found = SchemaFile(folder, path.stem, file)
    text = read_text(path, file, report)
    document = None if text is None else parse_json(text, file, report)
    if text is None or document is None:
        return found
    found = attrs.evolve(found, text=text)
    if not isinstance(document, dict) or document.get("type") not in ("record", "enum", "fixed"):
        report.add(file, 1, "expected one record, enum or fixed type", "each .avsc file holds one named type")
        return found
    try:
        validate(document)
        parts = tuple(walk_names(document, folder, ()))
    except SchemaError as error:
        report.add(file, found.lines.of(error.path), f"is no valid Avro schema: {error.message}", error.next_step)
        return found
    except RecursionError:
        report.add(file, 1, "is nested too deeply")
        return found
    namespace, _, name = _full_name(document, None).rpartition(".")
    if namespace != folder:
        said = f"is in the namespace {namespace}" if namespace else "has no namespace"
        line = found.lines.of("/namespace" if "namespace" in document else "/name")
        report.add(file, line, f"{name} {said}, but lies in schemas/{folder}", f'write "namespace": "{folder}"')
        return found
    if name != found.stem:
        report.add(
            file, found.lines.of("/name"), f"defines {name}", f"the type must be called {found.stem}, as the file"
        )
        return found
    return attrs.evolve(
        found,
        document=document,
        defines=tuple((name, path) for kind, name, path in parts if kind == "defines"),
        uses=tuple((name, path) for kind, name, path in parts if kind == "uses"),
    )


def _full_name(schema: Mapping[str, Any], namespace: str | None) -> str:
    name: str = schema["name"]
    if "." in name:
        return name
    inherited = schema.get("namespace", namespace)
    return f"{inherited}.{name}" if inherited else name


def walk_names(node: Any, namespace: str | None, path: _Path) -> Iterator[tuple[str, str, _Path]]:
    """Yield what a valid schema defines and uses, in the order of the document."""
    if isinstance(node, str):
        if node not in _PRIMITIVE:
            yield "uses", (node if "." in node or not namespace else f"{namespace}.{node}"), path
    elif isinstance(node, list):
        for index, branch in enumerate(node):
            yield from walk_names(branch, namespace, (*path, str(index)))
    elif node["type"] in ("record", "error", "enum", "fixed"):
        full_name = _full_name(node, None if path == () else namespace)
        yield "defines", full_name, (*path, "name")
        for index, field in enumerate(node.get("fields", ())):
            yield from walk_names(field["type"], full_name.rpartition(".")[0], (*path, "fields", str(index), "type"))
    elif node["type"] == "array":
        yield from walk_names(node["items"], namespace, (*path, "items"))
    elif node["type"] == "map":
        yield from walk_names(node["values"], namespace, (*path, "values"))
    else:
        yield from walk_names(node["type"], namespace, (*path, "type"))


def check_definitions(schemas: Mapping[str, SchemaFile], report: Report) -> None:
    """Report types that are defined in two places, or inside a file of another namespace."""
    first: dict[str, tuple[SchemaFile, _Path]] = {}
    ordered = sorted(schemas.values(), key=lambda schema: schema.file)
    for schema in ordered:  # a file's own type wins over one that is defined inside another file
        for name, path in schema.defines[:1]:
            first[name] = (schema, path)
    for schema in ordered:
        for name, path in schema.defines[1:]:
            line = schema.lines.of(path)
            if name.rpartition(".")[0] != schema.folder:
                report.add(schema.file, line, f"defines {name} inside the namespace {schema.folder}")
            elif name in first:
                other, place = first[name]
                report.add(
                    schema.file,
                    line,
                    f"defines {name}, which {other.file}:{other.lines.of(place)} defines too",
                    f"define it once, in schemas/{name.replace('.', '/')}.avsc, and refer to it",
                )
            else:
                first[name] = (schema, path)


def check_references(schemas: Mapping[str, SchemaFile], report: Report) -> None:
    """Report references to types that are not there or belong to another domain, and cycles of references."""
    inside = {name: schema for schema in schemas.values() for name, _ in schema.defines[1:]}
    edges: dict[str, dict[str, _Path]] = {}
    for schema in schemas.values():
        own = {name for name, _ in schema.defines}
        targets = edges.setdefault(schema.full_name, {})
        for name, path in schema.uses:
            namespace = name.rpartition(".")[0]
            if name in own:
                continue
            if namespace not in (schema.folder, COMMON):
                report.add(
                    schema.file,
                    schema.lines.of(path),
                    f"refers to {name}",
                    f"only types of {schema.folder} and {COMMON} may be used here"
                    if schema.folder != COMMON
                    else f"only types of {COMMON} may be used here",
                )
            elif name in schemas:
                targets.setdefault(name, path)
            else:
                report.add(
                    schema.file,
                    schema.lines.of(path),
                    f"refers to {name}, which does not exist",
                    _hint(name, inside, schemas),
                )
    _check_cycles(schemas, edges, report)


def _hint(name: str, inside: Mapping[str, SchemaFile], schemas: Mapping[str, SchemaFile]) -> str | None:
    if name in inside:
        return f"it is defined inside {inside[name].file}: give it a file of its own"
    namespace, _, short = name.rpartition(".")
    known = {schema.stem: schema.full_name for schema in schemas.values() if schema.folder == namespace}
    known |= {primitive: primitive for primitive in _PRIMITIVE}
    meant = known.get(nearest(short, known) or "")
    return f"did you mean {meant}?" if meant else f"there is no schemas/{name.replace('.', '/')}.avsc"


def _check_cycles(schemas: Mapping[str, SchemaFile], edges: Mapping[str, Mapping[str, _Path]], report: Report) -> None:
    """Report each reference that closes a cycle, in a depth-first walk that needs no recursion."""
    done: set[str] = set()
    for start in sorted(edges):
        if start in done:
            continue
        trail = [start]
        waiting = [iter(edges[start])]
        on_trail = {start}
        while trail:
            name = next(waiting[-1], None)
            if name is None:
                waiting.pop()
                on_trail.discard(trail[-1])
                done.add(trail.pop())
            elif name in on_trail:
                cycle = [*trail[trail.index(name) :], name]
                schema = schemas[trail[-1]]
                line = schema.lines.of(edges[trail[-1]][name])
                report.add(
                    schema.file,
                    line,
                    f"closes a cycle of references: {' → '.join(cycle)}",
                    "only a type that refers to itself may be recursive",
                )
            elif name not in done:
                trail.append(name)
                on_trail.add(name)
                waiting.append(iter(edges.get(name, {})))
