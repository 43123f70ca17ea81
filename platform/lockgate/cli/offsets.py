"""`lockgate offsets`: how far a workload is, and where it goes on."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator

import click

from lockgate.cli.options import Project, as_option, echo_json, output_option, pass_project
from lockgate.connection import settings_for
from lockgate.errors import UsageError
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.offsets import GroupOffsets
from lockgate.provisioning.progress import Progress, read_progress
from lockgate.provisioning.reset import Reset, Target, plan_reset, refuse_members, reset

__all__ = ["offsets"]

_EPILOG = (
    "Handlers must bear what they get again; what is passed over is never handled. Retry topics stay as they are "
    "unless --skip-waiting is given: what waits there is handled too, whatever the domain's topic is set to."
)


@click.command(epilog=_EPILOG)
@click.argument("workload")
@click.option("--to", metavar="earliest|latest|OFFSET", help="Go on there.")
@click.option("--to-time", metavar="TIME", help="Go on with the first record not older, such as 2026-07-14T09:30:00Z.")
@click.option(
    "--by", type=int, metavar="N", help="Go N records on, or back where N is negative; no further than there are."
)
@click.option("--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="Only this one; repeatable.")
@click.option("--skip-waiting", is_flag=True, help="Pass over everything in the workload's retry topics, for good.")
@click.option("--dry-run", is_flag=True, help="Say what would be set, and set nothing.")
@click.option("--yes", is_flag=True, help="Set without asking.")
@output_option
@as_option("admin")
@pass_project
def offsets(  # the options of one command
    project: Project,
    workload: str,
    to: str | None,
    to_time: str | None,
    by: int | None,
    partitions: tuple[int, ...],
    skip_waiting: bool,
    dry_run: bool,
    yes: bool,
    output: str,
    principal: str,
) -> None:
    """Show how far a workload is, partition by partition; with --to, --to-time or --by, reset it while stopped."""
    target = _target(to, to_time, by)
    asked = target is not None or skip_waiting
    if not asked and (partitions or dry_run or yes):
        raise UsageError("nothing was chosen to be set", next_step="give --to, --to-time, --by or --skip-waiting")
    if asked and not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError(
            "a reset asks for confirmation, and there is no terminal to ask on",
            next_step="look with --dry-run first, then give --yes",
        )
    found = project.contracts.workload(workload)
    with Cluster(settings_for(principal, project.root)) as cluster:
        progress = read_progress(cluster, project.contracts, found)
        if not asked:
            _show(progress, output)
            return
        admin = GroupOffsets(cluster)
        planned = plan_reset(progress, target, admin.positions, partitions=partitions, skip_waiting=skip_waiting)
        if not dry_run:
            refuse_members(workload, progress.members)
        if output == "text":
            for line in _lines(planned):
                click.echo(line)
        done = bool(planned.moves) and not dry_run
        if done and not yes:
            click.confirm(f"Set {len(planned.moves)} offsets?", abort=True, err=True)
        if done:
            reset(admin, planned)
    if output == "json":
        echo_json(planned.as_json() | {"done": done})
    else:
        click.echo(f"{len(planned.moves)} offsets set" if done else "nothing was set" + " (--dry-run)" * dry_run)


def _target(to: str | None, to_time: str | None, by: int | None) -> Target | None:
    given = [name for name, value in (("--to", to), ("--to-time", to_time), ("--by", by)) if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} say different things", next_step="give one of them")
    match to:
        case "earliest" | "latest":
            return Target("position", to)
        case str() if to.isascii() and to.isdigit():
            return Target("offset", int(to))
        case str():
            raise UsageError(f"--to: expected earliest, latest or an offset, got {to!r}")
    if to_time is not None:
        return Target("time", _milliseconds(to_time))
    return None if by is None else Target("by", by)


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--to-time: {text!r} is no time", next_step="write it as 2026-07-14T09:30:00Z") from None
    if moment.tzinfo is None:
        raise UsageError(
            f"--to-time: {text} is in no time zone", next_step="end it with Z, or an offset such as +02:00"
        )
    return max(0, round(moment.timestamp() * 1000))


def _show(progress: Progress, output: str) -> None:
    if output == "json":
        echo_json(progress.as_json())
        return
    rows: list[tuple[str, ...]] = [("TOPIC", "PARTITION", "START", "COMMITTED", "END", "LAG")]
    for entry in progress.partitions:
        committed = "-" if entry.committed is None else str(entry.committed)
        rows.append((entry.topic, str(entry.partition), str(entry.start), committed, str(entry.end), str(entry.lag)))
    for line in _table(rows):
        click.echo(line)
    processes = "1 process" if progress.members == 1 else f"{progress.members} processes"
    click.echo(f"{progress.lag} to read, {progress.waiting} waiting in retry topics; {processes} in the group")


def _lines(planned: Reset) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("TOPIC", "PARTITION", "BEFORE", "AFTER", "")]
    for move in planned.moves:
        before = "-" if move.before is None else str(move.before)
        means = f"{move.again} again" if move.again else f"{move.passed_over} passed over" if move.passed_over else ""
        rows.append((move.topic, str(move.partition), before, str(move.after), means))
    if planned.moves:
        yield from _table(rows)
    yield f"{planned.again} are read again, {planned.passed_over} are never read"
    if planned.waiting:
        yield f"{planned.waiting} wait in retry topics and are handled too; --skip-waiting passes over them"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *rest = row
        cells = [f"{first:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
