"""The comparison of one writer's type with one reader's: all that breaks, and all that is lost on the way.

The rules are those of Avro's schema resolution as Apache Avro's own check applies them, which is what registries run.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from lockgate.avro import hazards, resolution
from lockgate.avro.findings import Direction, Finding, Hazard, Kind, Route, Rule
from lockgate.avro.hazards import Newer
from lockgate.avro.remedies import FIXES, a, any_of
from lockgate.avro.types import Array, Enum, Field, Fixed, Map, Named, Primitive, Record, Type, Union

__all__ = ["Comparison", "readable", "select_branch"]

MAX_USES = 64
"""At how many places of use one pair of named types is looked into; types that use each other have endless many."""


def readable(writer: Type, reader: Type) -> bool:
    """Say whether all data of one type can be read as another, logical types and the text in bytes aside."""
    findings = Comparison("backward", None).compare(writer, reader)
    return not any(finding.kind == "breaking" for finding in findings)


def select_branch(writer: Type, reader: Union) -> int | None:
    """Return the index of the reader's branch that a writer's type (no union) is read as, or None.

    That is the nearest one that all of its data can be read as; where there is none, the nearest one.
    """
    near = resolution.candidates(writer, reader)
    if len(near) < 2:
        return near[0] if near else None
    return next((index for index in near if readable(writer, reader.branches[index])), near[0])


class _Place(NamedTuple):
    """Say where the comparison is: pointers into both documents, the way there in field names, and in the datum."""

    reader: str
    writer: str
    name: str
    route: Route

    def at(self, reader: str, writer: str) -> _Place:
        return _Place(reader, writer, self.name, self.route)

    def into(self, reader: str, writer: str, name: str, step: str) -> _Place:
        return _Place(reader, writer, f"{self.name}{name}", (*self.route, step))

    def ending(self, symbols: list[str]) -> _Place:
        return self._replace(route=(*self.route, tuple(symbols)))

    def say(self, text: str) -> str:
        return f"{self.name}: {text}" if self.name else text


class Comparison:
    """Compare types in one direction; `newer` says which of the two is the later version, where that matters."""

    def __init__(self, direction: Direction, newer: Newer) -> None:
        self._direction: Direction = direction
        self._newer: Newer = newer
        self._findings: list[Finding] = []
        self._open: dict[tuple[int, int], int] = {}
        self._clean: set[tuple[int, int]] = set()
        self._uses: dict[tuple[int, int], int] = {}
        self._broken: dict[tuple[int, int], Finding] = {}
        """The first breaking finding in a pair: it stands for all of them where the pair is not looked into again."""
        self._reached = 0
        """The outermost open pair that was met again since; a pair is clean only if what it rests on is."""

    def compare(self, writer: Type, reader: Type) -> list[Finding]:
        """Return every finding, without version and witness."""
        self._visit(writer, reader, _Place("", "", "", ()))
        return self._findings

    def _visit(self, writer: Type, reader: Type, place: _Place) -> None:
        if writer is reader or writer == reader:  # named types are equal only to themselves
            return
        if isinstance(writer, Union):
            for index, branch in enumerate(writer.branches):
                way = (*place.route, index)
                self._branch(branch, reader, _Place(place.reader, f"{writer.path}/{index}", place.name, way))
        elif isinstance(reader, Union):
            self._branch(writer, reader, place)
        elif isinstance(writer, Primitive) and isinstance(reader, Primitive):
            if writer.kind == reader.kind or resolution.promotes(writer.kind, reader.kind):
                for hazard in hazards.of_values(writer, reader):
                    self._unsafe(hazard, place)
            else:
                self._mismatch(writer, reader, place)
        elif isinstance(writer, Array) and isinstance(reader, Array):
            self._visit(
                writer.items, reader.items, place.into(f"{reader.path}/items", f"{writer.path}/items", "[]", "[]")
            )
        elif isinstance(writer, Map) and isinstance(reader, Map):
            place = place.into(f"{reader.path}/values", f"{writer.path}/values", "[]", "[]")
            self._visit(writer.values, reader.values, place)
        elif isinstance(writer, Record | Enum | Fixed) and type(writer) is type(reader):
            self._named(writer, reader, place)
        else:
            self._mismatch(writer, reader, place)

    def _branch(self, writer: Type, reader: Type, place: _Place) -> None:
        """Compare one branch, or a type that is no union, with a reader that may be one."""
        if not isinstance(reader, Union):
            self._visit(writer, reader, place)
            return
        nearest: list[Finding] = []
        for index in resolution.candidates(writer, reader):
            inner = self._apart(writer, reader.branches[index], place.at(f"{reader.path}/{index}", place.writer))
            breaking = [finding for finding in inner if finding.kind == "breaking"]
            if not breaking:
                self._findings += inner
                return
            nearest = nearest or breaking
        text = f"{a(writer)} may be written, and the reader takes {any_of(reader)} only"
        if nearest:
            text = f"{a(writer)} may be written, and the branch of that name in the reader's union cannot take it"
        self._breaking("MISSING_UNION_BRANCH", place, text, tuple(nearest))

    def _apart(self, writer: Type, reader: Type, place: _Place) -> list[Finding]:
        outer, self._findings = self._findings, []
        self._visit(writer, reader, place)
        inner, self._findings = self._findings, outer
        return inner

    def _named(self, writer: Named, reader: Named, place: _Place) -> None:
        pair = (id(writer), id(reader))
        if pair in self._clean:
            return
        if pair in self._open:
            self._reached = min(self._reached, self._open[pair])
            return
        if self._uses.get(pair, 0) >= MAX_USES:
            if pair in self._broken:
                self._findings.append(_used(self._broken[pair], writer, reader, place))
            return
        self._uses[pair] = self._uses.get(pair, 0) + 1
        depth = self._open[pair] = len(self._open)
        around, self._reached = self._reached, depth
        newer = self._newer
        if self._uses[pair] > 1:
            self._newer = None  # what a type has lost since the version before is told once, not at every place of use
        inner = self._apart_named(writer, reader, place.at(reader.path, writer.path))
        self._newer = newer
        del self._open[pair]
        if pair not in self._broken and (first := next((f for f in inner if f.kind == "breaking"), None)) is not None:
            self._broken[pair] = first
        if not inner and self._reached >= depth:
            self._clean.add(pair)
        self._reached = min(around, self._reached)
        self._findings += [_used(finding, writer, reader, place) for finding in inner]

    def _apart_named(self, writer: Named, reader: Named, place: _Place) -> list[Finding]:
        outer, self._findings = self._findings, []
        if not resolution.names_match(writer, reader):
            text = f"{writer.name} is written, and the reader's {reader.name} has neither that name nor that alias"
            self._breaking("NAME_MISMATCH", place.at(f"{reader.path}/name", f"{writer.path}/name"), text)
        for hazard in hazards.of_names(writer, reader, self._newer):
            self._unsafe(hazard, place)
        match writer, reader:
            case Record(), Record():
                self._records(writer, reader, place)
            case Enum(), Enum():
                self._enums(writer, reader, place)
            case Fixed(), Fixed():
                if writer.size != reader.size:
                    text = f"{writer.size} bytes are written, and the reader takes exactly {reader.size}"
                    place = place.at(f"{reader.path}/size", f"{writer.path}/size")
                    self._breaking("FIXED_SIZE_MISMATCH", place, text)
                else:
                    for hazard in hazards.of_values(writer, reader):
                        self._unsafe(hazard, place)
        inner, self._findings = self._findings, outer
        return inner

    def _enums(self, writer: Enum, reader: Enum, place: _Place) -> None:
        if writer.symbols == reader.symbols:
            return
        missing = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
        if missing and reader.default is None:
            text = f"{', '.join(missing)} may be written, which the reader's {reader.name} does not have"
            place = place.at(f"{reader.path}/symbols", f"{writer.path}/symbols")
            self._breaking("MISSING_ENUM_SYMBOLS", place.ending(missing), text)
        elif missing:
            self._unsafe(hazards.of_symbols(missing, reader), place.ending(missing))

    def _records(self, writer: Record, reader: Record, place: _Place) -> None:
        dot = "." if place.name else ""
        for index, field in enumerate(reader.fields):
            position = writer.positions.get(field.name)
            if field.aliases:
                known_as = [name for name in (field.name, *field.aliases) if name in writer.positions]
                if len(known_as) > 1:
                    self._ambiguous(field, known_as, place.at(f"{reader.path}/fields/{index}/aliases", writer.path))
                if known_as:
                    position = writer.positions[known_as[0]]
            if position is None:
                if not field.has_default:
                    self._not_written(
                        index, field, writer, reader, place._replace(name=f"{place.name}{dot}{field.name}")
                    )
                continue
            written = writer.fields[position]
            if written is field:
                continue
            changed = written.type is not field.type and written.type != field.type
            if changed:
                here = f"{reader.path}/fields/{index}/type", f"{writer.path}/fields/{position}/type"
                self._visit(written.type, field.type, place.into(*here, f"{dot}{field.name}", written.name))
            if self._newer is None or not (changed or hazards.differ(written, field)):
                continue
            for hazard in hazards.of_fields(written, field, self._newer):
                here = f"{reader.path}/fields/{index}", f"{writer.path}/fields/{position}"
                self._unsafe(hazard, place.into(*here, f"{dot}{field.name}", written.name))
        if self._newer is not None and len(writer.fields) > 0:
            for index, position, hazard in hazards.of_lost_fields(writer, reader):
                here = f"{reader.path}/fields/{index}", f"{writer.path}/fields/{position}"
                lost = writer.fields[position].name
                self._unsafe(hazard, place.into(*here, f"{dot}{reader.fields[index].name}", lost))

    def _ambiguous(self, field: Field, known_as: list[str], place: _Place) -> None:
        text = (
            f"the reader's {field.name} takes {' as well as '.join(known_as)} by name and alias, and both are written: "
            "readers refuse to choose"
        )
        self._breaking("NAME_MISMATCH", place, text, fix="Take away the alias, or the field that it stands for.")

    def _not_written(self, index: int, field: Field, writer: Record, reader: Record, place: _Place) -> None:
        path, fields = f"{reader.path}/fields/{index}", f"{writer.path}/fields"
        if isinstance(field.type, Enum) and field.type.default is not None:
            # as Apache Avro has it: the enum's default is tried on the record, which is no enum
            text = f"the field is not written, and the default of {field.type.name} is no default of the field"
            self._breaking(
                "TYPE_MISMATCH",
                place.at(f"{path}/type", writer.path),
                text,
                fix=FIXES["READER_FIELD_MISSING_DEFAULT_VALUE"][self._direction],
            )
            return
        text = "the reader needs it, it is not written, and it has no default"
        self._breaking("READER_FIELD_MISSING_DEFAULT_VALUE", place.at(path, fields), text)

    def _mismatch(self, writer: Type, reader: Type, place: _Place) -> None:
        self._breaking("TYPE_MISMATCH", place, f"{a(writer)} is written, and the reader takes {a(reader)}")

    def _breaking(
        self, rule: Rule, place: _Place, text: str, causes: tuple[Finding, ...] = (), fix: str | None = None
    ) -> None:
        self._add("breaking", rule, place, text, fix or FIXES[rule][self._direction], causes)

    def _unsafe(self, hazard: hazards.Danger, place: _Place) -> None:
        self._add("unsafe", hazard.rule, place, hazard.text, hazard.fix, ())

    def _add(
        self, kind: Kind, rule: Rule | Hazard, place: _Place, text: str, fix: str, causes: tuple[Finding, ...]
    ) -> None:
        self._findings.append(
            Finding(
                kind=kind,
                rule=rule,
                version=0,
                direction=self._direction,
                reader_path=place.reader,
                writer_path=place.writer,
                place=place.name,
                message=place.say(text),
                fix=fix,
                causes=causes,
                route=place.route,
            )
        )


def _used(finding: Finding, writer: Named, reader: Named, place: _Place) -> Finding:
    """Return a finding inside a named type as it is seen from where the type stands."""
    by_name = not _within(reader.path, place.reader), not _within(writer.path, place.writer)
    if not any(by_name):
        return finding
    return attrs.evolve(
        finding,
        reader_path=place.reader if by_name[0] else finding.reader_path,
        writer_path=place.writer if by_name[1] else finding.writer_path,
        causes=(finding,),
    )


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")
