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

from tests.crashes import POINTS
from tests.faults import CRASHES, MODES, Subject, Verdict, crash
from tests.outages import OUTAGES, outage
from tests.worlds import SharedStack

ROOT = Path(__file__).resolve().parents[1]


@attrs.frozen
class Run:
    """Say what one fault did to one mode, once."""

    fault: str
    mode: str
    seconds: float
    verdict: Verdict | None = None
    failure: str | None = None


@contextmanager
def running_stack() -> Iterator[SharedStack]:
    """Return a stack; `LOCKGATE_TEST_HOME` names one that stays."""
    home = os.environ.get("LOCKGATE_TEST_HOME")
    if home:
        stack = SharedStack(ROOT, Path(home))
        stack.up()
        yield stack
        return
    with tempfile.TemporaryDirectory() as folder:
        stack = SharedStack(ROOT, Path(folder) / "home")
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
        "broken": sorted({name for verdict in verdicts for name in verdict.broken(mode)}),
        "failures": [run.failure for run in runs if run.failure is not None],
        "seconds": round(sum(run.seconds for run in runs), 1),
    }


def print_table(rows: Sequence[dict[str, object]]) -> None:
    """Print rows as a table that is Markdown, too."""
    print("| fault | mode | runs | written | lost | duplicated | guarantee |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for row in rows:
        holds = "broken: " + ", ".join(row["broken"]) if row["broken"] else "holds"  # type: ignore[arg-type]
        if row["failures"]:
            holds = "not finished"
        figures = " | ".join(str(row[name]) for name in ("runs", "written", "lost", "duplicated"))
        print(f"| {row['fault']} | {row['mode']} | {figures} | {holds} |")


@click.command(help=__doc__)
@click.option(
    "--mode", "modes", multiple=True, type=click.Choice(list(MODES)), help="Only these; all where none is named."
)
@click.option("--fault", "faults", multiple=True, type=click.Choice([*POINTS, *OUTAGES]), help="Only these.")
@click.option("--runs", default=1, show_default=True, help="How often each.")
@click.option("--count", default=240, show_default=True, help="Records of a run.")
@click.option("--seed", default=1, show_default=True, help="Of the records at which processes are killed.")
@click.option("--json", "report", type=click.Path(dir_okay=False, path_type=Path), help="Write a report here.")
def main(modes: Sequence[str], faults: Sequence[str], runs: int, count: int, seed: int, report: Path | None) -> None:
    modes = modes or list(MODES)
    faults = faults or [*POINTS, *OUTAGES]
    done: list[Run] = []

    def one(fault: str, subject: Subject, dice: random.Random) -> None:
        started = time.monotonic()
        verdict, failure = None, None
        try:
            if fault in OUTAGES:
                verdict = outage(subject, fault, count)
            else:
                verdict = crash(subject, fault, dice.randint(1, count // 4), count)
        except AssertionError as error:
            failure = str(error)[-4000:]
        except Exception:
            failure = traceback.format_exc()[-4000:]
        done.append(Run(fault, subject.mode, time.monotonic() - started, verdict, failure))
        print(f"{fault}, {subject.mode}: {verdict or failure}", file=sys.stderr, flush=True)

    def crashes(subject: Subject) -> None:
        dice = random.Random(f"{seed} {subject.mode}")
        for _ in range(runs):
            for fault in CRASHES[subject.mode]:
                if fault in faults:
                    one(fault, subject, dice)

    with running_stack() as stack, tempfile.TemporaryDirectory() as folder:
        subjects = [Subject(stack, Path(folder) / str(number), mode) for number, mode in enumerate(modes)]
        with ThreadPoolExecutor() as pool:  # side by side: most of the time is the brokers' patience with the dead
            list(pool.map(crashes, subjects))
        for fault in OUTAGES:  # these are everybody's, so one after the other
            for _ in range(runs if fault in faults else 0):
                for subject in subjects:
                    one(fault, subject, random.Random(seed))
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
