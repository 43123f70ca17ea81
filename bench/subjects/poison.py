"""Lockgate: a topic with records that cannot be decoded; until the last dead letter is on the brokers."""

from __future__ import annotations

from typing import Any

from job import Job

job = Job()
job.assume()

from lockgate_run import run  # noqa: E402  # settings come first

from lockgate import Service  # noqa: E402
from lockgate.runtime.signals import Stop  # noqa: E402

service, stop = Service("bench-ours"), Stop()


@service.handler(job.workload, event_type=job.event_type)
def take(event: dict[str, Any]) -> None:
    job.seen += 1
    if job.seen == 1:
        job.begin()
    elif job.seen == job.readable:
        stop.request()


run(job, service, stop)
job.seen = job.events
job.end()
