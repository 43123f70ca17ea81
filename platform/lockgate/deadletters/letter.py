"""One dead letter: the record as it lies in its topic, and what its envelope says about it."""

from __future__ import annotations

from typing import Literal

import attrs

from lockgate.deadletters.box import Box
from lockgate.records import Coordinates, Envelope, Headers

__all__ = ["FOREIGN", "Letter"]

FOREIGN = "foreign"
"""Stands where a reason would: the record has no envelope of this box, so something else wrote it."""


@attrs.frozen
class Letter:
    """Hold one record of a dead-letter topic, byte for byte."""

    box: Box
    place: Coordinates
    """Where the letter itself lies."""
    key: bytes | None
    value: bytes | None
    headers: Headers
    written: int
    """When the letter was written, milliseconds since the epoch."""
    envelope: Envelope | None = attrs.field(init=False)

    @envelope.default
    def _read_envelope(self) -> Envelope | None:
        found = Envelope.read(self.headers)
        # An envelope that names another topic or workload is not this box's: replaying it would send the record to
        # a workload that never failed on it.
        if found is None or found.source.topic != self.box.source or found.group != self.box.workload:
            return None
        return found

    @property
    def kind(self) -> Literal["letter", "pointer", "foreign"]:
        """Tell a letter from a pointer (the record was too large to be carried) and from a record of other origin."""
        if self.envelope is None:
            return "foreign"
        return "pointer" if self.envelope.pointer else "letter"

    @property
    def id(self) -> str:
        """Return what operators call it: its identity, or its place where it has none."""
        return str(self.place) if self.envelope is None else self.envelope.identity

    @property
    def reason(self) -> str:
        """Return why it lies here."""
        return FOREIGN if self.envelope is None else self.envelope.reason

    @property
    def round(self) -> int:
        """Return how often it has been replayed before it was written."""
        return 0 if self.envelope is None else self.envelope.replay

    def is_called(self, name: str) -> bool:
        """Return whether this is the letter of that identity, or lies at that place."""
        return name in (self.id, str(self.place))
