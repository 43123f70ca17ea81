"""Lockgate: `run_workload` as `lockgate run` calls it, with a handler that takes a dict or a generated class."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from job import Job

job = Job()
os.environ |= {
    "LOCKGATE_BOOTSTRAP_SERVERS": job.bootstrap,
    "LOCKGATE_USERNAME": job.workload,
    "LOCKGATE_PASSWORD": job.password,
    "LOCKGATE_CA_FILE": job.ca,
    "LOCKGATE_REGISTRY_URL": job.registry["url"],
    "LOCKGATE_REGISTRY_USERNAME": job.registry["basic.auth.user.info"].partition(":")[0],
    "LOCKGATE_REGISTRY_PASSWORD": job.registry["basic.auth.user.info"].partition(":")[2],
    "LOCKGATE_LOG_LEVEL": "error",
}
sys.path.insert(0, job.root)

from lockgate import Service  # noqa: E402
from lockgate.contracts.load import load  # noqa: E402
from lockgate.runtime.logs import configure  # noqa: E402
from lockgate.runtime.signals import Stop  # noqa: E402
from lockgate.runtime.worker import run_workload  # noqa: E402
from schemas import market  # noqa: E402

configure()
service, stop = Service("bench-ours"), Stop()


@service.handler("bench-dict", event_type="market.OrderPlaced")
def take(event: dict[str, Any]) -> None:
    job.seen += 1
    if job.seen == 1:
        job.begin()
    elif job.seen == job.events:
        job.end()
        stop.request()


@service.handler("bench-typed")
def take_typed(event: market.OrderPlaced) -> None:
    job.seen += 1
    if job.seen == 1:
        job.begin()
    elif job.seen == job.events:
        job.end()
        stop.request()


contracts = load(Path(job.root))
run_workload(contracts, contracts.workload(job.workload), stop, service=service)
