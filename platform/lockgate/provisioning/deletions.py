"""What `apply --allow-delete` takes away of what is retired."""

from __future__ import annotations

from typing import ClassVar

import attrs

from lockgate.contracts.model import Retired
from lockgate.provisioning.change import NO_RISK, Action, Change, Kind, Risk, State

__all__ = ["DeleteCredentials", "DeleteGroup", "DeleteSubject", "DeleteTopic", "DeleteUser"]


@attrs.frozen
class _Deletion(Change):
    target: str
    entry: Retired

    @property
    def action(self) -> Action:
        """Return `delete`."""
        return "delete"

    @property
    def name(self) -> str:
        return self.target

    @property
    def declared(self) -> str:
        return str(self.entry.location)

    @property
    def details(self) -> tuple[str, ...]:
        """Return why it was retired."""
        return (f"retired: {self.entry.reason}",)

    @property
    def before(self) -> State:
        return {}


@attrs.frozen
class DeleteTopic(_Deletion):
    """Delete a topic with all that is in it."""

    kind: ClassVar[Kind] = "topic"
    partitions: int
    records: int
    """How many offsets it holds: at least as many as records."""

    @property
    def before(self) -> State:
        """Return partitions and records; only their presence stays the same while a topic is written."""
        return {"partitions": self.partitions}

    @property
    def details(self) -> tuple[str, ...]:
        """Return why it was retired, and what it holds."""
        return (*super().details, f"{self.partitions} partitions, {self.records} records")

    @property
    def risk(self) -> Risk:
        """Return how many records are lost."""
        return Risk("high", f"{self.records} records are deleted" if self.records else "it cannot be brought back")


@attrs.frozen
class DeleteUser(_Deletion):
    """Delete a SCRAM user."""

    kind: ClassVar[Kind] = "user"

    @property
    def before(self) -> State:
        """Return the mechanism."""
        return {"mechanism": "SCRAM-SHA-512"}

    @property
    def risk(self) -> Risk:
        """Return what happens to a process that still logs in."""
        return Risk("high", "a process that still logs in by that name is refused")


@attrs.frozen
class DeleteGroup(_Deletion):
    """Delete a consumer group with its offsets."""

    kind: ClassVar[Kind] = "group"

    @property
    def risk(self) -> Risk:
        """Return what is forgotten."""
        return Risk("high", "how far it had read is forgotten")


@attrs.frozen
class DeleteSubject(_Deletion):
    """Delete a subject softly: its versions can no longer be found under it."""

    kind: ClassVar[Kind] = "subject"
    versions: int

    @property
    def before(self) -> State:
        """Return how many versions there are."""
        return {"versions": self.versions}

    @property
    def risk(self) -> Risk:
        """Return what becomes of records that are still somewhere."""
        return Risk("high", "records of it that are read later cannot be recognised any more")


@attrs.frozen
class DeleteCredentials(_Deletion):
    """Delete the credentials files of a principal that is no more."""

    kind: ClassVar[Kind] = "credentials"

    @property
    def risk(self) -> Risk:
        """Return that nothing is lost: the user is deleted as well."""
        return NO_RISK
