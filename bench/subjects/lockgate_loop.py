"""Lockgate: `run_workload` as `lockgate run` calls it, with a handler that takes a dict or a generated class."""

from __future__ import annotations

from typing import Any

from job import Job

job = Job()
job.assume()

from lockgate_run import run  # noqa: E402  # settings come first

from lockgate import Service  # noqa: E402
from lockgate.runtime.signals import Stop  # noqa: E402
from schemas import market  # noqa: E402

service, stop = Service("bench-ours"), Stop()


@service.handler("bench-dict", event_type="market.OrderPlaced")
def take(event: dict[str, Any]) -> None:
    job.seen += 1
    if job.seen == 1:
        job.begin()
    elif job.seen == job.events:
        job.stop()
        stop.request()


@service.handler("bench-typed")
def take_typed(event: market.OrderPlaced) -> None:
    job.seen += 1
    if job.seen == 1:
        job.begin()
    elif job.seen == job.events:
        job.stop()
        stop.request()


run(job, service, stop)
job.end()
