"""Saved plans: a plan as a file, and whether what it was made from is still so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import attrs

from lockgate.errors import PlanRefused, UsageError
from lockgate.provisioning.plan import Plan

__all__ = ["SavedPlan", "read_plan", "save_plan"]

_FORMAT = "lockgate-plan"
_VERSION = 1
_SHOWN = 20
_MAKE = "`lockgate plan --save FILE` makes one"


@attrs.frozen
class SavedPlan:
    """Hold a plan as it was saved: plain JSON values, no secret."""

    cluster: str
    registry: str
    asked: Mapping[str, str]
    """Fingerprints of what the contracts asked for."""
    plan: Mapping[str, Any]
    """The plan's JSON form."""

    def check(self, now: Plan) -> None:
        """Raise PlanRefused with everything that has moved, unless `now` does what was saved, or what is left of it.

        Changes that an interrupted `apply` of the same plan has made already may be missing from `now`.
        """
        moved = list(self._moved(now))
        if moved:
            shown = moved[:_SHOWN] + ([f"and {len(moved) - _SHOWN} more"] if len(moved) > _SHOWN else [])
            listing = "\n".join(f"  {line}" for line in shown)
            raise PlanRefused(
                f"this is not the plan any more, so nothing was touched:\n{listing}",
                next_step="look at a new plan: `lockgate plan --save FILE`",
            )

    def _moved(self, now: Plan) -> Iterator[str]:
        if self.cluster != now.cluster:
            yield f"it was made for the cluster {self.cluster}, and this one is {now.cluster}"
            return
        if self.registry != now.registry:
            yield f"it was made for the registry {self.registry}, and this one is {now.registry}"
        for key in sorted({*self.asked, *now.asked}):
            if self.asked.get(key) != now.asked.get(key):
                kind, _, name = key.partition("/")
                verb = {key in self.asked: "ask something else of", key not in now.asked: "no longer ask for"}
                verb |= {key not in self.asked: "ask for"}
                yield f"{kind} {name}: the contracts {verb[True]} it since"
        saved = [_essence(change) for change in self.plan["changes"]]
        for change in now.changes:
            essence = _essence(change.as_json())
            if essence not in saved and not _is_rest_of_group(essence, saved):
                yield _movement(essence, saved)
        known = [(entry["permission"], entry["name"]) for entry in self.plan["beyond"]]
        for entry in now.beyond:
            if (entry.permission, entry.name) not in known:
                yield f"acl {entry.name}: it was not there"


def save_plan(file: Path, plan: Plan) -> None:
    """Write a plan to a file. Raise UsageError where that fails, PlanRefused where it could never be applied."""
    plan.raise_if_refused(deletions=False)
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "cluster": plan.cluster,
        "registry": plan.registry,
        "asked": dict(plan.asked),
        "plan": plan.as_json(),
    }
    try:
        file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error


def read_plan(file: Path) -> SavedPlan:
    """Read a saved plan; raise UsageError where the file is none, or is of a version that is not known."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{file} is no saved plan: {error}", next_step=_MAKE) from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise UsageError(f"{file} is no saved plan", next_step=_MAKE)
    if document.get("version") != _VERSION:
        raise UsageError(
            f"{file} is a plan of version {document.get('version')}, and version {_VERSION} is understood",
            next_step="save it with the version of Lockgate that is to apply it",
        )
    try:
        plan = document["plan"]
        saved = SavedPlan(document["cluster"], document["registry"], dict(document["asked"]), plan)
        for change in plan["changes"]:
            _essence(change)
        [(entry["permission"], entry["name"]) for entry in plan["beyond"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file} is no whole plan: {error!r}", next_step="save it again") from error
    return saved


def _essence(change: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a change does: not where it is declared, nor why, nor what an interrupted run leaves different."""
    essence = {key: change[key] for key in ("action", "kind", "name", "before", "after")}
    if change["kind"] == "user" and change["action"] == "create":
        # the file with the new password is written before the user is made
        essence["after"] = {key: value for key, value in change["after"].items() if key != "password"}
    if change["kind"] == "credentials":
        essence["before"] = None
    return json.loads(json.dumps(essence))  # type: ignore[no-any-return]  # plain lists and dicts, as in the file


def _is_rest_of_group(essence: Mapping[str, Any], saved: list[dict[str, Any]]) -> bool:
    """Return whether a group's first offsets are some of those in the plan: an interrupted run has set the others."""
    if essence["kind"] != "group" or essence["after"] is None:
        return False
    planned = [change for change in saved if change["kind"] == "group" and change["name"] == essence["name"]]
    wanted = {place for change in planned for place in _places(change["after"])}
    return _places(essence["after"]) <= wanted


def _places(state: Mapping[str, Any] | None) -> set[tuple[str, int, str]]:
    offsets = [] if state is None else state["offsets"]
    return {(entry["topic"], number, entry["position"]) for entry in offsets for number in entry["partitions"]}


def _movement(essence: dict[str, Any], saved: list[dict[str, Any]]) -> str:
    name = f"{essence['kind']} {essence['name']}"
    target = itemgetter("kind", "name", "after")
    same = [change for change in saved if target(change) == target(essence)]
    if same:
        return f"{name}: it was {_text(same[0]['before'])}, and is {_text(essence['before'])} now"
    now = "is not there" if essence["before"] is None else f"is {_text(essence['before'])} now"
    verb = {"create": "would be created", "change": "would be changed", "delete": "would be deleted"}[essence["action"]]
    return f"{name}: it {now}, and {verb}, which is not in the plan"


def _text(state: Mapping[str, Any] | None) -> str:
    if state is None:
        return "not there"
    flat: dict[str, Any] = {}
    for key, value in state.items():
        flat |= value if isinstance(value, dict) else {key: value}
    return ", ".join(f"{key} {value}" for key, value in flat.items())
