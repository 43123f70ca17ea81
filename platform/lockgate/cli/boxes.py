"""Which letter boxes a command is about, each opened as the operator of its team."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lockgate.cli.options import Project
from lockgate.connection import Settings, settings_for
from lockgate.contracts.model import Contracts
from lockgate.deadletters.box import Box, boxes
from lockgate.deadletters.holds import Hold, held
from lockgate.deadletters.letter import Letter
from lockgate.deadletters.scan import scan
from lockgate.errors import UsageError

__all__ = ["boxes_of", "by_operator", "read_holds", "read_letters"]


def by_operator(wanted: Sequence[Box], principal: str | None, *, replaying: bool) -> Mapping[str, list[Box]]:
    """Return the boxes by who opens them: the principal that was named, else each team's own operator."""
    found: dict[str, list[Box]] = {}
    for box in wanted:
        found.setdefault(principal or (box.replayer if replaying else box.reader), []).append(box)
    return found


def read_letters(project: Project, wanted: Sequence[Box], principal: str | None, *, replaying: bool) -> list[Letter]:
    """Return the letters of boxes."""
    opened = _opened(project, wanted, principal, replaying=replaying)
    return [letter for settings, group, theirs in opened for letter in scan(settings, theirs, group=group)]


def read_holds(project: Project, wanted: Sequence[Box], principal: str | None, *, replaying: bool) -> list[Hold]:
    """Return what dead letters hold the keys of the boxes' workloads."""
    opened = _opened(project, wanted, principal, replaying=replaying)
    return [hold for settings, group, theirs in opened for hold in held(settings, theirs, group=group)]


def _opened(
    project: Project, wanted: Sequence[Box], principal: str | None, *, replaying: bool
) -> Iterator[tuple[Settings, str, list[Box]]]:
    """Yield boxes with the settings of who opens them, and the group that these may read by."""
    for operator, theirs in by_operator(wanted, principal, replaying=replaying).items():
        settings = settings_for(operator, project.root)
        yield settings, settings.username or operator, theirs


def boxes_of(contracts: Contracts, ids: Iterable[str]) -> tuple[Box, ...]:
    """Return the boxes that letters of these ids can lie in: an id names its workload, or its topic."""
    every = boxes(contracts)
    found: list[Box] = []
    for name in ids:
        fitting = [box for box in every if f"/{box.workload}#" in name or name.startswith(f"{box.topic}-")]
        if not fitting:
            raise UsageError(
                f"{name!r} names no letter: no workload's dead letters are called so",
                next_step="an id looks like TOPIC-PARTITION@OFFSET/WORKLOAD#ROUND; `lockgate dlq list --letters`",
            )
        found += fitting
    return tuple(box for box in every if box in found)
