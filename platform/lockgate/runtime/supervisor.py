"""`lockgate run SERVICE`: one child process a workload, each with its own credentials, stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from lockgate.connection import LAST_PORT, credentials_directory, metrics_port_of, read_env_file
from lockgate.contracts.model import Contracts, Service, Workload
from lockgate.errors import SettingsError, UsageError
from lockgate.runtime.logs import logger_for
from lockgate.runtime.signals import Echo

__all__ = ["run_service"]

_POLL = 0.1
_INTERRUPTED = 130
_IDENTITY = ("LOCKGATE_USERNAME", "LOCKGATE_PASSWORD", "LOCKGATE_PASSWORD_FILE")


def run_service(
    contracts: Contracts,
    service: Service,
    *,
    grace: float,
    parent: int | None = None,
    metrics_port: int | None = None,
) -> int:
    """Run every consuming workload of a service until a signal; return the exit code.

    It is 0 after an orderly stop, 2 where a child failed, 130 after a second signal. The first SIGINT or SIGTERM lets
    the children finish what they have in hand, the second one ends them. One that ends by itself takes the others
    along: half a service is an outage that nobody notices. Children notice the loss of this process themselves; the
    loss of `parent`, where one is named, counts as a signal here. `metrics_port`, or else the one in the settings, is
    the first child's; the others have those that follow.
    """
    workloads = [workload for workload in service.workloads if workload.consumes]
    if not workloads:
        raise UsageError(
            f"{service.name} consumes nothing: it is a plain program, not one that Lockgate runs",
            next_step=f"run it as such, for example `python -m services.{service.folder}`",
        )
    if len(workloads) > 1 and any(name in os.environ for name in _IDENTITY):
        raise SettingsError(
            f"the LOCKGATE_… variables hold one identity, but {service.name} has {len(workloads)} workloads",
            next_step="run each with `lockgate run --workload NAME` and its own credentials",
        )
    # all of them before the first child is started: a mistake leaves nothing half running
    environments = {workload.name: _environment(contracts, workload, os.environ) for workload in workloads}
    first = metrics_port_of(os.environ) if metrics_port is None else metrics_port
    for workload, port in zip(workloads, _ports(first, len(workloads)), strict=False):
        environments[workload.name] |= {"LOCKGATE_METRICS_PORT": str(port)}
    return _Family(contracts, workloads, environments, grace, parent).run()


def _ports(first: int | None, count: int) -> Sequence[int]:
    """Return a port for each child, in their order; 0, which stands for any that is free, is the same for all."""
    if first is None:
        return ()
    if not first:
        return [0] * count
    if first + count - 1 > LAST_PORT:
        raise SettingsError(f"LOCKGATE_METRICS_PORT is {first}: there are no {count} ports from there on")
    return range(first, first + count)


def _environment(contracts: Contracts, workload: Workload, environ: Mapping[str, str]) -> dict[str, str]:
    """Return a child's environment: this one's, and of all credentials its own only."""
    if "LOCKGATE_BOOTSTRAP_SERVERS" in environ:
        return dict(environ)
    file = credentials_directory(contracts.root, environ) / f"{workload.name}.env"
    if not file.is_file():
        raise SettingsError(
            f"no settings for {workload.name}: LOCKGATE_BOOTSTRAP_SERVERS is not set, and there is no {file}",
            next_step="run `lockgate up` for a local stack, or set the LOCKGATE_… variables",
        )
    return read_env_file(file) | dict(environ)


class _Family:
    """Start, watch and stop the children."""

    def __init__(
        self,
        contracts: Contracts,
        workloads: Sequence[Workload],
        environments: Mapping[str, Mapping[str, str]],
        grace: float,
        parent: int | None,
    ) -> None:
        self._contracts = contracts
        self._workloads = workloads
        self._environments = environments
        self._grace = grace
        self._parent = parent
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._signals = 0
        self._echo = Echo()
        self._log = logger_for(workloads[0].service)

    def run(self) -> int:
        """Run until a signal, or until a child ends; leave none behind."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)
        failed = False
        try:
            for workload in self._workloads:
                if not self._signals:
                    self._children[workload.name] = self._start(workload)
            while not self._signals and not failed:
                time.sleep(_POLL)
                if self._parent is not None and os.getppid() != self._parent:
                    self._signals += 1
                for name, child in self._children.items():
                    code = child.poll()
                    if code is not None and not self._signals:
                        self._log.error("A workload ended; the others are stopped", workload=name, exit_code=code)
                        failed = True
        finally:
            unclean = self._end()
        if self._signals > 1:
            return _INTERRUPTED
        return 2 if failed or unclean else 0

    def _start(self, workload: Workload) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "lockgate", "-C", str(self._contracts.root), "run", "--workload"]
        # a session of its own: the terminal's Ctrl-C reaches this process alone, which passes it on once
        return subprocess.Popen(
            [*command, "--parent", str(os.getpid()), workload.name],
            env=self._environments[workload.name],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )

    def _end(self) -> bool:
        """Stop all children; return whether one of them failed or had to be killed."""
        for child in self._children.values():
            child.terminate()  # nothing happens where it has ended
        deadline = time.monotonic() + self._grace + 2  # they keep to the grace period themselves
        while any(child.poll() is None for child in self._children.values()):
            if time.monotonic() > deadline or self._signals > 1:
                for child in self._children.values():
                    child.kill()
            time.sleep(_POLL / 2)
        # one that was still starting has no handler for SIGTERM yet, and nothing in hand either
        return any(child.returncode not in (0, -signal.SIGTERM) for child in self._children.values())

    def _signalled(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the interpreter's signature
        self._signals += not self._echo.heard(number)
