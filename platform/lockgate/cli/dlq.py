"""`lockgate dlq`: look at dead letters, and send chosen ones back."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from lockgate.cli.options import Project, echo_json, output_option, pass_project
from lockgate.connection import settings_for
from lockgate.contracts.model import Contracts
from lockgate.deadletters.box import Box, boxes
from lockgate.deadletters.groups import group, superseded
from lockgate.deadletters.letter import Letter
from lockgate.deadletters.reading import Reading, as_json, read
from lockgate.deadletters.replay import Choice, Outcome, choose, send
from lockgate.deadletters.scan import scan
from lockgate.errors import UsageError
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

    Reads with the credentials of each team's reader, replays with those of its replayer; --as names another identity.
    """


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
@output_option
@pass_project
def list_(
    project: Project,
    workload: str | None,
    reason: str | None,
    team: str | None,
    principal: str | None,
    each: bool,
    output: str,
) -> None:
    """Count dead letters by topic, workload and reason."""
    wanted = boxes(project.contracts, team=team, workload=workload)
    letters = [
        letter
        for letter in _scan(project, wanted, principal, replaying=False)
        if reason is None or letter.reason == reason
    ]
    if each:
        _print_letters(letters, output)
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
                        "first": _time(each.first),
                        "last": _time(each.last),
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
    table = _table("topic", "workload", "reason", "letters>", "replayed>", "last", "example")
    for entry in groups:
        counts = (str(entry.letters), str(entry.replayed or ""))
        table.add_row(entry.topic, entry.workload, entry.reason, *counts, _time(entry.last), entry.example)
    _echo_table(table)
    click.echo(f"{len(letters)} letters; `lockgate dlq show ID` shows one of them")


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
    wanted = _boxes_of(project.contracts, [letter_id])
    letters = list(_scan(project, wanted, principal, replaying=False))
    found = [letter for letter in letters if letter.is_called(letter_id)]
    if not found:
        raise UsageError(f"there is no letter {letter_id}", next_step="`lockgate dlq list --letters` lists them")
    letter = found[-1]  # written twice: the later copy stands for it
    settings = settings_for(principal or letter.box.reader, project.root)
    with Registry(settings) as registry:
        reading = read(letter, registry)
    newer = superseded(letters).get(str(letter.place))
    if output == "json":
        echo_json(_as_json(letter, newer) | {"event": _reading_json(reading)})
    else:
        _print_letter(letter, reading, newer)


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
    """Send chosen letters back to the failed workload's first retry topic, which no other workload reads.

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
        named = _boxes_of(project.contracts, letter_ids)
        wanted = tuple(box for box in wanted if box in named)
    letters = _scan(project, wanted, principal, replaying=True)
    choice = choose(letters, ids=letter_ids, reason=reason, limit=limit)
    if choice.unknown:
        raise UsageError(
            f"there is no letter {', '.join(choice.unknown)} among those chosen; nothing was sent",
            next_step="`lockgate dlq list --letters` lists them",
        )
    if output == "text":
        _print_choice(choice)
    if dry_run or not choice.chosen:
        if output == "json":
            echo_json(_choice_json(choice, []))
        elif dry_run:
            click.echo("nothing was sent (--dry-run)")
        return 0
    if not yes:
        click.confirm(f"Send {len(choice.chosen)} letters back?", abort=True, err=True)
    outcomes = _send(project, choice.chosen, principal, output)
    failed = sum(outcome.copy is None for outcome in outcomes)
    if output == "json":
        echo_json(_choice_json(choice, outcomes))
    else:
        click.echo(f"{len(outcomes) - failed} sent and acknowledged" + (f", {failed} not taken" if failed else ""))
    return 2 if failed else 0


def _scan(project: Project, wanted: Sequence[Box], principal: str | None, *, replaying: bool) -> list[Letter]:
    by_operator: dict[str, list[Box]] = {}
    for box in wanted:
        operator = principal or (box.replayer if replaying else box.reader)
        by_operator.setdefault(operator, []).append(box)
    letters: list[Letter] = []
    for operator, theirs in by_operator.items():
        settings = settings_for(operator, project.root)
        letters += scan(settings, theirs, group=settings.username or operator)
    return letters


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


def _boxes_of(contracts: Contracts, ids: Iterable[str]) -> tuple[Box, ...]:
    """Return the boxes that letters of these ids can lie in: an id names its workload, or its topic."""
    every = boxes(contracts)
    found: list[Box] = []
    for name in ids:
        fitting = [box for box in every if f"/{box.workload}#" in name or name.startswith(f"{box.topic}-")]
        if not fitting:
            raise UsageError(
                f"{name!r} names no letter: no workload's dead letters are called so",
                next_step="an id looks like TOPIC-PARTITION@OFFSET/WORKLOAD#ROUND; `lockgate dlq list --letters`",
            )
        found += fitting
    return tuple(box for box in every if box in found)


def _as_json(letter: Letter, newer: str | None) -> dict[str, Any]:
    envelope = letter.envelope
    return {
        "id": letter.id,
        "kind": letter.kind,
        "place": str(letter.place),
        "topic": letter.box.topic,
        "workload": letter.box.workload,
        "team": letter.box.team,
        "reason": letter.reason,
        "stage": envelope.stage if envelope else None,
        "message": envelope.message if envelope else None,
        "exception": envelope.exception if envelope else None,
        "attempt": envelope.attempt if envelope else None,
        "round": letter.round,
        "source": str(envelope.source) if envelope else None,
        "written": _time(letter.written),
        "superseded_by": newer,
        "key": _text(letter.key),
        "value": None if letter.value is None else letter.value.hex(),
        "headers": [[name, _text(value)] for name, value in letter.headers],
    }


def _reading_json(reading: Reading) -> dict[str, Any]:
    return {
        "type": reading.event_type,
        "schema_id": reading.schema_id,
        "datum": as_json(reading.datum),
        "problem": reading.problem,
    }


def _choice_json(choice: Choice, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "chosen": [letter.id for letter in choice.chosen],
        "passed_over": [{"id": letter.id, "why": why} for letter, why in choice.passed_over],
        "outcomes": [
            {
                "id": outcome.letter.id,
                "copy": None if outcome.copy is None else str(outcome.copy),
                "error": outcome.error,
            }
            for outcome in outcomes
        ],
    }


def _print_letters(letters: Sequence[Letter], output: str) -> None:
    answered = superseded(letters)
    if output == "json":
        echo_json([_as_json(letter, answered.get(str(letter.place))) for letter in letters])
        return
    for letter in letters:
        message = letter.envelope.message if letter.envelope else f"written by something else, at {letter.place}"
        newer = answered.get(str(letter.place))
        note = f"  [{newer} stands for it]" if newer else ""
        click.echo(f"{letter.id}  {letter.reason}  {message.splitlines()[0] if message else ''}{note}")


def _print_letter(letter: Letter, reading: Reading, newer: str | None) -> None:
    click.echo(f"{letter.id}")
    envelope = letter.envelope
    facts: list[tuple[str, object]] = [("lies at", letter.place), ("written", _time(letter.written))]
    if envelope is None:
        facts.append(("kind", "foreign: it has no envelope of this workload, so something else wrote it"))
    else:
        facts += [
            ("record", f"{envelope.source}, {_time(envelope.timestamp)} ({envelope.timestamp_type})"),
            ("workload", f"{envelope.group} (team {letter.box.team})"),
            ("stage", envelope.stage),
            ("reason", envelope.reason),
            ("message", envelope.message),
            ("exception", envelope.exception),
            ("deliveries", envelope.attempt),
            ("round", envelope.replay),
        ]
    if newer:
        facts.append(("replayed", f"yes, and it failed again: {newer} stands for it"))
    if letter.kind == "pointer":
        facts.append(("kind", "pointer: the record was too large to be carried"))
    for name, value in facts:
        if value != "":
            click.echo(f"  {name:<11} {value}")
    if envelope is not None and envelope.stack:
        click.echo("  stack")
        for line in envelope.stack.splitlines():
            click.echo(f"    {line}")
    click.echo("headers")
    for name, content in letter.headers:
        if not name.startswith(("lockgate.", "__dlq.errors.")):
            click.echo(f"  {name:<16} {'(null)' if content is None else _text(content)}")
    click.echo(f"key\n  {'(null)' if letter.key is None else _text(letter.key)}")
    if reading.datum is not None:
        click.echo(f"event {reading.event_type} (schema {reading.schema_id})")
        _print_datum(as_json(reading.datum))
        return
    click.echo(f"value does not decode: {reading.problem}")
    if letter.value:
        for start in range(0, len(letter.value), 32):
            click.echo(f"  {start:06x}  {letter.value[start : start + 32].hex(' ', 2)}")


def _print_datum(datum: Any, indent: str = "  ") -> None:
    pairs = datum.items() if isinstance(datum, dict) else [(f"[{number}]", each) for number, each in enumerate(datum)]
    for name, value in pairs:
        if isinstance(value, dict | list) and value:
            click.echo(f"{indent}{name}:")
            _print_datum(value, indent + "  ")
        else:
            click.echo(f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}")


def _print_choice(choice: Choice) -> None:
    for letter, why in choice.passed_over:
        click.echo(f"passed over: {letter.id} at {letter.place}: {why}")
    for letter in choice.chosen:
        click.echo(f"chosen: {letter.id}  {letter.reason} → {letter.box.way_back}")
    click.echo(f"{len(choice.chosen)} letters chosen, {len(choice.passed_over)} passed over")


def _text(content: bytes | None) -> str | None:
    """Return bytes as text where they are text that can be printed, else as hexadecimal digits."""
    if content is None:
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return "0x" + content.hex()
    return text if text.isprintable() else "0x" + content.hex()


def _time(milliseconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.endswith(">")
        table.add_column(column.rstrip(">"), justify="right" if right else "left", no_wrap=True)
    return table


def _echo_table(table: Table) -> None:
    """Print a table in full where no terminal bounds its width, so that it can be searched and cut."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=400)
    console.print(table)
