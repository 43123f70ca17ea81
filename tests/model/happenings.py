"""What may happen, as values: rows of them are drawn by a number, and made smaller where something was found."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from lockgate.contracts.model import Workload

__all__ = ["BOTH", "OWNER", "Happening", "happens", "row", "smallest"]

Method = TypeVar("Method", bound=Callable[..., None])
Row = Sequence["Happening"]

OWNER = (0, 1)
BOTH = (False, True)
_TURNS = (0, 0, 1, 3, 8)
_RARE = 2
_LENGTHS = (8, 15, 30, 45)


@attrs.frozen(repr=False)
class Happening:
    """Something that happens, and some turns that a process has behind it.

    Were turns things that happen like all others, most rows would end before a record is handled.
    """

    name: str
    given: Mapping[str, Any]
    owner: int
    turns: int

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.given.items())
        return f"it.{self.name}({given})" + (f"; it.turn({self.owner}, {self.turns})" if self.turns else "")


def happens(
    *, often: int = 1, where: Callable[[Workload], bool] = lambda _: True, **draws: Sequence[Any]
) -> Callable[[Method], Method]:
    """Return a decorator for what may happen, with what it is given, one of each.

    `often` says how many times as often as others, `where` to which workloads.
    """

    def decorate(method: Method) -> Method:
        method.__dict__["happens"] = often, where, draws
        return method

    return decorate


def row(machine: Any, number: int) -> list[Happening]:
    """Return what happens to a machine, one thing after the other: the same for the same number."""
    chance = random.Random(number)
    choices = []
    for name in dir(machine):
        often, where, draws = getattr(getattr(machine, name), "__dict__", {}).get("happens", (0, bool, {}))
        if often and where(machine.workload):
            # each row has a manner of its own; what everything begins with is in all of them
            choices += [(name, draws)] * (often * chance.choice((1, 1, 3) if often > _RARE else (0, 1, 1, 1, 3)))
    found = []
    for _ in range(chance.choice(_LENGTHS) if choices else 0):
        name, draws = chance.choice(choices)
        given = {key: chance.choice(values) for key, values in draws.items()}
        found.append(Happening(name, given, chance.choice(OWNER), chance.choice(_TURNS)))
    return found


def smallest(found: Row, fails: Callable[[Row], bool]) -> Row:
    """Return a row that still fails and of which nothing can be left out."""
    going_on = True
    while going_on:
        going_on = False
        for smaller in _smaller(found):
            if fails(smaller):
                found, going_on = smaller, True
                break
    return found


def _smaller(found: Row) -> Iterator[Row]:
    size = len(found) // 2
    while size:
        for begin in range(0, len(found), size):
            yield [*found[:begin], *found[begin + size :]]
        size //= 2
    for index, one in enumerate(found):
        for turns in (turns for turns in (0, 1, 3) if turns < one.turns):
            yield [*found[:index], attrs.evolve(one, turns=turns), *found[index + 1 :]]
