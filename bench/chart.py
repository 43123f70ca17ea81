"""The chart: one bar a subject, in groups, on a scale of powers of ten; and by how much targets are met or missed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.lineup import SUBJECTS

__all__ = ["draw"]

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "lockgate"  # the same figures give the same file

from matplotlib import pyplot  # noqa: E402  # the backend is chosen before

_OWN, _OTHER, _MISSED = "#1f6feb", "#9aa4b2", "#cf222e"


def draw(found: Mapping[str, Any], file: Path) -> None:
    """Draw the medians of a run, with the slowest and the fastest round, and its targets."""
    groups: dict[str, list[str]] = {}
    for subject in SUBJECTS:
        if subject.name in found["rates"]:
            groups.setdefault(subject.group, []).append(subject.name)
    targets = [target for target in found["targets"] if target["met"] is not None]
    if not groups and not targets:
        return
    sizes = [len(names) + 1.6 for names in groups.values()] + ([len(targets) + 1.6] if targets else [])
    figure, axes = pyplot.subplots(
        len(sizes), 1, squeeze=False, figsize=(8, 0.4 + 0.34 * sum(sizes)), height_ratios=sizes, layout="constrained"
    )
    for axis, (title, names) in zip(axes[:, 0], groups.items(), strict=False):
        _rates(axis, title, names, found)
    if targets:
        _targets(axes[-1, 0], targets)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _rates(axis: Any, title: str, names: list[str], found: Mapping[str, Any]) -> None:
    rates = found["rates"]
    names = sorted(names, key=lambda name: rates[name]["median"])
    medians = [rates[name]["median"] for name in names]
    low = [rates[name]["median"] - min(rates[name]["rounds"]) for name in names]
    high = [max(rates[name]["rounds"]) - rates[name]["median"] for name in names]
    own = {subject.name for subject in SUBJECTS if "Lockgate" in subject.what}
    axis.barh(
        names, medians, xerr=(low, high), color=[_OWN if name in own else _OTHER for name in names], ecolor="#57606a"
    )
    for place, name in enumerate(names):
        ratio = found["against_bound"].get(name)
        text = f"  {medians[place]:,}" + (f" ({ratio:.2f})" if ratio else "")
        axis.text(medians[place], place, text, va="bottom", fontsize=7)
    axis.set_xscale("log")
    _plain(axis, f"{title}: events a second")


def _targets(axis: Any, targets: list[Mapping[str, Any]]) -> None:
    targets = targets[::-1]
    names, scores = [], []
    for target in targets:
        against = f" / {target['against']}" if target["against"] else ""
        names.append(f"{target['subject']} {target['figure']}{against}")
        bound = target["at_least"] if target["at_least"] is not None else target["at_most"]
        scores.append(target["value"] / bound if target["at_least"] is not None else bound / target["value"])
    axis.barh(names, scores, color=[_OWN if target["met"] else _MISSED for target in targets])
    axis.axvline(1, color="#57606a", linewidth=0.8)
    for place, target in enumerate(targets):
        axis.text(scores[place], place, f"  {target['value']:g}", va="center", fontsize=7)
    axis.set_xscale("log")
    _plain(axis, "targets: 1 is what is promised, more is better")


def _plain(axis: Any, title: str) -> None:
    axis.set_title(title, fontsize=10, loc="left")
    axis.tick_params(axis="y", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
