"""Measure all subjects side by side: rounds interleaved, medians, ratios within the run; JSON and a chart."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bench.chart import draw
from bench.findings import findings
from bench.lineup import SUBJECTS, Subject, choose
from bench.loads import LOADS
from bench.project import HERE, Project, stack
from bench.table import insert, markdown
from bench.trial import TrialError, run


def _say_subjects(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        for subject in SUBJECTS:
            click.echo(f"{subject.group:<11}{subject.name:<18}{subject.what}")
        context.exit()


@click.command()
@click.option(
    "--events",
    "count",
    default=200_000,
    show_default=True,
    type=click.IntRange(min=2_000),
    help="Events that a fast subject gets in a round.",
)
@click.option(
    "--rounds",
    default=4,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rounds; every subject runs once in each.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Measure this subject or group only; may be repeated.")
@click.option("--list", is_flag=True, expose_value=False, callback=_say_subjects, help="Say what there is.")
@click.option("--output", type=click.Path(path_type=Path), default=HERE / "results", show_default=True)
@click.option(
    "--render",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing; print the Markdown tables of these results.",
)
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the tables of --render between the marks of this page.",
)
def main(count: int, rounds: int, only: tuple[str, ...], output: Path, render: Path | None, into: Path | None) -> None:
    """Measure every subject in every round, and write results.json and results.svg."""
    if render is not None:
        show(json.loads(render.read_text(encoding="utf-8")), into)
        return
    chosen, unknown = choose(only)
    if unknown:
        raise click.UsageError(f"nothing is called {', '.join(unknown)}; --list says what there is")
    found = measure(chosen, count, rounds, output)
    for target in found["targets"]:
        sign, bound = (">=", target["at_least"]) if target["at_least"] is not None else ("<=", target["at_most"])
        word = {True: "met", False: "MISSED", None: "not comparable with this number of events"}[target["met"]]
        against = f" against {target['against']}" if target["against"] else ""
        click.echo(f"{target['subject']} {target['figure']}{against}: {target['value']:.2f} ({sign} {bound:g}) {word}")
    click.echo(f"{output / 'results.json'}, {output / 'results.svg'}")
    if found["failed"]:
        names = ", ".join(sorted({str(failure["subject"]) for failure in found["failed"]}))
        click.echo(f"did not come to their end: {names}", err=True)
        sys.exit(1)


def measure(chosen: Sequence[Subject], count: int, rounds: int, output: Path) -> dict[str, Any]:
    """Run subjects; write what was found after each of them, draw it after every round, and return it."""
    home = Path(os.environ.get("LOCKGATE_HOME") or HERE / ".stack")
    output.mkdir(parents=True, exist_ok=True)
    measured: list[dict[str, dict[str, float]]] = []
    failures: list[dict[str, object]] = []
    found: dict[str, Any] = {}
    with stack(home), tempfile.TemporaryDirectory(prefix="bench") as folder:
        project = Project(Path(folder) / "world", home)
        for load, size in needed(chosen, count).items():
            click.echo(f"filling {LOADS[load].topic}", err=True)
            project.fill(LOADS[load], size)
        for number in range(rounds):
            measured.append({})
            shift = number * max(1, len(chosen) // rounds)  # nobody is always first, or always behind the same one
            for subject in (chosen[(shift + place) % len(chosen)] for place in range(len(chosen))):
                try:
                    figures = run(project, subject, count)
                except TrialError as error:
                    failures.append({"subject": subject.name, "round": number + 1, "why": str(error)})
                    click.echo(f"round {number + 1}: {subject.name} failed: {error}", err=True)
                else:
                    measured[-1][subject.name] = figures
                    told = ", ".join(f"{name} {value:,.4g}" for name, value in figures.items())
                    click.echo(f"round {number + 1}: {subject.name:<18}{told}", err=True)
                found = findings(measured, count, failures)
                (output / "results.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            draw(found, output / "results.svg")
    return found


def needed(chosen: Sequence[Subject], count: int) -> dict[str, int]:
    """Return how many records of each load subjects need."""
    sizes: dict[str, int] = {}
    for subject in chosen:
        if subject.rewinds:
            sizes[subject.load] = max(sizes.get(subject.load, 0), round(count * subject.share), subject.floor)
    return sizes


def show(found: dict[str, Any], page: Path | None) -> None:
    """Print the tables of a run, or put them into a page."""
    if page is None:
        click.echo(markdown(found))
    else:
        insert(markdown(found), page)


if __name__ == "__main__":
    main()
