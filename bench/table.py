"""A run as Markdown: the conditions, the targets, the rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["insert", "markdown"]

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"
_SAID = frozenset({"seconds", "cpu_seconds"})
"""Figures of a subject with a rate that the table leaves out; the JSON has them."""
_UNITS = {"rate": "", "seconds": " s"}


def markdown(found: Mapping[str, Any]) -> str:
    """Return the tables of a run, for docs/performance.md."""
    return "\n".join([_conditions(found), "", *_targets(found), "", *_figures(found), *_failed(found)])


def insert(text: str, page: Path) -> None:
    """Put tables between the marks of a page; raise ValueError where it has none."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no {_BEGIN} … {_END}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _conditions(found: Mapping[str, Any]) -> str:
    machine, versions = found["machine"], found["versions"]
    processor = machine.get("model") or "processor unknown"
    return (
        f"Measured on {found['measured']}: {found['rounds']} rounds of {found['events']:,} events, "
        f"on {machine['cores']} cores ({processor}) that the brokers share, load {machine['load']}; "
        f"Python {machine['python']}, "
        + ", ".join(f"{name} {number}" for name, number in versions.items() if name != "lockgate")
        + "."
    )


def _targets(found: Mapping[str, Any]) -> Iterator[str]:
    yield "| figure | against | must be | median | rounds | |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for target in found["targets"]:
        unit = "" if target["against"] else _unit(target["figure"])
        sign, bound = ("≥", target["at_least"]) if target["at_least"] is not None else ("≤", target["at_most"])
        word = {True: "met", False: "**missed**", None: "not comparable: another number of events"}[target["met"]]
        against = f"`{target['against']}`" if target["against"] else ""
        low, high = min(target["rounds"]), max(target["rounds"])
        yield (
            f"| `{target['subject']} {target['figure']}` | {against} | {sign} {bound:g}{unit} | "
            f"{target['value']:.2f}{unit} | {low:.2f} to {high:.2f} | {word} |"
        )


def _figures(found: Mapping[str, Any]) -> Iterator[str]:
    yield "| subject | figure | median | slowest and fastest round | against the bound |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for subject, figures in found["figures"].items():
        for name, spread in figures.items():
            if name in _SAID and "rate" in figures:
                continue
            ratio = found["against_bound"].get(subject) if name == "rate" else None
            low, high = min(spread["rounds"]), max(spread["rounds"])
            yield (
                f"| `{subject}` | {name.replace('_', ' ')} | {spread['median']:,} | {low:,} to {high:,} | "
                f"{'' if ratio is None else f'{ratio:.2f}'} |"
            )


def _failed(found: Mapping[str, Any]) -> Iterator[str]:
    if found["failed"]:
        yield ""
        names = sorted({f"`{failure['subject']}` in round {failure['round']}" for failure in found["failed"]})
        yield f"Did not come to its end: {', '.join(names)}."


def _unit(figure: str) -> str:
    return _UNITS.get(figure, "")
