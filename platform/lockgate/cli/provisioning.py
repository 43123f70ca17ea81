"""`lockgate plan` and `lockgate apply`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from lockgate.cli.options import Project, as_option, echo_json, output_option, pass_project
from lockgate.connection import credentials_directory, settings_for
from lockgate.provisioning.apply import apply as apply_contracts
from lockgate.provisioning.change import Change
from lockgate.provisioning.plan import Plan, make_plan
from lockgate.provisioning.planfile import read_plan, save_plan
from lockgate.provisioning.reports import Refusal

__all__ = ["apply", "plan"]

_HEADINGS = {
    "topic": "Topics",
    "user": "Users",
    "acl": "Rights",
    "subject": "Subjects",
    "credentials": "Credentials files",
    "group": "Groups",
}
_MARKS = {"create": "+", "change": "~", "delete": "-"}
_RISK_COLOURS = {"low": "yellow", "high": "red"}
_COLOURS = {"+": "green", "~": "yellow", "-": "red", "!": "red"}


@click.command()
@output_option
@click.option(
    "--exit-code", is_flag=True, help="Exit 1 where there is anything to do, refused or beyond the contracts."
)
@click.option(
    "--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the plan to a file for `apply FILE`."
)
@as_option("admin")
@pass_project
def plan(project: Project, output: str, principal: str, *, save: Path | None, exit_code: bool) -> int:
    """Show what apply would do to cluster, registry and credentials. Changes nothing."""
    settings = settings_for(principal, project.root)
    planned = make_plan(project.contracts, settings, credentials_directory(project.root))
    if save is not None:
        save_plan(save, planned)
    if output == "json":
        echo_json(planned.as_json())
    else:
        for line in _lines(planned):
            click.echo(line)
        if save is not None:
            click.echo(f"Saved: `lockgate apply {save}` does exactly this, or refuses where something has moved")
    return int(exit_code and not (planned.is_empty and not planned.beyond))


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@output_option
@click.option("--allow-delete", is_flag=True, help="Delete what is retired, and take away rights that were given back.")
@as_option("admin")
@pass_project
def apply(project: Project, output: str, principal: str, *, file: Path | None, allow_delete: bool) -> None:
    """Make cluster, registry and credentials what the contracts ask for, and wait until it works.

    With FILE, do exactly the plan that was saved there, and refuse where anything has moved since.
    """
    started = time.monotonic()
    settings = settings_for(principal, project.root)
    saved = read_plan(file) if file is not None else None
    as_json = output == "json"
    planned = apply_contracts(
        project.contracts,
        settings,
        credentials_directory(project.root),
        saved=saved,
        allow_delete=allow_delete,
        # with JSON on standard output, progress goes beside it
        progress=lambda line: click.echo(f"  {line}", err=as_json),
    )
    seconds = time.monotonic() - started
    if as_json:
        echo_json(planned.as_json() | {"deleted": allow_delete, "seconds": round(seconds, 3)})
        return
    for line in _beyond(planned):
        click.echo(line)
    counts = planned.counts
    made = counts["create"] + counts["change"]
    done = f"{counts['create']} created, {counts['change']} changed" if made else "nothing to change"
    if allow_delete and planned.deletions:
        done += f", {counts['delete']} deleted"
    click.echo(f"Applied in {seconds:.1f} s: {done}, {counts['beyond']} beyond the contracts")
    if planned.deletions and not allow_delete:
        click.echo(f"Left to delete: {counts['delete']} (lockgate plan shows what; apply --allow-delete does it)")


def _lines(planned: Plan) -> Iterator[str]:
    by_hand = [change for change in planned.changes if change.cause in ("drift", "both") and change.action != "delete"]
    for kind, heading in _HEADINGS.items():
        changes = [c for c in planned.changes if c.kind == kind and c not in by_hand and c.action != "delete"]
        refusals = [r for r in planned.refusals if r.kind == kind and r.action == "apply"]
        yield from _section(heading, changes, refusals)
    yield from _section("Drift (changed by hand since it was applied: apply sets it back)", by_hand)
    refusals = [refusal for refusal in planned.refusals if refusal.action == "delete"]
    yield from _section("To delete (only with apply --allow-delete)", planned.deletions, refusals)
    yield from _beyond(planned)
    if planned.draining:
        yield "Former retry topics (still read by their workloads)"
        for topic in planned.draining:
            waiting = "1 record waits" if topic.waiting == 1 else f"{topic.waiting} records wait"
            note = waiting if topic.waiting else "drained: stop the workload, and let `retired` delete it"
            yield f"    {topic.name}  {note}  ({topic.declared})"
        yield ""
    if planned.unmanaged:
        yield "In no contract (left alone)"
        for entry in planned.unmanaged:
            note = f"  {entry.note}" if entry.note else ""
            yield f"    {entry.kind} {entry.name}{note}"
        yield ""
    counts = planned.counts
    draining = f", {counts['draining']} draining" if counts["draining"] else ""
    deletions = f"{counts['delete']} to delete, " if counts["delete"] else ""
    if planned.is_empty:
        yield "Nothing to do: everything is as the contracts ask."
    yield (
        f"{counts['create']} to create, {counts['change']} to change, {deletions}{counts['refused']} refused, "
        f"{counts['beyond']} beyond the contracts, {counts['unmanaged']} in no contract{draining}"
    )


def _section(heading: str, changes: Sequence[Change], refusals: Sequence[Refusal] = ()) -> Iterator[str]:
    if not changes and not refusals:
        return
    yield heading
    width = min(64, max((len(change.name) for change in changes), default=0))
    for change in changes:
        yield from _change(change, width)
    for refusal in refusals:
        at = f"  ({refusal.declared})" if refusal.declared else ""
        yield _marked("!", f"{refusal.name}  REFUSED: {refusal.reason}{at}")
        yield f"      next: {refusal.next_step}"
    yield ""


def _change(change: Change, width: int) -> Iterator[str]:
    details = ", ".join(change.details)
    if change.cause == "both":
        details += ", the files changed too"
    text = f"{change.name:<{width}}  {details}" if details else change.name
    yield _marked(_MARKS[change.action], f"{text}  ({change.declared})")
    if change.risk.level != "none":
        level = click.style(f"{change.risk.level} risk", fg=_RISK_COLOURS[change.risk.level])
        yield f"      {level}: {change.risk.reason}"


def _beyond(planned: Plan) -> Iterable[str]:
    if not planned.beyond:
        return
    yield "Beyond the contracts (made by hand, and left alone: kafka-acls --remove takes it away)"
    for entry in planned.beyond:
        yield _marked("!", f"{entry.name}: {entry.reason}")
    yield ""


def _marked(mark: str, text: str) -> str:
    return f"  {click.style(mark, fg=_COLOURS[mark])} {text}"
