"""Hazards: changes that every registry takes, and that lose something or have it read as what it is not.

Some concern the reading of what is written, in either direction and with each version; the others (`newer`) concern
what became of the schema since the version before, and are looked for in that one comparison only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from lockgate.avro.defaults import default_branch
from lockgate.avro.findings import Hazard
from lockgate.avro.types import Enum, Field, Fixed, Named, Primitive, Record, Type, Union, branch_name
from lockgate.errors import SchemaError

__all__ = ["Danger", "Newer", "differ", "of_fields", "of_lost_fields", "of_names", "of_symbols", "of_values"]

Newer: TypeAlias = Literal["reader", "writer"] | None
"""Which of the two is the candidate, where the other is the version right before it."""

_INEXACT = {("int", "float"), ("long", "float"), ("long", "double")}


class Danger(NamedTuple):
    """Describe one hazard, apart from where it is."""

    rule: Hazard
    text: str
    fix: str


def of_values(writer: Primitive | Fixed, reader: Primitive | Fixed) -> Iterator[Danger]:
    """Yield what happens to values that are read as the same underlying type or a promotion of it."""
    if isinstance(writer, Primitive) and isinstance(reader, Primitive) and writer.kind != reader.kind:
        if (writer.kind, reader.kind) in _INEXACT:
            yield Danger(
                "PROMOTION_LOSES_DIGITS",
                f"a large {writer.kind} read as a {reader.kind} is rounded: a {reader.kind} has only "
                f"{7 if reader.kind == 'float' else 15} reliable digits",
                "Add a new field of the wider type beside it, or promote to a type that holds every value.",
            )
        elif (writer.kind, reader.kind) == ("bytes", "string"):
            yield Danger(
                "BYTES_READ_AS_TEXT",
                "bytes that are not UTF-8 cannot be read as a string",
                "Make sure that all bytes written so far are UTF-8, or add a new field of type string beside it.",
            )
    if writer.logical != reader.logical or writer.unknown_logical != reader.unknown_logical:
        yield from _logical(writer, reader)


def _logical(writer: Primitive | Fixed, reader: Primitive | Fixed) -> Iterator[Danger]:
    w, r = writer.logical, reader.logical
    if w is not None and r is not None and w.name == r.name == "decimal":
        if w.scale != r.scale:
            yield Danger(
                "DECIMAL_SCALE_CHANGED",
                f"{w.scale} digits after the point are written, and the reader takes {r.scale}: "
                "amounts are read as other amounts, or refused",
                "Keep the scale, or add a new field with the new scale beside it.",
            )
        if w.precision - w.scale > r.precision - r.scale or w.precision > r.precision:
            yield Danger(
                "DECIMAL_PRECISION_NARROWED",
                f"a decimal of {w.precision} digits may be written, and the reader takes {r.precision} digits",
                "Keep the precision, or raise it for readers first.",
            )
        return
    written = (w.name if w else writer.unknown_logical) or f"plain {_kind(writer)}"
    read = (r.name if r else reader.unknown_logical) or f"plain {_kind(reader)}"
    yield Danger(
        "LOGICAL_TYPE_CHANGED",
        f"{written} is written, and the reader takes {read}: the same number or text means something else",
        "Keep the logical type, or add a new field with the new one beside it.",
    )


def _kind(type_: Primitive | Fixed) -> str:
    return "fixed" if isinstance(type_, Fixed) else type_.kind


def of_symbols(missing: Sequence[str], reader: Enum) -> Danger:
    """Return what happens to symbols that a reader's enum takes for its default."""
    return Danger(
        "ENUM_SYMBOLS_READ_AS_DEFAULT",
        f"{', '.join(missing)} may be written, and is read as {reader.default}, the default of {reader.name}",
        f"Keep the symbols, or make sure that readers may take them for {reader.default}.",
    )


def of_names(writer: Named, reader: Named, newer: Newer) -> Iterator[Danger]:
    """Yield what was lost between two versions of a named type, its content apart."""
    if newer is None:
        return
    old, new = (writer, reader) if newer == "reader" else (reader, writer)
    if old.name != new.name:
        if old.name.rpartition(".")[2] == new.name.rpartition(".")[2]:
            yield Danger(
                "NAMESPACE_MOVED",
                f"{old.name} is now {new.name}: Avro matches the last part only, while subjects, generated classes and "
                "other Avro libraries go by the full name",
                "Keep the namespace, or add the earlier full name as an alias.",
            )
        elif old.name in new.aliases:
            yield Danger(
                "RENAMED_BY_ALIAS",
                f"{old.name} is now {new.name} and is found by its alias: libraries that ignore aliases, and earlier "
                "readers, do not know it",
                "Keep the name, or upgrade every reader before the first record is written with the new one.",
            )
    yield from _lost(old, new, new.name)
    if old.owner and not new.owner:
        yield Danger("OWNER_LOST", f"{new.name} had an owner, {old.owner}, and has none now", "Name the owner.")
    if isinstance(old, Enum) and isinstance(new, Enum) and old.default is not None and old.default != new.default:
        if new.default is None:
            yield Danger(
                "DEFAULT_LOST",
                f"{new.name} had the default symbol {old.default} and has none now: symbols that it does not know "
                "become unreadable",
                "Keep the default symbol.",
            )
        else:
            yield Danger(
                "DEFAULT_CHANGED",
                f"unknown symbols of {new.name} were read as {old.default} and are now read as {new.default}",
                "Keep the default symbol.",
            )


def differ(writer: Field, reader: Field) -> bool:
    """Say whether there is anything of a field, its type apart, for `of_fields` to look at."""
    return (
        writer.default != reader.default
        or writer.doc != reader.doc
        or writer.aliases != reader.aliases
        or writer.name != reader.name
    )


def of_fields(writer: Field, reader: Field, newer: Newer) -> Iterator[Danger]:
    """Yield what was lost between two versions of a field, its type apart."""
    if newer is None:
        return
    old, new = (writer, reader) if newer == "reader" else (reader, writer)
    if old.name != new.name:
        yield Danger(
            "RENAMED_BY_ALIAS",
            f"{old.name} is now {new.name} and is found by its alias: libraries that ignore aliases do not find it",
            "Keep the name, or make sure that every reader knows the alias.",
        )
    yield from _lost(old, new, new.name)
    if not old.has_default:
        return
    if not new.has_default:
        yield Danger(
            "DEFAULT_LOST",
            f"{new.name} had the default {_json(old.default)} and has none now: data written before the field was "
            "there become unreadable",
            "Keep the default.",
        )
    elif old.default != new.default or _branch(old) != _branch(new):
        yield Danger(
            "DEFAULT_CHANGED",
            f"data without {new.name} were read as {_json(old.default)}{_branch(old)} and are now read as "
            f"{_json(new.default)}{_branch(new)}",
            "Keep the default, or let the new meaning have a field of its own.",
        )


def _lost(old: Named | Field, new: Named | Field, name: str) -> Iterator[Danger]:
    if old.doc and not new.doc:
        yield Danger("DOC_LOST", f"{name} had a doc, and has none now", "Keep the doc, or say what is true now.")
    lost = [alias for alias in old.aliases if alias not in new.aliases and alias != name]
    if lost:
        yield Danger(
            "ALIAS_LOST",
            f"{name} is no longer found as {', '.join(lost)}: data written under that name become unreadable",
            "Keep the alias as long as data of that name are there.",
        )


def of_lost_fields(writer: Record, reader: Record) -> Iterator[tuple[int, int, Danger]]:
    """Yield a field that seems to have got a new name without an alias, and both its places: reader's and writer's."""
    if len(writer.positions.keys() & reader.positions.keys()) == len(reader.fields):
        return
    taken = {name for field in reader.fields for name in (field.name, *field.aliases)}
    gone = [field for field in writer.fields if field.name not in taken]
    came = [
        field
        for field in reader.fields
        if field.has_default and not any(name in writer.positions for name in (field.name, *field.aliases))
    ]
    if len(gone) == len(came) == 1 and _outline(gone[0].type) == _outline(came[0].type):
        yield (
            reader.positions[came[0].name],
            writer.positions[gone[0].name],
            Danger(
                "FIELD_LOOKS_RENAMED",
                f"{gone[0].name} is written and no longer read, and {came[0].name} of the same type is filled with its "
                "default: if that is a new name, the values are lost",
                f"If it is a new name, give {came[0].name} the alias {gone[0].name}.",
            ),
        )


def _outline(type_: Type) -> Any:
    if isinstance(type_, Union):
        return [branch_name(branch) for branch in type_.branches]
    return branch_name(type_)


def _branch(field: Field) -> str:
    """Say of which type a union's default is, where only that tells two defaults apart."""
    if not isinstance(field.type, Union) or not isinstance(field.default, str):
        return ""
    try:
        return f" ({branch_name(field.type.branches[default_branch(field.type, field.default)])})"
    except SchemaError:  # a default that a registry took, and that no branch has
        return ""


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"
