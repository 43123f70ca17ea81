"""The bound: consume(1000), one fastavro call a record, one asynchronous commit a batch. It guarantees nothing."""

from __future__ import annotations

from io import BytesIO

from confluent_kafka import Consumer
from fastavro import parse_schema, schemaless_reader
from job import Job

job = Job()
schema = parse_schema(job.schema)
consumer = Consumer(job.consumer())
consumer.subscribe([job.topic])
while job.seen < job.events:
    batch = consumer.consume(1000, 0) or consumer.consume(1, 0.2)
    if not batch:
        continue
    job.begin()
    for message in batch:
        event = schemaless_reader(BytesIO(message.value()[5:]), schema, None)
        job.seen += 1
    consumer.commit()
job.end()
consumer.close()
