"""Inject faults on the real cluster and print the books: fault, mode, runs, lost, duplicated; JSON, too.

Exit 1 where a guarantee is broken, 2 where a run could not be finished.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs
import click

from tests.books import KEYED, Verdict
from tests.crashes import POINTS
from tests.faults import MODES, Subject
from tests.kills import CRASHES, crash
from tests.outages import OUTAGES, outage
from tests.proxies import client_ports, proxied, running_proxies
from tests.sabotage import SABOTAGES, sabotaged
from tests.worlds import SharedStack

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ("runs", "written", "lost", "duplicated", "disordered", "early")


@attrs.frozen
class Run:
    """Say what one fault did to one mode, once."""

    fault: str
    mode: str
    seconds: float
    verdict: Verdict | None = None
    failure: str | None = None


@contextmanager
def running_stack(root: Path = ROOT) -> Iterator[SharedStack]:
    """Return the stack of a project; `LOCKGATE_TEST_HOME` names one that stays."""
    home = os.environ.get("LOCKGATE_TEST_HOME")
    if home:
        stack = SharedStack(root, Path(home))
        stack.up()
        yield stack
        return
    with tempfile.TemporaryDirectory() as folder:
        stack = SharedStack(root, Path(folder) / "home")
        with stack.local.guarded():
            try:
                stack.up()
                yield stack
            finally:
                stack.down()


def row_of(fault: str, mode: str, runs: Sequence[Run]) -> dict[str, object]:
    """Return what several runs of a fault come to."""
    verdicts = [run.verdict for run in runs if run.verdict is not None]
    return {
        "fault": fault,
        "mode": mode,
        "runs": len(runs),
        "written": sum(verdict.written for verdict in verdicts),
        "lost": sum(verdict.lost for verdict in verdicts),
        "duplicated": sum(verdict.duplicated for verdict in verdicts),
        "disordered": sum(verdict.disordered for verdict in verdicts),
        "early": sum(verdict.early for verdict in verdicts),
        "broken": sorted({name for verdict in verdicts for name in verdict.broken(mode)}),
        "failures": [run.failure for run in runs if run.failure is not None],
        "seconds": round(sum(run.seconds for run in runs), 1),
    }


def print_table(rows: Sequence[dict[str, object]]) -> None:
    """Print rows as a table that is Markdown, too."""
    print("| fault | mode | runs | written | lost | duplicated | disordered | early | guarantee |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for row in rows:
        holds = "broken: " + ", ".join(row["broken"]) if row["broken"] else "holds"  # type: ignore[arg-type]
        if row["failures"]:
            holds = "not finished"
        if row["mode"] not in KEYED:
            row = row | {"disordered": ""}
        figures = " | ".join(str(row[name]) for name in FIGURES)
        print(f"| {row['fault']} | {row['mode']} | {figures} | {holds} |")


def spoil(modes: Sequence[str], count: int) -> None:
    """Spoil the runtime in every way, and print what the books say; exit 1 where they say nothing of it."""

    def spoilt(subject: Subject) -> list[tuple[str, Verdict | Exception]]:
        found: list[tuple[str, Verdict | Exception]] = []
        for name in [name for name, each in SABOTAGES.items() if subject.mode in each.modes]:
            try:
                found.append((name, sabotaged(subject, name, count)))
            except Exception as error:
                found.append((name, error))
            print(f"{name}, {subject.mode}: {found[-1][1]}", file=sys.stderr, flush=True)
        return found

    with tempfile.TemporaryDirectory() as folder, running_stack() as stack, ThreadPoolExecutor() as pool:
        subjects = [Subject(stack, Path(folder) / str(number), mode) for number, mode in enumerate(modes)]
        found = list(pool.map(spoilt, subjects))
    unseen = failed = False
    print("| sabotage | mode | written | lost | duplicated | disordered | early | seen |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for subject, verdicts in zip(subjects, found, strict=True):
        for name, verdict in verdicts:
            if isinstance(verdict, Exception):
                failed = True
                print(f"| {name} | {subject.mode} | | | | | | not finished |")
                continue
            seen = SABOTAGES[name].seen in verdict.broken(subject.mode)
            unseen |= not seen
            shown = attrs.asdict(verdict) if subject.mode in KEYED else attrs.asdict(verdict) | {"disordered": ""}
            figures = " | ".join(str(shown[figure]) for figure in FIGURES[1:])
            print(f"| {name} | {subject.mode} | {figures} | {'yes' if seen else 'NO'} |")
    if unseen or failed:
        sys.exit(1 if unseen else 2)


def _described(error: Exception) -> str:
    text = str(error) if isinstance(error, AssertionError) else "".join(traceback.format_exception(error))
    return text[-4000:]


@click.command(help=__doc__)
@click.option(
    "--mode", "modes", multiple=True, type=click.Choice(list(MODES)), help="Only these; all where none is named."
)
@click.option("--fault", "faults", multiple=True, type=click.Choice([*POINTS, *OUTAGES]), help="Only these.")
@click.option("--runs", default=1, show_default=True, help="How often each.")
@click.option("--count", default=240, show_default=True, help="Records of a run.")
@click.option("--seed", default=1, show_default=True, help="Of the records at which processes are killed.")
@click.option("--json", "report", type=click.Path(dir_okay=False, path_type=Path), help="Write a report here.")
@click.option("--sabotage", is_flag=True, help="Spoil the runtime instead: exit 1 where the books do not tell.")
def main(
    modes: Sequence[str],
    faults: Sequence[str],
    runs: int,
    count: int,
    seed: int,
    report: Path | None,
    sabotage: bool,
) -> None:
    modes = modes or list(MODES)
    if sabotage:
        spoil(modes, count)
        return
    faults = faults or [*POINTS, *OUTAGES]
    done: list[Run] = []

    def note(fault: str, mode: str, seconds: float, came: Verdict | Exception) -> None:
        failed = isinstance(came, Exception)
        verdict, failure = (None, _described(came)) if failed else (came, None)
        done.append(Run(fault, mode, seconds, verdict, failure))
        print(f"{fault}, {mode}, {seconds:.0f} s: {verdict or failure}", file=sys.stderr, flush=True)

    def crashes(subject: Subject) -> None:
        dice = random.Random(f"{seed} {subject.mode}")
        for _ in range(runs):
            for fault in CRASHES[subject.mode]:
                if fault in faults:
                    started = time.monotonic()
                    came: Verdict | Exception
                    try:
                        came = crash(subject, fault, dice.randint(1, count // 4), count)
                    except Exception as error:
                        came = error
                    note(fault, subject.mode, time.monotonic() - started, came)

    print(f"seed {seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder, running_stack(proxied(ROOT, Path(folder) / "project")) as stack:
        subjects = [Subject(stack, Path(folder) / str(number), mode) for number, mode in enumerate(modes)]
        with ThreadPoolExecutor() as pool:  # side by side: most of the time is the brokers' patience with the dead
            list(pool.map(crashes, subjects))
        with running_proxies(client_ports(stack.local)) as network:
            for fault in [fault for fault in OUTAGES if fault in faults] * runs:
                started = time.monotonic()
                try:
                    verdicts = outage(stack.local, network, subjects, fault, count)
                except Exception as error:
                    verdicts = [error] * len(subjects)
                for subject, came in zip(subjects, verdicts, strict=True):
                    note(fault, subject.mode, time.monotonic() - started, came)
    rows = [
        row_of(fault, mode, found)
        for fault in faults
        for mode in modes
        if (found := [run for run in done if (run.fault, run.mode) == (fault, mode)])
    ]
    print_table(rows)
    if report is not None:
        report.write_text(json.dumps({"seed": seed, "count": count, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    if any(row["broken"] for row in rows):
        sys.exit(1)
    if any(row["failures"] for row in rows):
        sys.exit(2)


if __name__ == "__main__":
    main()
