"""`lockgate up`, `down`, `status`: the local stack."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from lockgate.cli.options import Project, echo_json, output_option, pass_project
from lockgate.connection import credentials_directory, home_directory, settings_for

if TYPE_CHECKING:
    from lockgate.local import Stack, StackStatus

__all__ = ["down", "stack_of", "start", "status", "up"]

_WATCH_SECONDS = 1.0


def stack_of(project: Project) -> Stack:
    """Return the local stack of a project."""
    from lockgate.local import Stack  # `--help` needs neither certificates nor a process table

    return Stack(project.root, home_directory(project.root))


def start(project: Project, progress: Callable[[str], None]) -> Stack:
    """Start a project's stack and apply its contracts; return when all of it answers."""
    from lockgate.provisioning.apply import apply

    contracts = project.contracts  # mistakes in the contracts show before anything is started
    stack = stack_of(project)
    with _downloads() as fetched:
        stack.up(progress, fetched)
    settings = settings_for("admin", project.root)
    credentials = credentials_directory(project.root)
    apply(contracts, settings, credentials, progress=progress)
    return stack


@click.command()
@click.option("--foreground", is_flag=True, help="Stay, and take the stack along at the end, however it comes.")
@pass_project
def up(project: Project, *, foreground: bool) -> None:
    """Start the local stack and apply the contracts; return when all of it answers.

    Starts only what does not run, downloads only what is missing. The stack stays until `lockgate down`.
    """
    begun = time.monotonic()
    if not foreground:
        _say_ready(start(project, click.echo), begun)
        return
    stack, is_ready = stack_of(project), False
    with stack.guarded(), _first_signal_interrupts():
        try:
            start(project, click.echo)
            is_ready = True
            _say_ready(stack, begun)
            click.echo("Ctrl-C stops it")
            _watch(stack)
        except KeyboardInterrupt:
            if not is_ready:
                raise
        finally:
            click.echo("stopping")
            stack.down(progress=click.echo)


@click.command()
@click.option("--delete-data", is_flag=True, help="Delete records, identities and credentials as well.")
@pass_project
def down(project: Project, *, delete_data: bool) -> None:
    """Stop the local stack; data and identities stay, unless they are to be deleted."""
    stack = stack_of(project)
    stack.down(delete_data, click.echo)
    click.echo("The stack is down" + ("" if delete_data else f"; its data stay in {stack.home}"))


@click.command()
@output_option
@pass_project
def status(project: Project, output: str) -> int:
    """Show every process, port and group of the local stack; exit 1 if anything is not well."""
    found = stack_of(project).status()
    if output == "json":
        echo_json(found.as_json())
    else:
        for line in _lines(found):
            click.echo(line)
    return 0 if found.is_well else 1


def _say_ready(stack: Stack, begun: float) -> None:
    seconds = time.monotonic() - begun
    click.echo(f"Ready after {seconds:.1f} s: brokers {stack.bootstrap_servers}, registry {stack.registry_url}")
    click.echo(f"Credentials are in {stack.credentials}")


def _watch(stack: Stack) -> NoReturn:
    told: set[str] = set()
    while True:
        time.sleep(_WATCH_SECONDS)
        for program in stack.programs:
            if stack.is_running(program.name):
                told.discard(program.name)
            elif program.name not in told:
                told.add(program.name)
                click.echo(f"{program.name} died; its log is {stack.log(program.name)}; `lockgate up` starts it again")


@contextmanager
def _first_signal_interrupts() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into KeyboardInterrupt; the way down is bounded and not interrupted."""
    interrupted = False

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the interpreter's signature
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _downloads() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal while programs are downloaded; nothing elsewhere, and nothing if nothing is."""
    if not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("fetching", visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=done < total)


def _nothing(*_: object) -> None:
    return None


def _lines(found: StackStatus) -> Iterator[str]:
    rows: list[Sequence[str]] = [("PROCESS", "VERSION", "STATE", "PID", "PORTS", "MEMORY", "UP FOR")]
    rows += (
        (
            process.name,
            f"{process.kind} {process.version}",
            process.state,
            str(process.pid or "-"),
            ",".join(map(str, process.ports)),
            "-" if process.memory is None else f"{process.memory >> 20} MB",
            "-" if process.seconds is None else _duration(process.seconds),
        )
        for process in found.processes
    )
    yield from _table(rows)
    yield ""
    if found.groups:
        rows = [("GROUP", "STATE", "MEMBERS", "LAG", "BY TOPIC")]
        for group in found.groups:
            lags = [f"{topic} {lag}" for topic, lag in group.topics.items() if lag]
            if group.paused is not None:
                why = f": {group.paused.why}" if group.paused.why else ""
                lags.insert(0, f"PAUSED by {group.paused.by} at {group.paused.at}{why}")
            rows.append((group.name, group.state, str(group.members), str(group.lag), ", ".join(lags)))
        yield from _table(rows)
    else:
        yield "no consumer groups yet"
    yield ""
    for problem in found.problems:
        yield f"not well: {problem}"
    if found.is_well:
        yield f"All is well: {found.topics} topics, {found.memory >> 20} MB resident in all"
    else:
        yield "  next: `lockgate up` starts what is down"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
