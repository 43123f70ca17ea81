"""`lockgate run SERVICE`: one child process a workload, each with its own credentials, stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

import structlog

from lockgate.contracts.model import Contracts, Service, Workload
from lockgate.errors import UsageError

__all__ = ["run_service"]

_POLL = 0.1
_IDENTITY = ("LOCKGATE_USERNAME", "LOCKGATE_PASSWORD", "LOCKGATE_PASSWORD_FILE")


def run_service(contracts: Contracts, service: Service, *, grace: float) -> int:
    """Run every consuming workload of a service until a signal; return the exit code: 0, or 2 where a child failed.

    The first SIGINT or SIGTERM lets the children finish what they have in hand, the second one ends them. One that
    ends by itself takes the others along: half a service is an outage that nobody notices.
    """
    workloads = [workload for workload in service.workloads if workload.consumes]
    if not workloads:
        raise UsageError(
            f"{service.name} consumes nothing: it is a plain program, not one that Lockgate runs",
            next_step=f"run it as such, for example `python -m services.{service.folder}`",
        )
    if len(workloads) > 1 and any(name in os.environ for name in _IDENTITY):
        raise UsageError(
            f"the LOCKGATE_… variables hold one identity, but {service.name} has {len(workloads)} workloads",
            next_step="run each with `lockgate run --workload NAME` and its own credentials",
        )
    return _Family(contracts, workloads, grace).run()


class _Family:
    def __init__(self, contracts: Contracts, workloads: Sequence[Workload], grace: float) -> None:
        self._contracts = contracts
        self._workloads = workloads
        self._grace = grace
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._signals = 0
        self._log = structlog.get_logger().bind(logger="supervisor")

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)
        failed = False
        try:
            for workload in self._workloads:
                self._children[workload.name] = self._start(workload)
            while not self._signals and not failed:
                time.sleep(_POLL)
                for name, child in self._children.items():
                    code = child.poll()
                    if code is not None and not self._signals:
                        self._log.error("A workload ended; the others are stopped", workload=name, exit_code=code)
                        failed = True
        finally:
            unclean = self._end()
        return 2 if failed or unclean else 0

    def _start(self, workload: Workload) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "lockgate", "-C", str(self._contracts.root), "run", "--workload"]
        # a session of its own: the terminal's Ctrl-C reaches this process alone, which passes it on once
        return subprocess.Popen(
            [*command, "--parent", str(os.getpid()), workload.name], start_new_session=True, stdin=subprocess.DEVNULL
        )

    def _end(self) -> bool:
        """Stop all children; return whether one of them had to be killed or failed."""
        for child in self._children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        seen = self._signals
        deadline = time.monotonic() + self._grace + 2  # they keep the grace period themselves
        while any(child.poll() is None for child in self._children.values()):
            if time.monotonic() > deadline or self._signals > max(seen, 1):
                for child in self._children.values():
                    if child.poll() is None:
                        child.kill()
            time.sleep(_POLL / 2)
        return any(child.returncode != 0 for child in self._children.values())

    def _signalled(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the interpreter's signature
        self._signals += 1
