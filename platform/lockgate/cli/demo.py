"""`lockgate demo`: the whole of it, on the local stack."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from lockgate.cli.options import Project, echo_json, output_option, pass_project
from lockgate.cli.stack import stack_of, start
from lockgate.connection import credentials_directory, home_directory
from lockgate.contracts.model import Contracts

if TYPE_CHECKING:
    from lockgate.demo.settle import Lag
    from lockgate.local import Stack

__all__ = ["demo"]

_EVERY = 3.0
"""Seconds between lines of progress off a terminal."""


@click.command()
@click.option("--orders", type=click.IntRange(1), default=2000, show_default=True, help="How many orders to send.")
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="Orders a second at most; 0: no bound.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the outcome as JSON to FILE.")
@click.option("--keep", is_flag=True, help="Leave the stack up at the end, and say how to look around.")
@output_option
@pass_project
def demo(project: Project, orders: int, rate: float, report: Path | None, keep: bool, output: str) -> int:
    """Bring the stack up, run all services on real traffic with every kind of trouble, and balance the books.

    Exit 0 only if nothing is lost, every trespasser is refused, and downstream events match upstream ones.
    """
    from lockgate.demo.run import load_programs, run_demo

    contracts = project.contracts
    load_programs(contracts)
    console = Console(stderr=output == "json")
    stack = stack_of(project)
    was_up = all(stack.is_running(program.name) for program in stack.programs)
    # SIGTERM ends it like Ctrl-C: the blocks below stop what they have started
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)

    def tell(line: str) -> None:
        console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {line}", highlight=False, soft_wrap=True)

    takes_along = not keep and not was_up
    with contextlib.ExitStack() as at_the_end:
        if takes_along:
            at_the_end.enter_context(stack.guarded())  # even `kill -9` leaves nothing behind
            at_the_end.callback(_take_down, stack, tell)
        began = time.monotonic()
        start(project, tell)
        tell(f"the stack is up and applied after {time.monotonic() - began:.1f} s")
        folder = home_directory(project.root) / "demo" / time.strftime("%Y%m%d-%H%M%S")
        with _Meter(console) as meter:
            outcome = run_demo(contracts, folder, orders, rate=rate, tell=tell, watch=meter.show)
        if report is not None:
            report.write_text(json.dumps(outcome.as_json(), indent=2) + "\n", encoding="utf-8")
        if output == "json":
            echo_json(outcome.as_json())
        else:
            outcome.show(console)
    if keep or was_up:
        _look_around(console, contracts, credentials_directory(project.root))
    return 0 if outcome.holds else 1


def _take_down(stack: Stack, tell: Callable[[str], None]) -> None:
    tell("the stack goes down; its data stays for the next `lockgate up`")
    stack.down()


class _Meter:
    """Show what is open for each workload: a table that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self._told = 0.0

    def __enter__(self) -> _Meter:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, lags: Sequence[Lag]) -> None:
        """Take the latest lags."""
        if self._live is not None:
            self._live.update(_table(lags), refresh=True)
        elif time.monotonic() - self._told > _EVERY:
            self._told = time.monotonic()
            still = sum(lag.total for lag in lags)
            groups = ", ".join(f"{lag.workload} {lag.total:,}" for lag in lags if lag.total)
            line = f"  {still:,} records open: {groups}" if still else "  no record is open"
            self._console.print(line, highlight=False, soft_wrap=True)


def _table(lags: Sequence[Lag]) -> Table:
    table = Table(box=None, pad_edge=True)
    table.add_column("workload", no_wrap=True)
    for name in ("to be read", "waiting for a retry"):
        table.add_column(name, justify="right")
    for lag in lags:
        waiting = sum(lag.by_topic.values()) - lag.by_topic[lag.source]
        table.add_row(lag.workload, f"{lag.by_topic[lag.source]:,}", f"{waiting:,}")
    return table


def _look_around(console: Console, contracts: Contracts, credentials: Path) -> None:
    topic = contracts.domains[0].topic.name
    consumer = next(workload.name for workload in contracts.workloads.values() if workload.consumes)
    lines = [
        "",
        "The stack is up. Look around with Lockgate:",
        "  lockgate status",
        "  lockgate dlq list",
        "  lockgate plan",
        "and with Kafka's own console tools:",
        f"  scripts/kafka kafka-topics --command-config {credentials / 'admin.properties'} --list",
        f"  scripts/kafka kafka-consumer-groups --command-config {credentials / 'admin.properties'} "
        f"--describe --group {consumer}",
        f"  scripts/kafka kafka-console-consumer --command-config {credentials / 'admin.properties'} --topic {topic} "
        "--from-beginning --max-messages 3 --group admin",
        "End it with `lockgate down`, or `lockgate down --delete-data`.",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the interpreter's signature
    if sys.exc_info()[0] is not KeyboardInterrupt:
        raise KeyboardInterrupt
