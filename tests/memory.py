"""Whether the memory of a process grows, from samples of it. Pure."""

from __future__ import annotations

import statistics
from itertools import combinations

__all__ = ["GROWTH", "SLOPE", "Series", "growth"]

GROWTH = 1.10
"""What the last quarter's memory may be of the second's: the first one warms up."""
SLOPE = 0.25
"""MiB a minute by which memory may grow after the first quarter, where there are enough minutes to tell."""
_MINUTES_FOR_A_SLOPE = 10.0

Series = list[tuple[float, float]]
"""Seconds since the epoch and resident MiB of one process."""


def slope(series: Series) -> float:
    """Return by how many MiB a minute memory grows: the median of the slopes between any two samples (Theil and Sen).

    Some samples that are off, whatever they are, do not move it.
    """
    thin = series[:: max(1, len(series) // 200)]
    return statistics.median(
        (later - sooner) / (at - since) * 60 for (since, sooner), (at, later) in combinations(thin, 2)
    )


def growth(series: Series) -> dict[str, object]:
    """Return what the memory of one process came to; `flat` is None where there are too few samples to tell."""
    sizes = [size for _, size in series]
    if len(sizes) < 20:
        return {"samples": len(sizes), "flat": None}
    quarter = len(sizes) // 4
    before, after = statistics.median(sizes[quarter : 2 * quarter]), statistics.median(sizes[-quarter:])
    steady = series[quarter:]
    minutes = (steady[-1][0] - steady[0][0]) / 60
    slow = slope(steady)
    return {
        "samples": len(sizes),
        "minutes": round((series[-1][0] - series[0][0]) / 60, 1),
        "second_quarter_mib": before,
        "last_quarter_mib": after,
        "slope_mib_per_minute": round(slow, 3),
        "peak_mib": max(sizes),
        "flat": after <= before * GROWTH and (minutes < _MINUTES_FOR_A_SLOPE or slow <= SLOPE),
    }
