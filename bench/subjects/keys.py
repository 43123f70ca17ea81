"""Lockgate: handlers that wait for 0 to 5 ms, drawn with a fixed seed, on one partition; threads or tasks."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

from job import Job

job = Job()
job.assume()

from events import least, waits  # noqa: E402
from lockgate_run import run  # noqa: E402  # settings come first

from lockgate import Service  # noqa: E402
from lockgate.contracts.load import load  # noqa: E402
from lockgate.runtime.signals import Stop  # noqa: E402

service, stop = Service("bench-ours"), Stop()
begun, ended = itertools.count(1), itertools.count(1)  # of one step each: threads share them


def begin() -> None:
    if next(begun) == 1:
        job.begin()


def end() -> None:
    if next(ended) == job.events:
        job.stop()
        stop.request()


def wait(event: dict[str, Any]) -> None:
    begin()
    time.sleep(event["quantity"] / 1e6)
    end()


async def wait_async(event: dict[str, Any]) -> None:
    begin()
    await asyncio.sleep(event["quantity"] / 1e6)
    end()


handler = wait_async if job.subject.endswith("async") else wait
service.handler(job.workload, event_type=job.event_type)(handler)
run(job, service, stop)
job.seen = job.events
declared = load(Path(job.root)).workload(job.workload)
keys = 100 if "hundred" in job.event_type else None
job.end(least_seconds=least(waits(job.events, keys), declared.concurrency if declared.order == "key" else 1))
