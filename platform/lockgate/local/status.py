"""How the stack is: every process, every port, every partition, every group."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import psutil
from confluent_kafka.admin import AdminClient

from lockgate.errors import LockgateError
from lockgate.local.compose import Program
from lockgate.local.diagnosis import last_words
from lockgate.local.lag import GroupStatus, group_statuses
from lockgate.local.readiness import is_admitted, registry_answers

if TYPE_CHECKING:
    from lockgate.local.stack import Stack

__all__ = ["GroupStatus", "ProcessStatus", "StackStatus", "examine"]

_ROOM = 256 << 20
_RUNNING_VERSION = {"kafka": re.compile(r"kafka_2\.13-([\d.]+)\.jar"), "registry": re.compile(r"registry-app-([\d.]+)")}


@attrs.frozen
class ProcessStatus:
    """Say how one broker or the registry is."""

    name: str
    kind: Literal["kafka", "registry"]
    version: str
    """What runs; what would run, where nothing does."""
    state: Literal["up", "not answering", "down"]
    ports: tuple[int, ...]
    closed_ports: tuple[int, ...]
    """Those of its ports on which nobody listens."""
    pid: int | None
    memory: int | None
    """Resident bytes."""
    seconds: float | None
    """Since its start."""
    detail: str
    """Why it is not up, or who else runs it; empty where there is nothing to say."""


@attrs.frozen
class StackStatus:
    """Say how the whole stack is."""

    processes: tuple[ProcessStatus, ...]
    groups: tuple[GroupStatus, ...]
    problems: tuple[str, ...]
    """Everything that is not well, a line each."""
    topics: int
    """Topics in the cluster, its internal ones included."""

    @property
    def is_well(self) -> bool:
        """Return whether nothing is wrong; a group that lags is no fault of the stack's."""
        return not self.problems

    @property
    def memory(self) -> int:
        """Return the resident bytes of all processes."""
        return sum(process.memory or 0 for process in self.processes)

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON shape of `lockgate status --output json`."""
        return {
            "well": self.is_well,
            "problems": list(self.problems),
            "processes": [attrs.asdict(process) for process in self.processes],
            "topics": self.topics,
            "groups": [attrs.asdict(group) for group in self.groups],
        }


def examine(stack: Stack) -> StackStatus:
    """Ask every process, and the cluster for its partitions and groups; start and change nothing."""
    with ThreadPoolExecutor(len(stack.programs)) as pool:
        processes = tuple(pool.map(lambda program: _process_status(stack, program), stack.programs))
    problems = [_problem(process) for process in processes if process.state != "up"]
    problems += [
        f"{process.name} does not listen on port {', '.join(map(str, process.closed_ports))}"
        for process in processes
        if process.state == "up" and process.closed_ports
    ]
    problems += _disk_problems(stack.home)
    groups: tuple[GroupStatus, ...] = ()
    topics = 0
    if any(process.kind == "kafka" and process.state == "up" for process in processes):
        config = stack.administrator() | {"log_level": 0}
        client = AdminClient(config)
        try:
            partitions, partition_problems = _partitions(client)
            topics = len({topic for topic, _ in partitions})
            problems += partition_problems
            groups = group_statuses(client, config, partitions)
        except LockgateError as error:
            problems.append(error.message)
    return StackStatus(processes=processes, groups=groups, problems=tuple(problems), topics=topics)


def _process_status(stack: Stack, program: Program) -> ProcessStatus:
    running = stack.find(program.name)
    closed = tuple(port for port in program.ports if not _listens(port))
    status = ProcessStatus(
        name=program.name,
        kind=program.kind,
        version=stack.cache.version(program.kind),
        state="down",
        ports=program.ports,
        closed_ports=closed,
        pid=None,
        memory=None,
        seconds=None,
        detail="",
    )
    if running is None:
        if not closed and _is_ours(stack, program):
            return attrs.evolve(status, state="up", detail="not started by `lockgate up`: Docker runs it, perhaps")
        return attrs.evolve(status, detail=_why_down(stack, program, closed))
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(running.pid)
        found = _RUNNING_VERSION[program.kind].search(" ".join(process.cmdline()))
        status = attrs.evolve(
            status,
            pid=running.pid,
            memory=process.memory_info().rss,
            seconds=round(time.time() - running.started, 1),
            version=found.group(1) if found else status.version,
        )
    try:
        answers = _answers(stack, program)
        detail = "" if answers else "its process runs, but it does not answer"
    except LockgateError as error:
        answers, detail = False, error.message
    return attrs.evolve(status, state="up" if answers else "not answering", detail=detail)


def _is_ours(stack: Stack, program: Program) -> bool:
    if not stack.identities.ca_file.exists():
        return False
    try:
        return _answers(stack, program)
    except LockgateError:
        return False


def _answers(stack: Stack, program: Program) -> bool:
    if program.kind == "kafka":
        return is_admitted(stack.administrator(program.advertised("CLIENT")), 3.0)
    password = stack.identities.password("registry-reader")
    return registry_answers(stack.registry_url, stack.identities.ca_file, "registry-reader", password)


def _why_down(stack: Stack, program: Program, closed: Sequence[int]) -> str:
    held = [port for port in program.ports if port not in closed]
    if held:
        return f"not started here, but something listens on port {', '.join(map(str, held))}"
    if not stack.was_started(program.name):
        return "not started"
    words = last_words(stack.log(program.name))
    return f"died; its log ends: {words}" if words else "died"


def _problem(process: ProcessStatus) -> str:
    return f"{process.name} is {process.state}: {process.detail}"


def _disk_problems(home: Path) -> list[str]:
    if not home.exists():
        return []
    free = shutil.disk_usage(home).free
    return [f"the disk is nearly full: {home} has {free >> 20} MB left"] if free < _ROOM else []


def _partitions(client: AdminClient) -> tuple[set[tuple[str, int]], list[str]]:
    from confluent_kafka import KafkaException  # beside its use: the library's errors stop here

    from lockgate.errors import ClusterUnavailable

    try:
        metadata = client.list_topics(timeout=10)
    except KafkaException as error:
        raise ClusterUnavailable(f"the cluster does not answer: {error.args[0].str()}") from error
    leaderless: dict[str, int] = {}
    lagging: dict[str, int] = {}
    for name, topic in metadata.topics.items():
        for partition in topic.partitions.values():
            if partition.leader < 0:
                leaderless[name] = leaderless.get(name, 0) + 1
            elif len(partition.isrs) < len(partition.replicas):
                lagging[name] = lagging.get(name, 0) + 1
    problems = []
    if leaderless:
        problems.append(f"{_count(leaderless)} without a leader: {_some(leaderless)}")
    if lagging:
        problems.append(f"{_count(lagging)} with replicas that lag behind: {_some(lagging)}")
    return {(name, number) for name, topic in metadata.topics.items() for number in topic.partitions}, problems


def _count(partitions: Mapping[str, int]) -> str:
    total = sum(partitions.values())
    return "1 partition" if total == 1 else f"{total} partitions"


def _some(names: Mapping[str, int], most: int = 3) -> str:
    first = ", ".join(sorted(names)[:most])
    return first if len(names) <= most else f"{first} and {len(names) - most} more topics"


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
