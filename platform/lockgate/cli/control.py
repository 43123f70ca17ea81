"""`lockgate pause` and `lockgate resume`: whether a running workload takes records."""

from __future__ import annotations

import datetime

import attrs
import click
from confluent_kafka import KafkaException

from lockgate.cli.options import Project, as_option, echo_json, output_option, pass_project
from lockgate.connection import settings_for
from lockgate.contracts import names
from lockgate.control import ControlState, write_state
from lockgate.errors import UsageError
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.failures import cluster_error
from lockgate.provisioning.offsets import GroupOffsets

__all__ = ["pause", "resume"]

_SECONDS = 30.0


@click.command()
@click.argument("workload")
@click.option("--why", default="", help="Shown by `lockgate status` and in the logs of the workload.")
@output_option
@as_option("admin")
@pass_project
def pause(project: Project, workload: str, why: str, output: str, principal: str) -> None:
    """Let every process of a workload finish what it has in hand and take no more records, until it is resumed.

    It stays paused when processes are started anew. Waiting retries wait on.
    """
    _say(project, workload, principal, output, paused=True, why=why)


@click.command()
@click.argument("workload")
@output_option
@as_option("admin")
@pass_project
def resume(project: Project, workload: str, output: str, principal: str) -> None:
    """Let a workload that was paused take records again."""
    _say(project, workload, principal, output, paused=False, why="")


def _say(project: Project, workload: str, principal: str, output: str, *, paused: bool, why: str) -> None:
    found = project.contracts.workload(workload)
    source = project.contracts.source_of(found)
    if source is None:
        raise UsageError(f"{workload} consumes nothing, so there is nothing to pause")
    settings = settings_for(principal, project.root)
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    state = ControlState(paused, settings.username or principal, at, why)
    with Cluster(settings) as cluster:
        processes = GroupOffsets(cluster).members([workload])[workload]
    topic = names.control_topic(source.topic.name, workload)
    try:
        write_state(settings.client_config(), topic, workload, state, timeout=_SECONDS)
    except KafkaException as error:
        raise cluster_error(error.args[0], f"to write to {topic}", servers=settings.bootstrap_servers) from error
    if output == "json":
        echo_json({"workload": workload, "processes": processes} | attrs.asdict(state))
        return
    running = "1 process is" if processes == 1 else f"{processes} processes are"
    click.echo(f"{workload} is {'paused' if paused else 'resumed'}; {running} in its group")
