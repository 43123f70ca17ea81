"""Lockgate: `run_workload` as `lockgate run` calls it, with a handler that takes a dict or a generated class.

Metrics are on, but for the subject that tells what they cost.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from job import Job

job = Job()
job.assume()

from lockgate_run import run  # noqa: E402  # settings come first
from scraping import scraped  # noqa: E402

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


with nullcontext() if job.subject.endswith("plain") else scraped():
    run(job, service, stop)
job.end()
