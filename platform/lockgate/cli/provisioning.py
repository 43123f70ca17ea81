"""`lockgate plan` and `lockgate apply`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import click

from lockgate.cli.options import Project, as_option, echo_json, output_option, pass_project
from lockgate.connection import credentials_directory, settings_for
from lockgate.provisioning.apply import apply as apply_plan
from lockgate.provisioning.changes import Change
from lockgate.provisioning.plan import Plan, make_plan

__all__ = ["apply", "plan"]

_HEADINGS = {
    "topic": "Topics",
    "user": "Users",
    "acl": "Rights",
    "subject": "Subjects",
    "credentials": "Credentials files",
    "group": "Groups",
}
_MARKS = {"create": "+", "change": "~"}
_RISK_COLOURS = {"low": "yellow", "high": "red"}
_COLOURS = {"+": "green", "~": "yellow", "!": "red"}


@click.command()
@output_option
@click.option(
    "--exit-code", is_flag=True, help="Exit 1 where there is anything to do, refused or beyond the contracts."
)
@as_option("admin")
@pass_project
def plan(project: Project, output: str, principal: str, *, exit_code: bool) -> int:
    """Show what apply would do to cluster, registry and credentials. Changes nothing."""
    settings = settings_for(principal, project.root)
    planned = make_plan(project.contracts, settings, credentials_directory(project.root))
    if output == "json":
        echo_json(planned.as_json())
    else:
        for line in _lines(planned):
            click.echo(line)
    return int(exit_code and not (planned.is_empty and not planned.beyond))


@click.command()
@output_option
@as_option("admin")
@pass_project
def apply(project: Project, output: str, principal: str) -> None:
    """Make cluster, registry and credentials what the contracts ask for, and wait until it works. Deletes nothing."""
    started = time.monotonic()
    settings = settings_for(principal, project.root)
    folder = credentials_directory(project.root)
    planned = make_plan(project.contracts, settings, folder)
    as_json = output == "json"
    # with JSON on standard output, progress goes beside it
    apply_plan(planned, project.contracts, settings, folder, progress=lambda line: click.echo(f"  {line}", err=as_json))
    seconds = time.monotonic() - started
    if as_json:
        echo_json(planned.as_json() | {"seconds": round(seconds, 3)})
        return
    for line in _beyond(planned):
        click.echo(line)
    counts = planned.counts
    done = f"{counts['create']} created, {counts['change']} changed" if planned.changes else "nothing to change"
    click.echo(f"Applied in {seconds:.1f} s: {done}, {counts['beyond']} beyond the contracts")


def _lines(planned: Plan) -> Iterator[str]:
    for kind, heading in _HEADINGS.items():
        changes = [change for change in planned.changes if change.kind == kind]
        refusals = [refusal for refusal in planned.refusals if refusal.kind == kind]
        if not changes and not refusals:
            continue
        yield heading
        width = min(64, max((len(change.name) for change in changes), default=0))
        for change in changes:
            yield from _change(change, width)
        for refusal in refusals:
            at = f"  ({refusal.declared})" if refusal.declared else ""
            yield _marked("!", f"{refusal.name}  REFUSED: {refusal.reason}{at}")
            yield f"      next: {refusal.next_step}"
        yield ""
    yield from _beyond(planned)
    if planned.unmanaged:
        yield "In no contract (left alone)"
        for entry in planned.unmanaged:
            note = f"  {entry.note}" if entry.note else ""
            yield f"    {entry.kind} {entry.name}{note}"
        yield ""
    counts = planned.counts
    if planned.is_empty:
        yield "Nothing to do: everything is as the contracts ask."
    yield (
        f"{counts['create']} to create, {counts['change']} to change, {counts['refused']} refused, "
        f"{counts['beyond']} beyond the contracts, {counts['unmanaged']} in no contract"
    )


def _change(change: Change, width: int) -> Iterator[str]:
    details = ", ".join(change.details)
    text = f"{change.name:<{width}}  {details}" if details else change.name
    yield _marked(_MARKS[change.action], f"{text}  ({change.declared})")
    if change.risk.level != "none":
        level = click.style(f"{change.risk.level} risk", fg=_RISK_COLOURS[change.risk.level])
        yield f"      {level}: {change.risk.reason}"


def _beyond(planned: Plan) -> Iterable[str]:
    if not planned.beyond:
        return
    yield "Beyond the contracts (nothing here is deleted: kafka-acls --remove does that)"
    for entry in planned.beyond:
        yield _marked("!", f"{entry.name}: {entry.reason}")
    yield ""


def _marked(mark: str, text: str) -> str:
    return f"  {click.style(mark, fg=_COLOURS[mark])} {text}"
