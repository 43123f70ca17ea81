"""How dead letters are shown: as text, and as JSON in the shapes that docs/deadletters.md tells."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from lockgate.cli.options import echo_json
from lockgate.deadletters.groups import superseded
from lockgate.deadletters.letter import Letter
from lockgate.deadletters.reading import Reading, as_json
from lockgate.deadletters.replay import Choice, Outcome
from lockgate.provisioning.reports import counted

__all__ = [
    "choice_json",
    "echo_table",
    "letter_json",
    "print_choice",
    "print_letter",
    "print_letters",
    "reading_json",
    "table_of",
    "text_of",
    "time_of",
]


def letter_json(letter: Letter, newer: str | None) -> dict[str, Any]:
    """Return a letter; `newer` is the id of the one that stands for it."""
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
        "written": time_of(letter.written),
        "superseded_by": newer,
        "key": text_of(letter.key),
        "value": None if letter.value is None else letter.value.hex(),
        "headers": [[name, text_of(value)] for name, value in letter.headers],
    }


def reading_json(reading: Reading) -> dict[str, Any]:
    """Return what could be made of a letter's value."""
    return {
        "type": reading.event_type,
        "schema_id": reading.schema_id,
        "datum": as_json(reading.datum),
        "problem": reading.problem,
    }


def choice_json(choice: Choice, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return which letters go back, and what became of each."""
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


def print_letters(letters: Sequence[Letter], output: str) -> None:
    """Print one line a letter."""
    answered = superseded(letters)
    if output == "json":
        echo_json([letter_json(letter, answered.get(str(letter.place))) for letter in letters])
        return
    for letter in letters:
        message = letter.envelope.message if letter.envelope else f"written by something else, at {letter.place}"
        newer = answered.get(str(letter.place))
        note = f"  [{newer} stands for it]" if newer else ""
        click.echo(f"{letter.id}  {letter.reason}  {message.splitlines()[0] if message else ''}{note}")


def print_letter(letter: Letter, reading: Reading, newer: str | None) -> None:
    """Print one letter with all that it holds."""
    click.echo(f"{letter.id}")
    envelope = letter.envelope
    facts: list[tuple[str, object]] = [("lies at", letter.place), ("written", time_of(letter.written))]
    if envelope is None:
        facts.append(("kind", "foreign: it has no envelope of this workload, so something else wrote it"))
    else:
        facts += [
            ("record", f"{envelope.source}, {time_of(envelope.timestamp)} ({envelope.timestamp_type})"),
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
            click.echo(f"  {name:<16} {'(null)' if content is None else text_of(content)}")
    click.echo(f"key\n  {'(null)' if letter.key is None else text_of(letter.key)}")
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


def print_choice(choice: Choice) -> None:
    """Print which letters go back, and which of those asked for do not."""
    for letter, why in choice.passed_over:
        click.echo(f"passed over: {letter.id} at {letter.place}: {why}")
    for letter in choice.chosen:
        click.echo(f"chosen: {letter.id}  {letter.reason} → {letter.box.way_back}")
    click.echo(f"{counted(len(choice.chosen), 'letter')} chosen, {len(choice.passed_over)} passed over")


def text_of(content: bytes | None) -> str | None:
    """Return bytes as text where they are text that can be printed, else as hexadecimal digits."""
    if content is None:
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return "0x" + content.hex()
    return text if text.isprintable() else "0x" + content.hex()


def time_of(milliseconds: int) -> str:
    """Return a time since the epoch in ISO 8601."""
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def table_of(*columns: str) -> Table:
    """Return a table; a column whose name ends with `>` is set to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.endswith(">")
        table.add_column(column.rstrip(">"), justify="right" if right else "left", no_wrap=True)
    return table


def echo_table(table: Table) -> None:
    """Print a table in full where no terminal bounds its width, so that it can be searched and cut."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=400)
    console.print(table)
