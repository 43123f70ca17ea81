"""The local stack as a whole: up, down, status, and single nodes killed and started for tests."""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from lockgate.errors import StackError, UsageError
from lockgate.local import programs as starting
from lockgate.local.archives import Archives
from lockgate.local.cache import Cache, Fetched, cache_directory, silent
from lockgate.local.compose import Program, embed, read
from lockgate.local.credentials import write_credentials
from lockgate.local.diagnosis import explain, refuse_taken_ports
from lockgate.local.guard import Guard, guarded
from lockgate.local.identities import Identities
from lockgate.local.processes import Processes, Running, end, leftovers
from lockgate.local.readiness import (
    administrator,
    admit_administrator,
    mutual_tls,
    registry_answers,
    registry_url,
    wait_for_brokers,
    wait_until,
)
from lockgate.local.status import StackStatus, examine

__all__ = ["Stack"]

Progress = Callable[[str], None]

_PLATFORMS = ("linux", "darwin")
_START_SECONDS = 120.0
_GRACE_SECONDS = 30.0
_ROOM = 512 << 20
"""Bytes that the state folder's disk must have free: three brokers' first segments and the registry's database."""


class Stack:
    """Run the brokers and the registry of a project's compose file on this machine.

    `root` is the project, `home` the state folder. Processes outlive this object; another one finds them again.
    """

    def __init__(self, root: Path, home: Path, cache: Cache | None = None) -> None:
        self.root, self.home = root.absolute(), home.absolute()
        self.cache = Cache(cache_directory()) if cache is None else cache
        self.described = read(self.root)
        self.programs = tuple(embed(program, self.described, self.root, self.home) for program in self.described)
        self.identities = Identities(self.home)
        self._processes = Processes(self.home / "run")

    # What clients need to know

    @property
    def brokers(self) -> tuple[Program, ...]:
        """Return the brokers, in the compose file's order."""
        return tuple(program for program in self.programs if program.kind == "kafka")

    @property
    def registry(self) -> Program:
        """Return the registry."""
        return next(program for program in self.programs if program.kind == "registry")

    @property
    def bootstrap_servers(self) -> str:
        """Return the brokers' addresses for clients on this machine."""
        return ",".join(broker.advertised("CLIENT") for broker in self.brokers)

    @property
    def registry_url(self) -> str:
        """Return the base of the registry's Confluent-compatible API."""
        return registry_url(self.registry, "localhost")

    @property
    def credentials(self) -> Path:
        """Return the folder of `<principal>.env` and `<principal>.properties`."""
        return self.home / "credentials"

    def log(self, name: str) -> Path:
        """Return a node's log file."""
        return self.home / "logs" / f"{name}.log"

    # Up and down

    def up(self, progress: Progress, fetched: Fetched = silent) -> None:
        """Start what does not run, and wait until brokers and registry answer; do nothing where all is well.

        `progress` gets a line for each step, `fetched` the bytes while programs are downloaded. Raise StackError with
        the next step where a port is taken, a disk is full, a download fails or a program dies.
        """
        self._refuse_platform()
        starting.java()
        with self._lock(progress):
            self._refuse_full_disk()
            self.cache.fill(progress, fetched)
            Archives(self.cache).prepare(self.described, self.root, progress)
            nodes = [(broker.name, broker.environment["KAFKA_NODE_ID"]) for broker in self.brokers]
            if self.identities.prepare(nodes, self.registry.name):
                progress("made certificates and passwords")
            self._end_leftovers(progress)
            self._start(
                [program for program in self.programs if not self._runs_as_described(program, progress)], progress
            )
            self._wait(self.programs, progress)
            write_credentials(self.credentials, self.identities, self.bootstrap_servers, self.registry_url)

    def down(self, delete_data: bool = False, progress: Progress = silent) -> None:
        """Stop every process; with `delete_data`, remove records, identities and credentials as well."""
        with self._lock(progress):
            names = [program.name for program in self.programs]
            names += [name for name in self._processes.names() if name not in names]
            # Brokers together: one that is left alone cannot hand its leadership over, and waits for it.
            for name in self._processes.stop(names, _GRACE_SECONDS):
                progress(f"{name} did not stop within {_GRACE_SECONDS:.0f} s and was ended")
            self._end_leftovers(progress)
            if delete_data:
                for folder in ("data", "config", "logs", "certificates", "secrets", "registry", "credentials"):
                    shutil.rmtree(self.home / folder, ignore_errors=True)
                progress(f"deleted the data and identities in {self.home}")

    def guarded(self) -> AbstractContextManager[Guard]:
        """Have everything of this stack ended should this process vanish before the block is over."""
        return guarded(self.home)

    def status(self) -> StackStatus:
        """Return how every process, every port and every group is; start nothing."""
        return examine(self)

    # Single nodes

    def kill(self, name: str) -> None:
        """End one node at once (`kill -9`), as a crash would."""
        self._program(name)
        self._processes.kill(name)

    def stop(self, name: str) -> None:
        """Stop one node in good order."""
        self._program(name)
        self._processes.stop([name], _GRACE_SECONDS)

    def start(self, name: str, progress: Progress = silent) -> None:
        """Start one node again and wait until it is one of the cluster's."""
        program = self._program(name)
        with self._lock(progress):
            if self._processes.find(name) is None:
                self._start([program], progress)
            self._wait([program], progress)

    def find(self, name: str) -> Running | None:
        """Return a node's process, if it lives."""
        return self._processes.find(self._program(name).name)

    def was_started(self, name: str) -> bool:
        """Return whether a node was started and nobody has stopped it since; it may have died."""
        return self._processes.was_started(self._program(name).name)

    def is_running(self, name: str) -> bool:
        """Return whether a node's process lives."""
        return self._processes.find(self._program(name).name) is not None

    def administrator(self, bootstrap: str | None = None) -> dict[str, Any]:
        """Return the librdkafka properties of the SCRAM user `admin`."""
        return administrator(bootstrap or self.bootstrap_servers, self.identities)

    def mutual_tls(self, bootstrap: str | None = None) -> dict[str, Any]:
        """Return the librdkafka properties of the administrator who shows a certificate to the inner listener."""
        servers = bootstrap or ",".join(broker.advertised("INTERNAL") for broker in self.brokers)
        return mutual_tls(servers, self.identities.ca_file, *self.identities.client_files())

    # Steps

    def _start(self, programs: Sequence[Program], progress: Progress) -> None:
        if not programs:
            return
        refuse_taken_ports(programs, self.home)
        progress(f"starting {', '.join(program.name for program in programs)}")

        archives = Archives(self.cache)

        def launch(program: Program) -> None:
            if program.kind == "kafka":
                Path(program.environment["KAFKA_LOG_DIRS"]).mkdir(parents=True, exist_ok=True, mode=0o700)
                starting.set_up(program, self.cache, self.home, archives.flags("set-up"))
            else:
                (self.home / "data" / program.name).mkdir(parents=True, exist_ok=True, mode=0o700)
            command = starting.command(program, self.cache, self.home, archives.flags(program.kind))
            log = self.log(program.name)
            if log.exists():
                log.replace(log.with_suffix(".log.1"))
            digest = starting.digest(program, self.cache)
            self._processes.start(program.name, command, starting.environment(program), log, digest)

        with ThreadPoolExecutor(len(programs)) as pool:
            for job in [pool.submit(launch, program) for program in programs]:
                job.result()

    def _wait(self, programs: Sequence[Program], progress: Progress) -> None:
        def check() -> None:
            for program in programs:
                if self._processes.find(program.name) is None:
                    raise explain(program, self.log(program.name), self.cache)

        brokers = [program for program in programs if program.kind == "kafka"]
        if brokers:
            client = AdminClient(self.mutual_tls())
            # Counting ids, not answers: the one that is awaited may be the last to join.
            wanted = {int(broker.environment["KAFKA_NODE_ID"]) for broker in brokers}
            wait_for_brokers(client, wanted, _START_SECONDS, check)
            progress(f"{', '.join(broker.name for broker in brokers)} answer")
            configs = [self.administrator(broker.advertised("CLIENT")) for broker in brokers]
            admit_administrator(client, configs, self.identities, check)
        if self.registry in programs:
            reader = "registry-reader"
            ask = (self.registry_url, self.identities.ca_file, reader, self.identities.password(reader))
            wait_until(lambda: registry_answers(*ask), _START_SECONDS, self.registry.name, check)
            progress(f"{self.registry.name} answers")

    def _runs_as_described(self, program: Program, progress: Progress) -> bool:
        running = self._processes.find(program.name)
        if running is None:
            if self._processes.was_started(program.name):
                progress(f"{program.name} had died; starting it again")
            return False
        if running.digest == starting.digest(program, self.cache):
            return True
        progress(f"{program.name} runs with an older description; starting it again")
        self._processes.stop([program.name], _GRACE_SECONDS)
        return False

    def _end_leftovers(self, progress: Progress) -> None:
        known = {running.pid for name in self._processes.names() if (running := self._processes.find(name))}
        for pid, started in list(leftovers(starting.mark(self.home), known)):
            progress(f"process {pid} was left behind by a crash; ended it")
            end(pid, started)

    def _program(self, name: str) -> Program:
        for program in self.programs:
            if program.name == name:
                return program
        names = ", ".join(program.name for program in self.programs)
        raise UsageError(f"there is no node {name!r}; the compose file describes {names}")

    def _refuse_platform(self) -> None:
        if not sys.platform.startswith(_PLATFORMS):
            raise StackError(
                f"the local stack runs on Linux and macOS, not on {sys.platform}",
                next_step="use `docker compose up`, or WSL on Windows",
            )

    def _refuse_full_disk(self) -> None:
        free = shutil.disk_usage(self.home).free
        if free < _ROOM:
            raise StackError(
                f"the disk is full: {self.home} has {free >> 20} MB left, and the stack needs {_ROOM >> 20} MB",
                next_step="free some room, or move the state with LOCKGATE_HOME",
            )

    @contextmanager
    def _lock(self, progress: Progress) -> Iterator[None]:
        try:
            (self.home / "run").mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = (self.home / "run" / "lock").open("w")
        except OSError as error:
            raise StackError(
                f"{self.home}: cannot be written: {error.strerror}", next_step="move the state with LOCKGATE_HOME"
            ) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress("waiting: another lockgate works on this stack")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
