"""The compose file of a new world: the cluster as Lockgate's own repository runs it, and a container a workload.

`files/cluster.yaml` is that repository's docker-compose.yaml up to its workloads, byte for byte: a test says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from lockgate.contracts.model import Workload

__all__ = ["compose_text"]

_NAME = "name: lockgate\n"
_IMAGE = "lockgate-services:local"


def compose_text(name: str, workloads: Iterable[Workload]) -> str:
    """Return the compose file of a world called `name`; workloads that only publish are programs, and run elsewhere."""
    cluster = files("lockgate.starter").joinpath("files/cluster.yaml").read_text(encoding="utf-8")
    cluster = cluster.replace(_NAME, f"name: {name}\n").replace(_IMAGE, f"{name}-services:local")
    return cluster + "\n".join(_service(workload) for workload in workloads if workload.consumes)


def _service(workload: Workload) -> str:
    return (
        f"  {workload.name}:\n"
        "    <<: *workload\n"
        f"    command: [lockgate, run, --workload, {workload.name}]\n"
        f'    volumes: ["./.lockgate/containers/{workload.name}:/lockgate:ro"]\n'
    )
