"""Lockgate's producer: every event validated, with CloudEvents headers and a trace; dicts or generated objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from events import events
from job import Job

job = Job()
job.assume()

from lockgate import Producer  # noqa: E402  # settings come first

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
