"""Registering schemas: `apply` limited to the registry, for the one identity that may."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from lockgate.contracts.derive import Subject, derive
from lockgate.contracts.model import Contracts
from lockgate.errors import PlanRefused
from lockgate.governance.check import against_registry
from lockgate.registry import Registry

__all__ = ["Step", "register"]


@attrs.frozen
class Step:
    """Say what was done to one subject."""

    subject: Subject
    action: Literal["level", "schema", "unchanged"]
    schema_id: int | None = None
    """Of the schema, for `schema` and `unchanged`."""
    before: str | None = None
    """For `level`: the level that the subject had, or None."""

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return {
            "subject": self.subject.name,
            "event_type": self.subject.event.full_name,
            "action": self.action,
            "level": self.subject.compatibility,
            "schema_id": self.schema_id,
        }


def register(contracts: Contracts, registry: Registry) -> list[Step]:
    """Set each subject's compatibility level, then register its schema, and return what was done, in order.

    The level stands before the first version that is judged by it. What is registered already is left alone. Raise
    PlanRefused, before anything is touched, where a schema is not compatible with what is registered.
    """
    verdict = against_registry(contracts, registry, trust_level=True)
    if not verdict.compatible:
        reasons = [f"{finding.location}: {finding.message}" for finding in verdict.findings if finding.kind != "unsafe"]
        raise PlanRefused(
            "nothing was registered, for not everything can be:\n" + "\n".join(f"  {reason}" for reason in reasons),
            next_step="change the schemas compatibly, or add a new event type",
        )
    steps = []
    for subject in derive(contracts).subjects:
        level = registry.compatibility(subject.name)
        if level != subject.compatibility:
            registry.set_compatibility(subject.name, subject.compatibility)
            steps.append(Step(subject, "level", before=level))
        found = registry.find(subject.name, subject.event.schema)
        if found is None:
            steps.append(Step(subject, "schema", registry.register(subject.name, subject.event.schema)))
        else:
            steps.append(Step(subject, "unchanged", found.schema_id))
    return steps
