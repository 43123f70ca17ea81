"""Compatibility levels as what they are made of: directions, and how many versions count."""

from __future__ import annotations

from typing import Literal

from lockgate.contracts.model import Compatibility

__all__ = ["Order", "is_transitive", "is_weaker", "order", "stricter"]

Order = Literal["any", "consumers-first", "producers-first", "none"]
"""Who is upgraded first: it does not matter · those who read · those who write · there is no safe order."""


def is_transitive(level: Compatibility) -> bool:
    """Say whether every earlier version counts, and not just the latest."""
    return level.endswith("_TRANSITIVE")


def stricter(one: Compatibility, other: Compatibility) -> Compatibility:
    """Return the level that promises what either of two levels promises: BACKWARD and FORWARD make FULL."""
    directions = _directions(one) | _directions(other)
    if not directions:
        return "NONE"
    name: Compatibility
    match directions == {"backward", "forward"}, "backward" in directions, is_transitive(one) or is_transitive(other):
        case True, _, True:
            name = "FULL_TRANSITIVE"
        case True, _, False:
            name = "FULL"
        case False, True, True:
            name = "BACKWARD_TRANSITIVE"
        case False, True, False:
            name = "BACKWARD"
        case False, False, True:
            name = "FORWARD_TRANSITIVE"
        case _:
            name = "FORWARD"
    return name


def is_weaker(new: Compatibility, old: Compatibility) -> bool:
    """Say whether a level takes back something that another one has promised."""
    return stricter(new, old) != new


def order(*, backward: bool, forward: bool) -> Order:
    """Return who is upgraded first, by whether new readers read old data, and old readers new data."""
    if backward and forward:
        return "any"
    if backward:
        return "consumers-first"
    return "producers-first" if forward else "none"


def _directions(level: Compatibility) -> set[str]:
    if level.startswith("FULL"):
        return {"backward", "forward"}
    return {level.partition("_")[0].lower()} - {"none"}
