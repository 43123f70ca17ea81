"""The books of a load: what was written against what came of it. Pure: no client, no clock.

Every record that is written has one outcome, a result or a dead letter. One without any is lost; more than one is a
duplicate. A record that failed is handled again when its delay is over, never before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import attrs

__all__ = ["AT_LEAST_ONCE", "CONCURRENT", "EXACTLY_ONCE", "ORDER_KEY", "Copy", "Outcome", "Verdict", "balance"]

AT_LEAST_ONCE, EXACTLY_ONCE = "at least once", "exactly once"
ORDER_KEY, CONCURRENT = "order: key", "concurrency"


@attrs.frozen
class Outcome:
    """Describe a result or a dead letter, as one who reads committed sees it."""

    number: int
    """Of the record, from 0 in the order in which the load was written."""
    attempt: int
    """Which delivery to the handler led to it, counted from 1."""
    handled: int
    """When the handler had the record: milliseconds of the brokers' machine."""
    key: str | None = None
    """Of a result, whose place among those of its key counts; None for a letter."""


@attrs.frozen
class Copy:
    """Describe a record in a retry topic: its handler has failed."""

    number: int
    failed: int
    """When: milliseconds of the brokers' machine."""


@attrs.frozen
class Verdict:
    """Say what came of a load."""

    written: int
    lost: int
    duplicated: int
    disordered: int
    """Keys whose first results are not in the order of their records; asked of `order: key` alone."""
    early: int
    """Second attempts before the delay was over, or without a copy that waited."""
    missing: tuple[int, ...] = ()
    """The first of those that are lost."""

    def broken(self, mode: str) -> list[str]:
        """Return which guarantees of a mode do not hold."""
        found = [name for name in ("lost", "early") if getattr(self, name)]
        if self.duplicated and mode == EXACTLY_ONCE:
            found.append("duplicated")
        if self.disordered and mode == ORDER_KEY:
            found.append("disordered")
        return found


def balance(written: int, outcomes: Iterable[Outcome], copies: Iterable[Copy], delay: int) -> Verdict:
    """Hold what came of a load against what was written; results come in the order of their partitions.

    `delay` is that of the only retry tier, in milliseconds.
    """
    counts: Counter[int] = Counter()
    order: dict[str, dict[int, None]] = defaultdict(dict)
    failed: dict[int, int] = {}
    for copy in copies:
        failed[copy.number] = min(copy.failed, failed.get(copy.number, copy.failed))
    early = 0
    for outcome in outcomes:
        counts[outcome.number] += 1
        if outcome.key is not None:
            order[outcome.key].setdefault(outcome.number)  # where it comes again, its first place counts
        if outcome.attempt > 1:
            since = failed.get(outcome.number)
            early += since is None or outcome.handled < since + delay
    missing = [number for number in range(written) if not counts[number]]
    return Verdict(
        written=written,
        lost=len(missing),
        duplicated=sum(max(0, count - 1) for count in counts.values()),
        disordered=sum(not _ascends(list(numbers)) for numbers in order.values()),
        early=early,
        missing=tuple(missing[:10]),
    )


def _ascends(numbers: Sequence[int]) -> bool:
    return all(one < other for one, other in pairwise(numbers))
