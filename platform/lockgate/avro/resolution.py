"""Which reader's type a writer's type becomes: the matching rules of Avro's schema resolution, one step deep.

The decoder and the compatibility check both ask here, so what the check allows is what the decoder reads.
"""

from __future__ import annotations

from lockgate.avro.types import (
    Enum,
    Field,
    Fixed,
    Logical,
    Named,
    Primitive,
    Record,
    Type,
    Union,
)

__all__ = ["candidates", "field_of", "logical_conflict", "names_match", "promotes"]

_PROMOTIONS = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}


def promotes(writer: str, reader: str) -> bool:
    """Say whether a primitive type may be read as another one."""
    return reader in _PROMOTIONS.get(writer, ())


def names_match(writer: Named, reader: Named) -> bool:
    """Say whether a named type is read by another: the same unqualified name, or an alias of the reader's."""
    return _unqualified(writer.name) == _unqualified(reader.name) or writer.name in reader.aliases


def field_of(writer: Record, reader: Field) -> Field | None:
    """Return the writer's field that a reader's field is filled from, by name and then by alias; or None."""
    for name in (reader.name, *reader.aliases):
        if name in writer.positions:
            return writer.fields[writer.positions[name]]
    return None


def candidates(writer: Type, reader: Union) -> list[int]:
    """Return the indexes of the reader's branches that a writer's type (no union) may be read as, the nearest first.

    The same type with the same full name comes first, then those whose name matches, then promotions. That says
    nothing of what is inside: the branch that counts is the first one that all of the writer's data can be read as.
    """
    same, promoted = [], []
    for index, branch in enumerate(reader.branches):
        if _same(writer, branch):
            same.append(index)
        elif isinstance(writer, Primitive) and isinstance(branch, Primitive) and promotes(writer.kind, branch.kind):
            promoted.append(index)
    if len(same) > 1:
        same.sort(key=lambda index: getattr(writer, "name", None) != getattr(reader.branches[index], "name", None))
    return same + promoted


def _same(writer: Type, reader: Type) -> bool:
    if isinstance(writer, Record | Enum | Fixed) and isinstance(reader, Record | Enum | Fixed):
        return type(writer) is type(reader) and names_match(writer, reader)
    if isinstance(writer, Primitive) and isinstance(reader, Primitive):
        return writer.kind == reader.kind
    return type(writer) is type(reader)


def logical_conflict(writer: Logical | None, reader: Logical | None) -> str | None:
    """Return why two logical types do not go together, or None.

    Registries look at the underlying types alone, so such data get written. Most readers would take milliseconds for
    microseconds, or cents for tenths of a cent; the decoder takes no value for another. A side without logical type
    is fine: the plain value is what it asked for.
    """
    if writer is None or reader is None or writer == reader:
        return None
    if writer.name == reader.name == "decimal":
        if writer.scale != reader.scale:
            return f"a decimal of scale {writer.scale} is not one of scale {reader.scale}"
        if writer.precision > reader.precision:
            return f"a decimal of {writer.precision} digits does not fit one of {reader.precision}"
        return None
    return f"a {writer.name} is not a {reader.name}"


def _unqualified(name: str) -> str:
    return name.rpartition(".")[2]
