"""A run as Markdown: the conditions, the targets, the rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["insert", "markdown"]

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"
_RATES = frozenset({"rate", "cpu_us"})
"""Figures that have a table of their own."""
_HEAD = 2
"""Lines of a table that has no rows."""
_UNITS = {"rate": "", "seconds": " s"}


def markdown(found: Mapping[str, Any]) -> str:
    """Return the tables of a run, for docs/performance.md."""
    tables = [list(table) for table in (_targets(found), _rates(found), _figures(found))]
    full = [line for table in tables if len(table) > _HEAD for line in ("", *table)]
    return "\n".join([_conditions(found), *full, *_failed(found)])


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
        f"Measured on {found['measured']}: {found['rounds']} round(s) of {found['events']:,} events, "
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


def _rates(found: Mapping[str, Any]) -> Iterator[str]:
    yield "| subject | events a second | slowest and fastest round | against the bound | processor µs an event |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for subject, spread in found["rates"].items():
        ratio, cpu = found["against_bound"].get(subject), found["figures"][subject].get("cpu_us")
        low, high = min(spread["rounds"]), max(spread["rounds"])
        yield (
            f"| `{subject}` | {spread['median']:,} | {low:,} to {high:,} | "
            f"{'' if ratio is None else f'{ratio:.2f}'} | {'' if cpu is None else format(cpu['median'], '.1f')} |"
        )


def _figures(found: Mapping[str, Any]) -> Iterator[str]:
    yield "| subject | figure | median | least and most |"
    yield "| --- | --- | ---: | ---: |"
    for subject, figures in found["figures"].items():
        for name, spread in figures.items():
            if name in _RATES or (name == "seconds" and "least_seconds" not in figures):
                continue
            low, high = min(spread["rounds"]), max(spread["rounds"])
            yield f"| `{subject}` | `{name}` | {spread['median']:,} | {low:,} to {high:,} |"


def _failed(found: Mapping[str, Any]) -> Iterator[str]:
    if found["failed"]:
        yield ""
        names = sorted({f"`{failure['subject']}` in round {failure['round']}" for failure in found["failed"]})
        yield f"Did not come to its end: {', '.join(names)}."


def _unit(figure: str) -> str:
    return _UNITS.get(figure, "")
