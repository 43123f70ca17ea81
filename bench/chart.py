"""The chart: one bar a subject, consuming and producing apart, on a scale of powers of ten."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

__all__ = ["draw"]

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "lockgate"  # the same figures give the same file

from matplotlib import pyplot  # noqa: E402  # the backend is chosen before


def draw(found: Mapping[str, Any], file: Path) -> None:
    """Draw the medians of a run, with the slowest and the fastest round."""
    groups = {
        "consume, events a second": [name for name in found["rates"] if not name.startswith("produce")],
        "produce, events a second": [name for name in found["rates"] if name.startswith("produce")],
    }
    groups = {title: names for title, names in groups.items() if names}
    figure, axes = pyplot.subplots(
        len(groups),
        1,
        squeeze=False,
        figsize=(8, 1.2 + 0.38 * len(found["rates"])),
        height_ratios=[len(names) + 1 for names in groups.values()],
        layout="constrained",
    )
    for axis, (title, names) in zip(axes[:, 0], groups.items(), strict=True):
        names = sorted(names, key=lambda name: found["rates"][name]["median"])
        medians = [found["rates"][name]["median"] for name in names]
        low = [found["rates"][name]["median"] - min(found["rates"][name]["rounds"]) for name in names]
        high = [max(found["rates"][name]["rounds"]) - found["rates"][name]["median"] for name in names]
        colours = ["#1f6feb" if any(own in name for own in ("dict", "typed")) else "#9aa4b2" for name in names]
        axis.barh(names, medians, xerr=(low, high), color=colours, ecolor="#57606a")
        for place, name in enumerate(names):
            ratio = found["against_bound"].get(name)
            axis.text(
                medians[place],
                place,
                f"  {medians[place]:,}" + (f" ({ratio:.2f})" if ratio else ""),
                va="bottom",
                fontsize=7,
            )
        axis.set_xscale("log")
        axis.set_title(title, fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
