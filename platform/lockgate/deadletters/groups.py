"""Letters counted by where they lie and why."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from lockgate.deadletters.letter import Letter

__all__ = ["Group", "group", "superseded"]


@attrs.frozen
class Group:
    """Count the letters of one box that share a reason."""

    topic: str
    workload: str
    team: str
    reason: str
    letters: int
    replayed: int
    """Of these, how many were written again by a later replay round: the later letter stands for them."""
    first: int
    """When the earliest was written, milliseconds since the epoch."""
    last: int
    example: str
    """The id of the latest."""


def superseded(letters: Iterable[Letter]) -> dict[str, str]:
    """Return, by place, the letters that another one stands for, with that one's id.

    A replayed letter that failed again lies in the box a second time, with a higher round. A process that was killed
    between the letter's acknowledgement and the commit of its offset writes the same letter twice: the later of
    two letters with one id stands for the earlier.
    """
    latest: dict[tuple[str, object], Letter] = {}
    every = [letter for letter in letters if letter.envelope is not None]
    for letter in every:
        name = _record(letter)
        known = latest.get(name)
        if known is None or _age(letter) > _age(known):
            latest[name] = letter
    return {str(letter.place): latest[_record(letter)].id for letter in every if latest[_record(letter)] is not letter}


def group(letters: Iterable[Letter]) -> list[Group]:
    """Count letters by topic, workload and reason, in that order."""
    every = list(letters)
    answered = superseded(every)
    by_name: dict[tuple[str, str, str, str], list[Letter]] = {}
    for letter in every:
        box = letter.box
        by_name.setdefault((box.topic, box.workload, box.team, letter.reason), []).append(letter)
    return [
        Group(
            *name,
            letters=len(members),
            replayed=sum(str(letter.place) in answered for letter in members),
            first=min(letter.written for letter in members),
            last=max(letter.written for letter in members),
            example=max(members, key=lambda letter: (letter.written, letter.place)).id,
        )
        for name, members in sorted(by_name.items())
    ]


def _record(letter: Letter) -> tuple[str, object]:
    return letter.box.topic, letter.envelope.source if letter.envelope else letter.place


def _age(letter: Letter) -> tuple[int, object]:
    return letter.round, letter.place
