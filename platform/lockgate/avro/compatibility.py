"""Compatibility: whether readers and writers of one schema can go on when the schema changes.

Avro's rules of schema resolution, reported in Avro's own words, every finding and not just the first. Stricter than
Avro in one thing: two different logical types do not go together (see `resolution.logical_conflict`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias, get_args

import attrs

from lockgate.avro import resolution
from lockgate.avro.parser import parse
from lockgate.avro.types import Array, Enum, Fixed, Map, Primitive, Record, Type, Union, branch_name
from lockgate.errors import UsageError

__all__ = ["Finding", "Level", "Rule", "check", "unreadable"]

Level: TypeAlias = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]
Rule: TypeAlias = Literal[
    "FIXED_SIZE_MISMATCH",
    "MISSING_ENUM_SYMBOLS",
    "MISSING_UNION_BRANCH",
    "NAME_MISMATCH",
    "READER_FIELD_MISSING_DEFAULT_VALUE",
    "TYPE_MISMATCH",
]


@attrs.frozen
class Finding:
    """Describe one reason why data written with one schema cannot be read with another."""

    rule: Rule
    reader_path: str
    """JSON pointer into the reader's schema; where a type is used by name, it goes on as if inlined there."""
    writer_path: str
    """JSON pointer into the writer's schema, likewise."""
    message: str
    """One sentence, the direction and the version included."""
    version: int = 0
    """Which earlier schema, counted from 1 in the order of the history."""
    direction: Literal["backward", "forward"] = "backward"
    """`backward`: the candidate cannot read the earlier schema's data; `forward`: the other way round."""


def check(history: Sequence[Any], candidate: Any, level: str, names: Sequence[str] | None = None) -> list[Finding]:
    """Return why a candidate is not compatible with the earlier schemas at a level; empty where it is.

    `history` holds schema documents, oldest first. BACKWARD means that the candidate reads what was written, FORWARD
    that earlier readers read what the candidate writes, FULL both; without `_TRANSITIVE` only the latest one counts.
    Messages call an earlier schema by its name in `names`, else `version 1` and so on.
    Raise UsageError for an unknown level, SchemaError for a document that is not valid.
    """
    if level not in get_args(Level):
        raise UsageError(
            f"no compatibility level is called {level!r}", next_step=f"one of {', '.join(get_args(Level))}"
        )
    new = parse(candidate)
    if level == "NONE":
        return []
    earlier = list(enumerate(map(parse, history), 1))
    findings: list[Finding] = []
    for version, old in earlier if level.endswith("_TRANSITIVE") else earlier[-1:]:
        name = names[version - 1] if names else f"version {version}"
        if not level.startswith("FORWARD"):
            findings.extend(
                attrs.evolve(
                    finding,
                    version=version,
                    message=f"what {name} has written cannot be read any more: {finding.message}",
                )
                for finding in unreadable(old, new)
            )
        if not level.startswith("BACKWARD"):
            findings.extend(
                attrs.evolve(
                    finding,
                    version=version,
                    direction="forward",
                    message=f"readers of {name} cannot read what is written now: {finding.message}",
                )
                for finding in unreadable(new, old)
            )
    return findings


def unreadable(writer: Type, reader: Type) -> list[Finding]:
    """Return why data of one type cannot all be read as another; empty where they can."""
    return list(_Comparison().compare(writer, reader, "", "", ""))


class _Comparison:
    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def compare(self, writer: Type, reader: Type, w_path: str, r_path: str, at: str) -> Iterator[Finding]:
        """Yield the findings of one pair; `at` names the place by its fields, for people."""
        if isinstance(writer, Union):
            for index, branch in enumerate(writer.branches):
                yield from self.compare(branch, reader, f"{w_path}/{index}", r_path, at)
            return
        if isinstance(reader, Union):
            chosen = resolution.select_branch(writer, reader)
            if chosen is None:
                names = ", ".join(map(branch_name, reader.branches))
                message = f"{_at(at)}{branch_name(writer)} is written, and the reader takes {names}"
                yield Finding("MISSING_UNION_BRANCH", r_path, w_path, message)
                return
            yield from self.compare(writer, reader.branches[chosen], w_path, f"{r_path}/{chosen}", at)
            return
        match writer, reader:
            case Record(), Record():
                yield from self._records(writer, reader, w_path, r_path, at)
            case Enum(), Enum():
                yield from self._names(writer, reader, w_path, r_path, at)
                missing = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
                if missing and reader.default is None:
                    message = f"{_at(at)}the reader's {reader.name} has no {', '.join(missing)}, and no default symbol"
                    yield Finding("MISSING_ENUM_SYMBOLS", f"{r_path}/symbols", f"{w_path}/symbols", message)
            case Fixed(), Fixed():
                yield from self._names(writer, reader, w_path, r_path, at)
                if writer.size != reader.size:
                    message = f"{_at(at)}{writer.size} bytes are written, and the reader takes {reader.size}"
                    yield Finding("FIXED_SIZE_MISMATCH", f"{r_path}/size", f"{w_path}/size", message)
                if conflict := resolution.logical_conflict(writer.logical, reader.logical):
                    yield Finding("TYPE_MISMATCH", r_path, w_path, f"{_at(at)}{conflict}")
            case Array(), Array():
                yield from self.compare(writer.items, reader.items, f"{w_path}/items", f"{r_path}/items", f"{at}[]")
            case Map(), Map():
                yield from self.compare(writer.values, reader.values, f"{w_path}/values", f"{r_path}/values", f"{at}[]")
            case Primitive(), Primitive() if writer.kind == reader.kind or resolution.promotes(
                writer.kind, reader.kind
            ):
                if conflict := resolution.logical_conflict(writer.logical, reader.logical):
                    yield Finding("TYPE_MISMATCH", r_path, w_path, f"{_at(at)}{conflict}")
            case _:
                message = f"{_at(at)}{branch_name(writer)} is written, and the reader takes {branch_name(reader)}"
                yield Finding("TYPE_MISMATCH", r_path, w_path, message)

    def _names(
        self, writer: Record | Enum | Fixed, reader: Record | Enum | Fixed, w_path: str, r_path: str, at: str
    ) -> Iterator[Finding]:
        if not resolution.names_match(writer, reader):
            message = f"{_at(at)}{writer.name} is written, and the reader takes {reader.name}, of no such alias"
            yield Finding("NAME_MISMATCH", f"{r_path}/name", f"{w_path}/name", message)

    def _records(self, writer: Record, reader: Record, w_path: str, r_path: str, at: str) -> Iterator[Finding]:
        if (id(writer), id(reader)) in self._seen:  # recursive, or used before: reported where it was met first
            return
        self._seen.add((id(writer), id(reader)))
        yield from self._names(writer, reader, w_path, r_path, at)
        places = {field.name: index for index, field in enumerate(writer.fields)}
        for index, field in enumerate(reader.fields):
            here = f"{at}.{field.name}" if at else field.name
            path = f"{r_path}/fields/{index}"
            written = resolution.field_of(writer, field)
            if written is not None:
                place = f"{w_path}/fields/{places[written.name]}/type"
                yield from self.compare(written.type, field.type, place, f"{path}/type", here)
            elif not field.has_default:
                message = f"{_at(here)}the reader needs it, it is not written, and it has no default"
                yield Finding("READER_FIELD_MISSING_DEFAULT_VALUE", path, f"{w_path}/fields", message)


def _at(at: str) -> str:
    return f"{at}: " if at else ""
