"""`lockgate dlq`: look at dead letters, and send chosen ones back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from lockgate.cli.boxes import boxes_of, read_letters
from lockgate.cli.holds import print_held, release
from lockgate.cli.letters import (
    choice_json,
    echo_table,
    letter_json,
    print_choice,
    print_letter,
    print_letters,
    reading_json,
    table_of,
    time_of,
)
from lockgate.cli.options import Project, echo_json, output_option, pass_project
from lockgate.connection import settings_for
from lockgate.deadletters.box import boxes
from lockgate.deadletters.groups import group, superseded
from lockgate.deadletters.letter import Letter
from lockgate.deadletters.reading import read
from lockgate.deadletters.replay import Outcome, choose, send
from lockgate.errors import UsageError
from lockgate.provisioning.reports import counted
from lockgate.registry import Registry

__all__ = ["dlq"]

_F = TypeVar("_F", bound=Callable[..., Any])
_TWICE = (
    "A letter stays in its topic after a replay. Replaying it again sends a second copy: the workload handles the "
    "event a second time (a result has the same ce_id as before, so its readers can tell). A letter whose replay "
    "failed again is passed over: the letter with the higher round stands for it."
)


@click.group()
def dlq() -> None:
    """Look at dead letters, and send chosen ones back to the workload that failed on them.

    Reads with the credentials of each team's reader, replays and releases with those of its replayer; --as names
    another identity.
    """


dlq.add_command(release)


def _selection(function: _F) -> _F:
    for option in (
        click.option("--as", "principal", help="Whose credentials to use; default: each team's own operator."),
        click.option("--team", help="Only the letters of this team's workloads."),
        click.option("--reason", help="Only letters with this reason."),
        click.option("--workload", help="Only the letters of this workload."),
    ):
        function = option(function)
    return function


@dlq.command("list")
@_selection
@click.option("--letters", "each", is_flag=True, help="List every letter instead of counting them.")
@click.option("--held", "held", is_flag=True, help="List the keys that letters hold (on_dead_letter: hold).")
@output_option
@pass_project
def list_(
    project: Project,
    workload: str | None,
    reason: str | None,
    team: str | None,
    principal: str | None,
    each: bool,
    held: bool,
    output: str,
) -> None:
    """Count dead letters by topic, workload and reason."""
    wanted = boxes(project.contracts, team=team, workload=workload)
    if each and held:
        raise UsageError("--letters and --held list different things", next_step="give one of them")
    if held:
        print_held(project, wanted, reason, principal, output)
        return
    letters = [
        letter
        for letter in read_letters(project, wanted, principal, replaying=False)
        if reason is None or letter.reason == reason
    ]
    if each:
        print_letters(letters, output)
        return
    groups = group(letters)
    if output == "json":
        echo_json(
            {
                "letters": len(letters),
                "groups": [
                    {
                        "topic": each.topic,
                        "workload": each.workload,
                        "team": each.team,
                        "reason": each.reason,
                        "letters": each.letters,
                        "replayed": each.replayed,
                        "first": time_of(each.first),
                        "last": time_of(each.last),
                        "example": each.example,
                    }
                    for each in groups
                ],
            }
        )
        return
    if not groups:
        click.echo("no dead letters")
        return
    table = table_of("topic", "workload", "reason", "letters>", "replayed>", "last", "example")
    for entry in groups:
        counts = (str(entry.letters), str(entry.replayed or ""))
        table.add_row(entry.topic, entry.workload, entry.reason, *counts, time_of(entry.last), entry.example)
    echo_table(table)
    click.echo(f"{counted(len(letters), 'letter')}; `lockgate dlq show ID` shows one of them")


@dlq.command()
@click.argument("letter_id", metavar="ID|TOPIC-PARTITION@OFFSET")
@click.option("--as", "principal", help="Whose credentials to use; default: the team's reader.")
@output_option
@pass_project
def show(project: Project, letter_id: str, principal: str | None, output: str) -> None:
    """Show one letter: its envelope, its headers, and its event decoded (or its bytes, and why it does not decode).

    ID is the letter's identity, such as `orders-3@1842/payments-service.orders#0`; or name the place where it lies,
    such as `orders.dlq.payments-service.orders-3@17`.
    """
    wanted = boxes_of(project.contracts, [letter_id])
    letters = list(read_letters(project, wanted, principal, replaying=False))
    found = [letter for letter in letters if letter.is_called(letter_id)]
    if not found:
        raise UsageError(f"there is no letter {letter_id}", next_step="`lockgate dlq list --letters` lists them")
    letter = found[-1]  # written twice: the later copy stands for it
    settings = settings_for(principal or letter.box.reader, project.root)
    with Registry(settings) as registry:
        reading = read(letter, registry)
    newer = superseded(letters).get(str(letter.place))
    if output == "json":
        echo_json(letter_json(letter, newer) | {"event": reading_json(reading)})
    else:
        print_letter(letter, reading, newer)


@dlq.command(epilog=_TWICE)
@click.argument("letter_ids", metavar="[ID|TOPIC-PARTITION@OFFSET]...", nargs=-1)
@_selection
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the oldest first.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--yes", is_flag=True, help="Send without asking.")
@output_option
@pass_project
def replay(
    project: Project,
    letter_ids: tuple[str, ...],
    workload: str | None,
    reason: str | None,
    team: str | None,
    principal: str | None,
    limit: int | None,
    dry_run: bool,
    yes: bool,
    output: str,
) -> int:
    """Send chosen letters back to a retry topic of the failed workload's, which no other workload reads.

    Choose by id, or by --workload, --team, --reason and --limit. The copy has the record's key, value and own headers
    byte for byte, attempts that start afresh, and the replay round in a header. Exits 2 where a copy was not taken.
    """
    if not letter_ids and workload is None and reason is None and team is None:
        raise UsageError("nothing was chosen", next_step="name letters by id, or choose with --workload or --reason")
    if not (dry_run or yes or sys.stdin.isatty()):
        raise UsageError(
            "a replay asks for confirmation, and there is no terminal to ask on",
            next_step="look with --dry-run first, then give --yes",
        )
    wanted = boxes(project.contracts, team=team, workload=workload)
    if letter_ids:
        named = boxes_of(project.contracts, letter_ids)
        wanted = tuple(box for box in wanted if box in named)
    letters = read_letters(project, wanted, principal, replaying=True)
    choice = choose(letters, ids=letter_ids, reason=reason, limit=limit)
    if choice.unknown:
        raise UsageError(
            f"there is no letter {', '.join(choice.unknown)} among those chosen; nothing was sent",
            next_step="`lockgate dlq list --letters` lists them",
        )
    if output == "text":
        print_choice(choice)
    if dry_run or not choice.chosen:
        if output == "json":
            echo_json(choice_json(choice, []))
        elif dry_run:
            click.echo("nothing was sent (--dry-run)")
        return 0
    if not yes:
        click.confirm(f"Send {counted(len(choice.chosen), 'letter')} back?", abort=True, err=True)
    outcomes = _send(project, choice.chosen, principal, output)
    failed = sum(outcome.copy is None for outcome in outcomes)
    if output == "json":
        echo_json(choice_json(choice, outcomes))
    else:
        click.echo(f"{len(outcomes) - failed} sent and acknowledged" + (f", {failed} not taken" if failed else ""))
    return 2 if failed else 0


def _send(project: Project, letters: Sequence[Letter], principal: str | None, output: str) -> list[Outcome]:
    by_operator: dict[str, list[Letter]] = {}
    for letter in letters:
        by_operator.setdefault(principal or letter.box.replayer, []).append(letter)
    outcomes = []
    for operator, theirs in by_operator.items():
        for outcome in send(settings_for(operator, project.root), theirs):
            outcomes.append(outcome)
            if output == "text":
                result = f"→ {outcome.copy}" if outcome.copy else f"NOT SENT: {outcome.error}"
                click.echo(f"{outcome.letter.id} {result}")
    return outcomes
