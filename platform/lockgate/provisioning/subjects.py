"""What `apply` does to subjects of the registry."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar

import attrs

from lockgate.contracts.derive import Subject
from lockgate.provisioning.change import NO_RISK, Action, Change, Kind, Risk, State
from lockgate.provisioning.risks import level_risk

__all__ = ["RegisterSchema", "SetLevel"]


@attrs.frozen
class _SubjectChange(Change):
    kind: ClassVar[Kind] = "subject"
    subject: Subject

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def declared(self) -> str:
        return str(self.subject.event.location)


@attrs.frozen
class SetLevel(_SubjectChange):
    """Set the compatibility level of a subject, which need not exist yet."""

    level: str | None
    """The one it has; None where it has none of its own."""

    @property
    def declared(self) -> str:
        """Return where the contract names the level."""
        return str(self.subject.level_at)

    @property
    def action(self) -> Action:
        """Return `create` where no level is set yet."""
        return "create" if self.level is None else "change"

    @property
    def details(self) -> tuple[str, ...]:
        """Return the level, and the one before it."""
        level = self.subject.compatibility
        return (f"compatibility {level}" if self.level is None else f"compatibility {self.level} → {level}",)

    @property
    def before(self) -> State | None:
        """Return the level that is set, if there is one."""
        return None if self.level is None else {"compatibility": self.level}

    @property
    def after(self) -> State:
        """Return the contract's level."""
        return {"compatibility": self.subject.compatibility}

    @property
    def risk(self) -> Risk:
        """Return what a lower level lets in."""
        return level_risk(self.level, self.subject.compatibility)


@attrs.frozen
class RegisterSchema(_SubjectChange):
    """Register a schema: the first version of a subject, or a further one."""

    versions: int
    """How many versions there are already."""

    @property
    def details(self) -> tuple[str, ...]:
        """Return which version it becomes."""
        return ("register the first version",) if not self.versions else (f"register version {self.versions + 1}",)

    @property
    def action(self) -> Action:
        """Return `create` for the first version of a subject."""
        return "change" if self.versions else "create"

    @property
    def before(self) -> State | None:
        """Return how many versions there are."""
        return {"versions": self.versions} if self.versions else None

    @property
    def after(self) -> State:
        """Return how many there will be, the level that the new one was checked at, and the schema's fingerprint."""
        schema = json.dumps(self.subject.event.schema, sort_keys=True, separators=(",", ":"))
        return {
            "versions": self.versions + 1,
            "compatibility": self.subject.compatibility,
            "sha256": hashlib.sha256(schema.encode()).hexdigest(),
        }

    @property
    def risk(self) -> Risk:
        """Return that a version stays: later schemas are held to it."""
        return Risk("low", "a version stays: later schemas are held to it") if self.versions else NO_RISK
