"""What every subject is told on its standard input, and what it answers on its standard output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Job:
    """Hold one measurement: who reads or writes which topic how often, and how to reach the cluster."""

    def __init__(self) -> None:
        told = self.told = json.load(sys.stdin)
        self.subject: str = told["subject"]
        self.workload: str = told["workload"]
        self.topic: str = told["topic"]
        self.event_type: str = told["event_type"]
        self.events: int = told["events"]
        self.readable: int = told["readable"]
        """Of the events, those that a handler gets."""
        self.schema: dict[str, Any] = told["schema"]
        self.schema_id: int = told["schema_id"]
        self.bootstrap: str = told["bootstrap"]
        self.password: str = told["password"]
        self.ca: str = told["ca"]
        self.registry: dict[str, str] = told["registry"]
        self.root: str = told["root"]
        self._began = self._ended = self._used = 0.0
        self.seen = 0

    def client(self) -> dict[str, Any]:
        """Return librdkafka's properties for this principal."""
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": self.workload,
            "sasl.password": self.password,
            "ssl.ca.location": self.ca,
        }

    def consumer(self) -> dict[str, Any]:
        """Return the properties of a consumer that reads its group's topic from the beginning."""
        return self.client() | {
            "group.id": self.workload,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 10,
            "isolation.level": "read_committed",
        }

    def assume(self) -> None:
        """Be this principal as Lockgate sees it: settings in the environment, its contracts' classes at hand."""
        user, _, password = self.registry["basic.auth.user.info"].partition(":")
        os.environ |= {
            "LOCKGATE_BOOTSTRAP_SERVERS": self.bootstrap,
            "LOCKGATE_USERNAME": self.workload,
            "LOCKGATE_PASSWORD": self.password,
            "LOCKGATE_CA_FILE": self.ca,
            "LOCKGATE_REGISTRY_URL": self.registry["url"],
            "LOCKGATE_REGISTRY_USERNAME": user,
            "LOCKGATE_REGISTRY_PASSWORD": password,
        }
        sys.path.insert(0, self.root)

    def begin(self) -> None:
        """Start the clock: the first records are at hand."""
        if not self._began:
            self._began, self._used = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """Stop the clock."""
        self._ended, self._used = time.perf_counter(), time.process_time() - self._used

    def end(self, **figures: float) -> None:
        """Stop the clock, unless that was done before, and answer; with what else was found."""
        if not self._ended:
            self.stop()
        seconds = self._ended - self._began
        self.answer(rate=self.seen / seconds, seconds=seconds, cpu_us=self._used / self.seen * 1e6, **figures)

    def answer(self, **figures: float) -> None:
        """Say what was found: `rate` is in events a second, `cpu_us` the process's processor time for one, in µs."""
        print(json.dumps({"figures": figures}), flush=True)

    @contextmanager
    def ticking(self, **environ: str) -> Iterator[None]:
        """Have a process beside this one that sends events to the topic, a hundred a second, as who may write it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCKGATE_")}
        program = [sys.executable, str(Path(__file__).with_name("ticker.py"))]
        ticker = subprocess.Popen(program, stdin=subprocess.PIPE, text=True, env=kept | environ)
        assert ticker.stdin is not None
        with ticker.stdin as told:
            json.dump(self.told | self.told["source"], told)
        try:
            yield
        finally:
            ticker.kill()
            ticker.wait()
