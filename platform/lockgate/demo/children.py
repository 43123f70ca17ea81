"""Programs that the demo starts: services and load, each a process of its own, none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from lockgate.contracts.model import Contracts
from lockgate.errors import LockgateError

__all__ = ["Services", "run_load"]

_GRACE = 35.0


class Services:
    """Run every service of a project that consumes, as `lockgate run SERVICE`, until the block is left."""

    def __init__(self, contracts: Contracts, environ: Mapping[str, str], logs: Path, journal: Path) -> None:
        self._contracts = contracts
        self._environ = dict(environ) | {"LOCKGATE_JOURNAL": str(journal), "LOCKGATE_LOG_FORMAT": "text"}
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            for service in self._contracts.services:
                if any(workload.consumes for workload in service.workloads):
                    self.start(service.name)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, name: str, *, workload: bool = False, label: str | None = None) -> subprocess.Popen[bytes]:
        """Start a service, or with `workload` a further process of one workload, under a label of its own."""
        label = label or name
        command = [sys.executable, "-m", "lockgate", "-C", str(self._contracts.root), "run"]
        # the parent's number lets it stop by itself when the demo is killed
        command += ["--parent", str(os.getpid()), *(["--workload"] if workload else []), name]
        with (self._logs / f"{label}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=self._contracts.root,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children[label] = child
        return child

    def check(self) -> None:
        """Raise LockgateError where one has ended by itself, with the last line it wrote."""
        for name, child in self._children.items():
            if child.poll() is not None:
                log = self._logs / f"{name}.log"
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
                raise LockgateError(
                    f"{name} ended by itself with exit code {child.returncode}: {lines[-1]}",
                    next_step=f"read {log}",
                )

    def pid(self, label: str) -> int:
        """Return a process's id."""
        return self._children[label].pid

    def forget(self, label: str) -> int:
        """Let go of a process that was ended on purpose; return its exit code."""
        return self._children.pop(label).wait()

    def stop(self) -> dict[str, int]:
        """Stop all of them in an orderly way, the stubborn ones at last; return their exit codes."""
        for child in self._children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        codes = {}
        for name, child in self._children.items():
            try:
                codes[name] = child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                codes[name] = child.wait()
        self._children.clear()
        return codes


def run_load(
    root: Path, folder: str, arguments: Sequence[str], environ: Mapping[str, str], timeout: float = 600
) -> None:
    """Run a world's load program, `services/<folder>/demo.py`; raise LockgateError with what it said where it fails."""
    command = [sys.executable, "-m", f"services.{folder}.demo", *arguments]
    try:
        done = subprocess.run(
            command, cwd=root, env=dict(environ), capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise LockgateError(f"services/{folder}/demo.py did not finish within {timeout:.0f} s") from None
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or "nothing"
        raise LockgateError(f"services/{folder}/demo.py failed with exit code {done.returncode}: {said}")
