"""Registering schemas: `apply` limited to the registry, for the one identity that may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import attrs

from lockgate.contracts.derive import Subject, derive
from lockgate.contracts.model import Contracts
from lockgate.errors import PlanRefused, RegistryError
from lockgate.governance.check import against_registry
from lockgate.governance.leftovers import leftovers
from lockgate.registry import RegisteredSchema, Registry

__all__ = ["Registration", "Step", "register"]

_THREADS = 8


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
            "before": self.before,
            "schema_id": self.schema_id,
        }


@attrs.frozen
class Registration:
    """Say what was done, and where it ended early, what was not."""

    steps: tuple[Step, ...]
    pending: tuple[str, ...] = ()
    """Subjects that are still to be registered, because the registry failed before; a second run completes it."""
    failure: str | None = None
    """What the registry said then."""
    leftovers: tuple[str, ...] = ()
    """Subjects that no contract asks for any more; they are left alone."""

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return {
            "complete": self.failure is None,
            "steps": [step.as_json() for step in self.steps],
            "pending": list(self.pending),
            "failure": self.failure,
            "leftovers": list(self.leftovers),
        }


@attrs.frozen
class _State:
    subject: Subject
    level: str | None
    found: RegisteredSchema | None


def register(contracts: Contracts, registry: Registry) -> Registration:
    """Set each subject's compatibility level, then register its schema, and return what was done, in order.

    Everything that can be asked is asked before anything is registered: our own check, and the registry's for what it
    does not have. Levels stand before the first version that is judged by them, and all before the first schema. What
    is registered already is left alone; so are subjects that no contract asks for any more, which are named. Where the
    registry fails midway, that is told, and a second run does what is left.

    Raise PlanRefused, with nothing registered, where a schema is not compatible with what is registered, and
    RegistryError where the registry does not answer before anything was done.
    """
    verdict = against_registry(contracts, registry, trust_level=True)
    reasons = [f"{finding.location}: {finding.message}" for finding in verdict.findings if finding.kind != "unsafe"]
    with ThreadPoolExecutor(_THREADS) as pool:
        states = list(pool.map(lambda subject: _state(subject, registry), derive(contracts).subjects))
    new = [state for state in states if state.found is None]
    if not reasons:
        # the registry's answer is about the level that is set: where that changes, it is asked afterwards
        reasons = _refusals([state for state in new if state.level == state.subject.compatibility], registry)
    if reasons:
        raise _refused(reasons)
    left = tuple(leftovers(contracts, registry.subjects()))
    steps: list[Step] = []
    pending = {state.subject.name: None for state in new}
    try:
        changed = {}
        for state in states:
            if state.level != state.subject.compatibility:
                registry.set_compatibility(state.subject.name, state.subject.compatibility)
                changed[state.subject.name] = state
                steps.append(Step(state.subject, "level", before=state.level))
        reasons = _refusals([state for state in new if state.subject.name in changed], registry)
        if reasons:
            _put_back(changed, registry)
            raise _refused(reasons)
        for state in states:
            if state.found is None:
                schema_id = registry.register(state.subject.name, state.subject.event.schema)
                steps.append(Step(state.subject, "schema", schema_id))
                del pending[state.subject.name]
            else:
                steps.append(Step(state.subject, "unchanged", state.found.schema_id))
    except RegistryError as error:
        if not steps:
            raise
        return Registration(tuple(steps), tuple(pending), error.message, left)
    return Registration(tuple(_by_subject(states, steps)), leftovers=left)


def _state(subject: Subject, registry: Registry) -> _State:
    found = registry.find(subject.name, subject.event.schema)
    return _State(subject, registry.compatibility(subject.name), found)


def _refusals(states: Sequence[_State], registry: Registry) -> list[str]:
    """Return why the registry would not take schemas, by its own verdict under the level that is set."""

    def ask(state: _State) -> bool:
        level = state.subject.compatibility
        if level == "NONE":
            return True
        # the registry compares with every version whatever the level, unless it is asked for the latest one alone
        against = None if level.endswith("_TRANSITIVE") else "latest"
        return registry.is_compatible(state.subject.name, state.subject.event.schema, version=against)

    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(ask, states))
    return [
        f"{state.subject.event.location}: the registry refuses it for {state.subject.name}, without a reason"
        for state, taken in zip(states, answers, strict=True)
        if not taken
    ]


def _refused(reasons: Sequence[str]) -> PlanRefused:
    return PlanRefused(
        "nothing was registered, for not everything can be:\n" + "\n".join(f"  {reason}" for reason in reasons),
        next_step="change the schemas compatibly, or add a new event type",
    )


def _put_back(changed: Mapping[str, _State], registry: Registry) -> None:
    """Set levels to what they were; a subject that had none has no version that could be judged by it."""
    for state in changed.values():
        if state.level is not None:
            registry.set_compatibility(state.subject.name, state.level)


def _by_subject(states: Sequence[_State], steps: Sequence[Step]) -> Iterator[Step]:
    for state in states:
        yield from (step for step in steps if step.subject is state.subject)
