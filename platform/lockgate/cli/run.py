"""`lockgate run`: a workload, or all workloads of a service."""

from __future__ import annotations

import os

import click

from lockgate.cli.options import Project, pass_project
from lockgate.errors import SettingsError, UsageError
from lockgate.runtime.logs import configure
from lockgate.runtime.signals import Stop
from lockgate.runtime.supervisor import run_service
from lockgate.runtime.worker import run_workload, stop_with_parent

__all__ = ["run"]


@click.command()
@click.argument("name")
@click.option("--workload", "only", is_flag=True, help="NAME is a workload, although a service is called so too.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Serve metrics there, for a service from there on: one port a workload. 0: any that is free.",
)
@click.option("--parent", type=int, hidden=True, help="Stop when this process is no longer the parent.")
@pass_project
def run(project: Project, name: str, only: bool, metrics_port: int | None, parent: int | None) -> int:
    """Run NAME until Ctrl-C: a service (a process for each workload), or one workload (this process)."""
    configure()
    contracts = project.contracts
    grace = _grace()
    services = {service.name: service for service in contracts.services}
    if not only and name in services:
        return run_service(contracts, services[name], grace=grace, parent=parent, metrics_port=metrics_port)
    if name not in contracts.workloads:
        raise UsageError(
            f"neither a service nor a workload is called {name!r}",
            next_step=f"known: {', '.join(sorted(services | dict(contracts.workloads)))}",
        )
    stop = Stop(grace)
    stop.install()
    if parent is not None:
        stop_with_parent(stop, parent)
    run_workload(contracts, contracts.workload(name), stop, metrics_port=metrics_port)
    return 0


def _grace() -> float:
    text = os.environ.get("LOCKGATE_GRACE_SECONDS", "30")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise SettingsError(f"LOCKGATE_GRACE_SECONDS is {text!r}; it takes a number of seconds")
    return seconds
