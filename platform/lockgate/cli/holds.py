"""`lockgate dlq list --held` and `lockgate dlq release`: keys that dead letters hold."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.markup import escape

from lockgate.cli.boxes import by_operator, read_holds, read_letters
from lockgate.cli.letters import echo_table, table_of, text_of, time_of
from lockgate.cli.options import Project, echo_json, output_option, pass_project
from lockgate.connection import settings_for
from lockgate.deadletters.box import Box, boxes
from lockgate.deadletters.holds import Hold, Released, letters_of, write_releases
from lockgate.errors import UsageError
from lockgate.records import Coordinates

__all__ = ["print_held", "release"]


def print_held(project: Project, wanted: Sequence[Box], reason: str | None, principal: str | None, output: str) -> None:
    """List the keys that are held, each with the letter that holds it."""
    found = read_holds(project, wanted, principal, replaying=False)
    holds = [hold for hold in found if reason is None or hold.envelope.reason == reason]
    opened = [box for box in wanted if any(hold.box == box for hold in holds)]
    places = letters_of(holds, read_letters(project, opened, principal, replaying=False))
    if output == "json":
        echo_json({"held": len(holds), "keys": [_hold_json(hold, places) for hold in holds]})
        return
    if not holds:
        click.echo("no key is held")
        return
    table = table_of("workload", "key", "partition", "since", "why", "letter", "lies at", "waiting>")
    for hold in holds:
        source = hold.envelope.source
        letter = places.get(hold.place)
        table.add_row(
            hold.box.workload,
            escape(text_of(hold.key) or ""),
            f"{source.topic}-{source.partition}",
            time_of(hold.since),
            _why(hold),
            hold.envelope.identity,
            "gone (retention)" if letter is None else str(letter),
            str(hold.followers) + (" (released)" if hold.released else ""),
        )
    echo_table(table)
    click.echo(f"{len(holds)} held; `lockgate dlq release WORKLOAD --key KEY` lets the records behind a letter go on")


@click.command()
@click.argument("workload", required=False)
@click.option("--workload", "named", help="The same as the argument.")
@click.option("--key", "keys", multiple=True, help="A key, as `lockgate dlq list --held` prints it; may be repeated.")
@click.option("--all", "every", is_flag=True, help="All keys of the workload that are held now.")
@click.option("--as", "principal", help="Whose credentials to use; default: the team's replayer.")
@click.option("--dry-run", is_flag=True, help="Say what would be released, and release nothing.")
@click.option("--yes", is_flag=True, help="Release without asking.")
@output_option
@pass_project
def release(  # as many as the command has options
    project: Project,
    workload: str | None,
    named: str | None,
    keys: tuple[str, ...],
    every: bool,
    principal: str | None,
    dry_run: bool,
    yes: bool,
    output: str,
) -> int:
    """Let keys go on that dead letters hold: the records that wait behind them are handled, in order.

    The dead letter stays one. Send it back first (`lockgate dlq replay`), and it is handled before those records; if it
    fails again, the key is held by it anew. Exits 2 where a key is not held, or a release was not taken.
    """
    names = {name for name in (workload, named) if name is not None}
    if len(names) != 1:
        raise UsageError("name one workload", next_step="`lockgate dlq list --held` lists those whose keys are held")
    if bool(keys) == every:
        raise UsageError("give either --key or --all", next_step="`lockgate dlq list --held` lists the keys")
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError(
            "a release asks for confirmation, and there is no terminal to ask on",
            next_step="look with --dry-run first, then give --yes",
        )
    (box,) = boxes(project.contracts, workload=names.pop())
    if not box.holds:
        raise UsageError(
            f"{box.workload} holds no keys: its contract does not say on_dead_letter: hold",
            next_step="what it held before goes on by itself at its next start",
        )
    holds = _chosen(read_holds(project, [box], principal, replaying=True), box, keys)
    if output == "text":
        for hold in holds:
            click.echo(f"chosen: {text_of(hold.key)}  {hold.envelope.identity}  {hold.followers} wait behind it")
    if dry_run or not holds:
        if output == "json":
            echo_json(_released_json(holds, []))
        else:
            click.echo("nothing was released (--dry-run)" if dry_run else "no key is held")
        return 0
    if not yes:
        click.confirm(f"Release {len({hold.key for hold in holds})} keys?", abort=True, err=True)
    (operator,) = by_operator([box], principal, replaying=True)
    released = list(write_releases(settings_for(operator, project.root), holds))
    failed = [outcome for outcome in released if outcome.place is None]
    if output == "json":
        echo_json(_released_json(holds, released))
    else:
        for outcome in failed:
            click.echo(f"{text_of(outcome.hold.key)} NOT RELEASED: {outcome.error}")
        click.echo(
            f"{len(released) - len(failed)} written and acknowledged{f', {len(failed)} not taken' if failed else ''}; "
            f"the records go on as soon as a process of {box.workload} reads it"
        )
    return 2 if failed else 0


def _chosen(holds: Sequence[Hold], box: Box, keys: Sequence[str]) -> list[Hold]:
    """Return the holds of some keys (none: of all); raise UsageError for a key that is not held."""
    if not keys:
        return list(holds)
    missing = [key for key in keys if not any(text_of(hold.key) == key for hold in holds)]
    if missing:
        raise UsageError(
            f"{box.workload} does not hold {', '.join(missing)}; nothing was released",
            next_step=f"`lockgate dlq list --held --workload {box.workload}` lists the keys that it holds",
        )
    return [hold for hold in holds if text_of(hold.key) in keys]


def _why(hold: Hold) -> str:
    return f"{hold.envelope.reason} ({hold.envelope.exception})" if hold.envelope.exception else hold.envelope.reason


def _hold_json(hold: Hold, letters: Mapping[Coordinates, Coordinates]) -> dict[str, Any]:
    envelope, letter = hold.envelope, letters.get(hold.place)
    return {
        "workload": hold.box.workload,
        "team": hold.box.team,
        "key": text_of(hold.key),
        "topic": envelope.source.topic,
        "partition": envelope.source.partition,
        "since": time_of(hold.since),
        "stage": envelope.stage,
        "reason": envelope.reason,
        "exception": envelope.exception or None,
        "message": envelope.message,
        "letter": envelope.identity,
        "letter_place": None if letter is None else str(letter),
        "place": str(hold.place),
        "followers": hold.followers,
        "replays": hold.replays,
        "released": hold.released,
    }


def _released_json(holds: Sequence[Hold], released: Sequence[Released]) -> dict[str, Any]:
    return {
        "chosen": [{"key": text_of(hold.key), "letter": hold.envelope.identity} for hold in holds],
        "outcomes": [
            {
                "key": text_of(outcome.hold.key),
                "letter": outcome.hold.envelope.identity,
                "place": None if outcome.place is None else str(outcome.place),
                "error": outcome.error,
            }
            for outcome in released
        ],
    }
