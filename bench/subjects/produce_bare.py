"""The bound of producing: produce, one fastavro call an event, a delivery callback. It checks nothing."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from confluent_kafka import Producer
from events import events
from fastavro import parse_schema, schemaless_writer
from job import Job

job = Job()
schema = parse_schema(job.schema)
head = job.schema_id.to_bytes(5, "big")
producer = Producer(
    job.client()
    | {
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 5,
        "partitioner": "murmur2_random",
        "queue.buffering.max.kbytes": 131072,
    }
)


def delivered(error: Any, message: Any) -> None:
    if error is not None:
        raise SystemExit(str(error))
    job.seen += 1


data = list(events(job.events))
job.begin()
for event in data:
    out = BytesIO()
    schemaless_writer(out, schema, event)
    while True:
        try:
            producer.produce(job.topic, head + out.getvalue(), event["order_id"], on_delivery=delivered)
        except BufferError:
            producer.poll(0.1)
        else:
            break
    producer.poll(0)
producer.flush()
job.end()
