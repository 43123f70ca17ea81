"""Send one event at a time, a hundred a second, each with the time at which it is sent; told like a subject, and ended
by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from events import events
from job import Job

_EVERY = 0.01
_AT_MOST = 60.0
"""Seconds, should nobody end it."""


def ticks() -> Iterator[dict[str, Any]]:
    """Yield events, each as its time has come."""
    event = next(events(1))
    due = time.monotonic()
    end = due + _AT_MOST
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        yield event | {"note": str(time.monotonic_ns())}
        due += _EVERY


def bare(job: Job) -> None:
    from confluent_kafka import Producer
    from fastavro import parse_schema, schemaless_writer

    schema, head = parse_schema(job.schema), job.schema_id.to_bytes(5, "big")
    producer = Producer(job.client() | {"acks": "all", "enable.idempotence": True, "linger.ms": 0})
    for event in ticks():
        out = BytesIO()
        schemaless_writer(out, schema, event)
        producer.produce(job.topic, head + out.getvalue(), event["order_id"])
        producer.poll(0)


def lockgate(job: Job) -> None:
    job.assume()
    from lockgate import Producer

    with Producer(job.workload, root=Path(job.root)) as producer:
        for event in ticks():
            producer.send((job.event_type, event))


job = Job()
run: Callable[[Job], None] = bare if job.subject.endswith("bare") else lockgate
run(job)
