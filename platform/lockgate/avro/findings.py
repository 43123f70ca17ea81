"""Findings: what is said about a change of a schema, and the datum that proves it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

__all__ = ["Direction", "Finding", "Hazard", "Kind", "Level", "Route", "Rule", "Witness"]

Level: TypeAlias = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]
Kind: TypeAlias = Literal["breaking", "unsafe"]
Direction: TypeAlias = Literal["backward", "forward"]
Rule: TypeAlias = Literal[
    "FIXED_SIZE_MISMATCH",
    "MISSING_ENUM_SYMBOLS",
    "MISSING_UNION_BRANCH",
    "NAME_MISMATCH",
    "READER_FIELD_MISSING_DEFAULT_VALUE",
    "TYPE_MISMATCH",
]
"""Of breaking findings: Avro's own names."""
Hazard: TypeAlias = Literal[
    "ALIAS_LOST",
    "BYTES_READ_AS_TEXT",
    "DECIMAL_PRECISION_NARROWED",
    "DECIMAL_SCALE_CHANGED",
    "DEFAULT_CHANGED",
    "DEFAULT_LOST",
    "DOC_LOST",
    "ENUM_SYMBOLS_READ_AS_DEFAULT",
    "FIELD_LOOKS_RENAMED",
    "LOGICAL_TYPE_CHANGED",
    "NAMESPACE_MOVED",
    "OWNER_LOST",
    "PROMOTION_LOSES_DIGITS",
    "RENAMED_BY_ALIAS",
]
"""Of unsafe findings: no registry objects, and something is lost or read as what it is not."""

Route: TypeAlias = tuple[str | int | tuple[str, ...], ...]


@attrs.frozen
class Witness:
    """Hold a datum that shows a finding, made and tried by fastavro; or the statement that none was found."""

    found: bool
    statement: str
    """One sentence: what the datum shows, or why there is none."""
    datum: Any = None
    """As JSON: bytes as text of U+0000 to U+00FF, a union's value as `{branch: value}` unless it is null."""
    encoded: str = ""
    """The datum in Avro's binary encoding, hexadecimal, without the registry's framing."""
    written_with: str = ""
    """`version 1`, or what the caller calls it, or `the candidate`."""
    read_with: str = ""
    answer: str = ""
    """What the reader said, or the value that it read, as JSON."""

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return attrs.asdict(self)


@attrs.frozen
class Finding:
    """Describe one reason why data written with one schema cannot, or should not, be read with another.

    Paths are JSON pointers into the two schema documents as they were given. Where a type is used by its name, the
    path is the place of use, and the cause below points into the definition.
    """

    kind: Kind
    """`breaking`: what the level forbids; `unsafe`: what every registry takes, and is dangerous all the same."""
    rule: Rule | Hazard
    version: int
    """Which earlier schema, counted from 1 in the order of the history."""
    direction: Direction
    """`backward`: the candidate reads the earlier schema's data; `forward`: the other way round."""
    reader_path: str
    writer_path: str
    place: str
    """The way to the datum's part, in field names: `lines[].amount`; empty for the datum itself."""
    message: str
    """One sentence, the direction and the version included."""
    fix: str
    """The usual remedy, one sentence."""
    causes: tuple[Finding, ...] = ()
    """What is wrong inside: in the branches of a union that come nearest, in a type that is used by its name."""
    witness: Witness | None = None
    """None where no witness was asked for, and for what only people would miss: a doc, an owner."""
    route: Route = attrs.field(default=(), eq=False, repr=False)
    """The way to the part in the writer's datum: field names, `[]`, indexes of branches, and the symbols at its end."""

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return {
            "kind": self.kind,
            "rule": self.rule,
            "version": self.version,
            "direction": self.direction,
            "reader_path": self.reader_path,
            "writer_path": self.writer_path,
            "place": self.place,
            "message": self.message,
            "fix": self.fix,
            "causes": [cause.as_json() for cause in self.causes],
            "witness": None if self.witness is None else self.witness.as_json(),
        }
