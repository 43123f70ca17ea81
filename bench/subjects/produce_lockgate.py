"""Lockgate's producer: every event validated, with CloudEvents headers and a trace; dicts or generated objects."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from events import events
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
}
sys.path.insert(0, job.root)

from lockgate import Producer  # noqa: E402

data: list[Any] = [("sink.OrderTaken", event) for event in events(job.events)]
if job.subject.endswith("typed"):
    from schemas import sink

    data = [sink.OrderTaken(**event) for _, event in data]
with Producer(job.workload, root=Path(job.root)) as producer:
    job.begin()
    for event in data:
        producer.send(event)
    producer.flush()  # raises what the brokers did not take
    job.seen = len(data)
    job.end()
