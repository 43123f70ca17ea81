"""Run a workload as `lockgate run` does, with the handlers of a subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from job import Job

from lockgate import Service
from lockgate.contracts.load import load
from lockgate.runtime.logs import configure
from lockgate.runtime.signals import Stop
from lockgate.runtime.worker import run_workload


def run(job: Job, service: Service, stop: Stop) -> None:
    """Consume until the stop; when this returns, everything is on the brokers and committed."""
    configure()
    contracts = load(Path(job.root))
    own = {registration.workload for registration in service.registrations}
    for other in contracts.service("bench-ours").workloads:  # a service has to have all of its handlers
        for event_type in other.consumes if other.name not in own else ():
            service.handler(other.name, event_type=event_type)(_nobody)
    run_workload(contracts, contracts.workload(job.workload), stop, service=service)


def _nobody(event: Any) -> None:
    raise AssertionError("another workload runs")
