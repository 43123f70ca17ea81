"""What every subject is told on its standard input, and what it answers on its standard output."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


class Job:
    """Hold one measurement: who reads or writes which topic how often, and how to reach the cluster."""

    def __init__(self) -> None:
        told = json.load(sys.stdin)
        self.subject: str = told["subject"]
        self.workload: str = told["workload"]
        self.topic: str = told["topic"]
        self.events: int = told["events"]
        self.schema: dict[str, Any] = told["schema"]
        self.schema_id: int = told["schema_id"]
        self.bootstrap: str = told["bootstrap"]
        self.password: str = told["password"]
        self.ca: str = told["ca"]
        self.registry: dict[str, str] = told["registry"]
        self.root: str = told["root"]
        self._began = 0.0
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

    def begin(self) -> None:
        """Start the clock: the first records are at hand."""
        if not self._began:
            self._began = time.perf_counter()

    def end(self) -> None:
        """Stop the clock and answer."""
        seconds = time.perf_counter() - self._began
        print(json.dumps({"events": self.seen, "seconds": seconds}), flush=True)
