"""Lockgate: one event at a time, from `send` in one process to the handler in another, without lingering."""

from __future__ import annotations

from typing import Any

from job import Job

job = Job()
job.assume()

from lockgate_run import run  # noqa: E402  # settings come first
from samples import Samples  # noqa: E402

from lockgate import Service  # noqa: E402
from lockgate.runtime.signals import Stop  # noqa: E402

service, stop, samples = Service("bench-ours"), Stop(), Samples(job.events)


@service.handler("bench-latency", event_type="tick.OrderPlaced")
def take(event: dict[str, Any]) -> None:
    if samples.take(event["note"]):
        stop.request()


with job.ticking(LOCKGATE_KAFKA_LINGER_MS="0"):
    run(job, service, stop)
job.answer(**samples.figures())
