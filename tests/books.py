"""The books of a load: what was written against what came of it. Pure: no client, no clock.

Every record that is written has one outcome, a result or a dead letter. One without any is lost; more than one is a
duplicate. A record that failed is handled again when its delay is over, never before. Where dead letters hold their
keys, nothing behind one is handled before it is released.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

__all__ = [
    "AT_LEAST_ONCE",
    "CONCURRENT",
    "EXACTLY_ONCE",
    "HOLDING",
    "KEYED",
    "ORDER_KEY",
    "Copy",
    "Outcome",
    "Verdict",
    "balance",
]

AT_LEAST_ONCE, EXACTLY_ONCE = "at least once", "exactly once"
ORDER_KEY, CONCURRENT, HOLDING = "order: key", "concurrency", "order: key, hold"
KEYED = (ORDER_KEY, HOLDING)
"""The modes in which the order of a key's records counts."""


@attrs.frozen
class Outcome:
    """Describe a result or a dead letter, as one who reads committed sees it."""

    number: int
    """Of the record, from 0 in the order in which the load was written."""
    attempt: int
    """Which delivery to the handler led to it, counted from 1."""
    handled: int
    """When the handler had the record: milliseconds of the brokers' machine."""
    key: str
    """Of the record."""
    is_letter: bool = False
    """Whether it is a dead letter."""


@attrs.frozen
class Copy:
    """Describe a record in a retry topic: its handler has failed."""

    number: int
    failed: int
    """When: milliseconds of the brokers' machine."""
    key: str
    """Of the record."""


@attrs.frozen
class Verdict:
    """Say what came of a load."""

    written: int
    lost: int
    duplicated: int
    disordered: int
    """Keys whose first results, or whose handlers, were not in the order of their records, or that went on behind a
    dead letter that held them; asked of `KEYED` modes alone."""
    early: int
    """Second attempts before the delay was over, or without a copy that waited."""
    missing: tuple[int, ...] = ()
    """The first of those that are lost."""

    def broken(self, mode: str) -> list[str]:
        """Return which guarantees of a mode do not hold."""
        found = [name for name in ("lost", "early") if getattr(self, name)]
        if self.duplicated and mode == EXACTLY_ONCE:
            found.append("duplicated")
        if self.disordered and mode in KEYED:
            found.append("disordered")
        return found


def balance(
    written: int,
    outcomes: Iterable[Outcome],
    copies: Iterable[Copy],
    delay: int,
    released: Mapping[int, int] | None = None,
) -> Verdict:
    """Hold what came of a load against what was written; results come in the order of their partitions.

    `delay` is that of the only retry tier, in milliseconds. Where dead letters hold their keys, `released` says until
    when at least each of them did, by the record's number, in milliseconds of the brokers' machine.
    """
    outcomes, copies = list(outcomes), list(copies)
    counts: Counter[int] = Counter()
    results: dict[str, dict[int, None]] = defaultdict(dict)
    handled: dict[str, dict[int, int]] = defaultdict(dict)
    failed: dict[int, int] = {}
    for copy in copies:
        failed[copy.number] = min(copy.failed, failed.get(copy.number, copy.failed))
    early = 0
    for outcome in outcomes:
        counts[outcome.number] += 1
        first = handled[outcome.key]
        first[outcome.number] = min(outcome.handled, first.get(outcome.number, outcome.handled))
        if not outcome.is_letter:
            results[outcome.key].setdefault(outcome.number)  # where it comes again, its first place counts
        if outcome.attempt > 1:
            since = failed.get(outcome.number)
            early += since is None or outcome.handled < since + delay
    missing = [number for number in range(written) if not counts[number]]
    disordered = {key for key, numbers in results.items() if not _ascends(list(numbers))}
    disordered |= {key for key, times in handled.items() if not _waits([times[number] for number in sorted(times)])}
    if released is not None:
        disordered |= _went_on(outcomes, copies, released)
    return Verdict(
        written=written,
        lost=len(missing),
        duplicated=sum(max(0, count - 1) for count in counts.values()),
        disordered=len(disordered),
        early=early,
        missing=tuple(missing[:10]),
    )


def _went_on(outcomes: Sequence[Outcome], copies: Sequence[Copy], released: Mapping[int, int]) -> set[str]:
    """Return the keys of which a record was handled while a dead letter before it held them."""
    holds: dict[str, dict[int, float]] = defaultdict(dict)
    for outcome in outcomes:
        if outcome.is_letter:
            holds[outcome.key][outcome.number] = released.get(outcome.number, math.inf)
    seen = [(one.key, one.number, one.handled) for one in outcomes]
    seen += [(copy.key, copy.number, copy.failed) for copy in copies]
    return {
        key for key, number, at in seen if any(letter < number and at < until for letter, until in holds[key].items())
    }


def _ascends(numbers: Sequence[int]) -> bool:
    return all(one < other for one, other in pairwise(numbers))


def _waits(times: Sequence[int]) -> bool:
    return all(one <= other for one, other in pairwise(times))
