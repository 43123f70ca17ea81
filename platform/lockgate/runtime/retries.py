"""The decision after a failure: which retry tier, due when, or none. Pure: no client, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

__all__ = ["Retry", "next_retry"]


@attrs.frozen
class Retry:
    """Say where a failed record goes next."""

    tier: int
    """Counted from 1."""
    due: int
    """Milliseconds since the epoch before which it may not be handled."""


def next_retry(delays_ms: Sequence[int], attempt: int, now_ms: float) -> Retry | None:
    """Return the next tier for a record whose `attempt`-th delivery (counted from 1) failed; None: dead-letter it.

    The n-th failure goes to tier n, so a record walks the tiers in the contract's order, once. Attempts are counted in
    the record's headers, not taken from the topic it was read from: a replay starts again at the first tier.
    """
    if attempt > len(delays_ms):
        return None
    return Retry(attempt, math.ceil(now_ms) + delays_ms[attempt - 1])
