"""Lockgate: resident memory after a tenth of the events, and after all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from job import Job

job = Job()
job.assume()

from lockgate_run import run  # noqa: E402  # settings come first

from lockgate import Service  # noqa: E402
from lockgate.runtime.signals import Stop  # noqa: E402

service, stop = Service("bench-ours"), Stop()
tenth = job.events // 10
early = late = 0.0


def resident() -> float:
    """Return this process's resident memory in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@service.handler("bench-memory", event_type="long.OrderPlaced")
def take(event: dict[str, Any]) -> None:
    global early, late
    job.seen += 1
    if job.seen == 1:
        job.begin()
    elif job.seen == tenth:
        early = resident()
    elif job.seen == job.events:
        job.stop()
        late = resident()
        stop.request()


run(job, service, stop)
job.end(early_mib=early, late_mib=late)
