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

__all__ = ["Services"]

_GRACE = 35.0


class Services:
    """Run every service of a project that consumes, as `lockgate run SERVICE`, until the block is left."""

    def __init__(self, contracts: Contracts, environ: Mapping[str, str], logs: Path, journal: Path) -> None:
        self._contracts = contracts
        self._environ = dict(environ) | {"LOCKGATE_JOURNAL": str(journal), "LOCKGATE_LOG_FORMAT": "text"}
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._loads: list[subprocess.Popen[bytes]] = []

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

    def load(self, folder: str, arguments: Sequence[str], *, timeout: float = 600) -> None:
        """Run a world's load program, `services/<folder>/demo.py`, to its end.

        Raise LockgateError with what it said where it fails, and where `stop` ends it.
        """
        program = f"services/{folder}/demo.py"
        log = self._logs / f"{folder}-demo.log"
        command = [sys.executable, "-m", "lockgate.demo.leash", str(os.getpid()), f"services.{folder}.demo"]
        with log.open("wb") as sink:
            child = subprocess.Popen(
                [*command, *arguments],
                cwd=self._contracts.root,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self._loads.append(child)
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise LockgateError(f"{program} did not finish within {timeout:.0f} s", next_step=f"read {log}") from None
        finally:
            self._loads.remove(child)
        if code != 0:
            said = log.read_text(encoding="utf-8", errors="replace").strip() or "it said nothing"
            raise LockgateError(f"{program} failed with exit code {code}: {said}")

    def stop(self) -> dict[str, int]:
        """Stop all of them in an orderly way, the stubborn ones at last; return the services' exit codes.

        A load that is still under way ends as well.
        """
        for load in list(self._loads):
            load.terminate()
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
