"""Lockgate: resident memory after an eleventh of the events, and after ten of them; in between nothing changes."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import Any

from job import Job

job = Job()
job.assume()
# what is fetched ahead grows for as long as the client is faster than the handlers, up to its bound: it reaches this
# one at once, and is no part of the difference
os.environ["LOCKGATE_KAFKA_QUEUED_MAX_MESSAGES_KBYTES"] = "4096"

from lockgate_run import run  # noqa: E402  # settings come first

from lockgate import Service  # noqa: E402
from lockgate.runtime.signals import Stop  # noqa: E402

service, stop = Service("bench-ours"), Stop()
unit = job.events // 11
early: list[float] = []
late: list[float] = []
looks = {unit + unit * step // 20: early for step in range(20)}
looks |= {10 * unit + unit * step // 20: late for step in range(20)}
last = max(looks)


def resident() -> float:
    """Return this process's resident memory in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@service.handler("bench-memory", event_type="long.OrderPlaced")
def take(event: dict[str, Any]) -> None:
    job.seen += 1
    if job.seen == 1:
        job.begin()
    if job.seen in looks:
        looks[job.seen].append(resident())
        if job.seen == last:
            job.stop()
            stop.request()


run(job, service, stop)
job.seen = last
job.end(early_mib=statistics.median(early), late_mib=statistics.median(late))
