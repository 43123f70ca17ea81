"""What every change of a plan has: what is and what will be, its risk, why it is there, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import attrs

__all__ = ["NO_RISK", "Action", "Cause", "Change", "Kind", "Risk", "State"]

Action = Literal["create", "change", "delete"]
Kind = Literal["topic", "user", "acl", "subject", "credentials", "group"]

Cause = Literal["files", "drift", "both", "unrecorded"]
"""Why something is not as the contracts ask: the files changed since it was last applied; somebody changed it by hand;
both; or nothing was ever recorded of it, so that nobody can tell."""

State = Mapping[str, Any]
"""What something is like, in plain JSON values; the same keys before and after."""


@attrs.frozen
class Risk:
    """Say what a change may cost."""

    level: Literal["none", "low", "high"]
    reason: str = ""
    """One phrase; empty where there is no risk."""


NO_RISK = Risk("none")


@attrs.frozen
class Change:
    """Describe one thing that `apply` does. It holds no secret, and can be compared, printed and sorted."""

    kind: ClassVar[Kind]
    cause: Cause = attrs.field(default="files", kw_only=True, eq=False)  # why, not what

    @property
    def action(self) -> Action:
        """Return whether something is made that was not there, changed, or taken away."""
        return "change"

    @property
    def name(self) -> str:
        """Return the name of what is created, changed or deleted."""
        raise NotImplementedError

    @property
    def declared(self) -> str:
        """Return the file and line of the contract that asks for it."""
        raise NotImplementedError

    @property
    def details(self) -> tuple[str, ...]:
        """Return short phrases that say what is done."""
        raise NotImplementedError

    @property
    def before(self) -> State | None:
        """Return what is, as far as the change touches it; None where there is nothing."""
        return None

    @property
    def after(self) -> State | None:
        """Return what will be, as far as the change touches it; None where there will be nothing."""
        return None

    @property
    def risk(self) -> Risk:
        """Return what the change may cost."""
        return NO_RISK

    def as_json(self) -> dict[str, Any]:
        """Return the change in the shape that `plan --output json` documents."""
        return {
            "action": self.action,
            "kind": self.kind,
            "name": self.name,
            "details": list(self.details),
            "before": self.before,
            "after": self.after,
            "risk": attrs.asdict(self.risk),
            "cause": self.cause,
            "declared": self.declared,
        }
