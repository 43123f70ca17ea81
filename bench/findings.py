"""What the rounds of a run come to: medians, ratios within each round, and whether targets are met."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.lineup import SUBJECTS, TARGETS, Figure, Target

__all__ = ["Round", "findings"]

Round = Mapping[str, Mapping[str, float]]
"""The figures of one round, by subject; one that failed is not in it."""
_BOUNDS = {"consume": "bare", "produce": "produce-bare"}


def findings(
    rounds: Sequence[Round], count: int, failures: Sequence[Mapping[str, object]], targets: Sequence[Target] = TARGETS
) -> dict[str, Any]:
    """Return a run as a document: medians, spreads, ratios, targets, and what failed."""
    groups = {subject.name: subject.group for subject in SUBJECTS}
    figures = {
        subject: {name: _spread(values(rounds, (subject, name))) for name in found}
        for subject, found in _found(rounds).items()
    }
    against = {
        subject: round(statistics.median(ratios), 3)
        for subject in figures
        if (bound := _BOUNDS.get(groups[subject])) and (ratios := values(rounds, (subject, "rate"), (bound, "rate")))
    }
    return {
        "events": count,
        "rounds": len(rounds),
        "measured": time.strftime("%Y-%m-%d"),
        "machine": {
            "cores": os.cpu_count(),
            "model": _processor(),
            "python": platform.python_version(),
            "load": round(os.getloadavg()[2], 2),
        },
        "versions": {name: version(name) for name in ("lockgate", "confluent-kafka", "fastavro")},
        "rates": {subject: found["rate"] for subject, found in figures.items() if "rate" in found},
        "figures": figures,
        "against_bound": against,
        "targets": [verdict for target in targets if (verdict := _judged(target, rounds, count)) is not None],
        "failed": list(failures),
    }


def values(rounds: Sequence[Round], figure: Figure, against: Figure | None = None) -> list[float]:
    """Return a figure of each round that has it; as a multiple of another one of the same round, where one is given.

    A ratio is taken within a round: what disturbs it disturbs both sides.
    """
    found = []
    for each in rounds:
        value = each.get(figure[0], {}).get(figure[1])
        bound = 1.0 if against is None else each.get(against[0], {}).get(against[1])
        if value is not None and bound is not None:
            found.append(value / bound)
    return found


def _judged(target: Target, rounds: Sequence[Round], count: int) -> dict[str, Any] | None:
    found = values(rounds, target.figure, target.against)
    if not found:
        return None
    value = statistics.median(found)
    comparable = target.share_of is None or target.share_of == count
    return {
        "subject": target.figure[0],
        "figure": target.figure[1],
        "against": None if target.against is None else " ".join(target.against),
        "at_least": target.at_least,
        "at_most": target.at_most,
        "value": round(value, 3),
        "rounds": [round(each, 3) for each in found],
        "met": target.holds(value) if comparable else None,
    }


def _found(rounds: Sequence[Round]) -> dict[str, list[str]]:
    """Return the figures of each subject, those of all rounds together."""
    found: dict[str, list[str]] = {}
    for each in rounds:
        for subject, figures in each.items():
            known = found.setdefault(subject, [])
            known += [name for name in figures if name not in known]
    return found


def _spread(found: Sequence[float]) -> dict[str, Any]:
    return {"median": _short(statistics.median(found)), "rounds": [_short(each) for each in found]}


def _short(value: float) -> float:
    return round(value) if value >= 1000 else float(f"{value:.4g}")


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
