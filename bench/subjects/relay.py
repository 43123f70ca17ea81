"""Lockgate: read, transform, publish; until all results and offsets are on the brokers, in transactions or not."""

from __future__ import annotations

from typing import Any

from job import Job

job = Job()
job.assume()

from lockgate_run import run  # noqa: E402  # settings come first

from lockgate import Service  # noqa: E402
from lockgate.runtime.signals import Stop  # noqa: E402

service, stop = Service("bench-ours"), Stop()


@service.handler(job.workload, event_type="market.OrderPlaced")
def relay(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    job.seen += 1
    if job.seen == 1:
        job.begin()
    elif job.seen == job.events:
        stop.request()
    return "sink.OrderTaken", event | {"quantity": event["quantity"] + 1}


run(job, service, stop)
job.end()
