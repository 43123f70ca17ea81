"""FastStream on confluent-kafka, its default handler or its batch mode, with a decoder that is one fastavro call."""

from __future__ import annotations

import asyncio
import logging
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader
from faststream import FastStream
from faststream.confluent import KafkaBroker
from faststream.security import SASLScram512
from job import Job

job = Job()
schema = parse_schema(job.schema)
broker = KafkaBroker(
    job.bootstrap,
    security=SASLScram512(username=job.workload, password=job.password, use_ssl=True),
    config={"ssl.ca.location": job.ca, "fetch.queue.backoff.ms": 10},
    logger=logging.getLogger("none"),
)
app = FastStream(broker, logger=None)
where: dict[str, Any] = {"group_id": job.workload, "auto_offset_reset": "earliest"}


def read(value: bytes) -> Any:
    job.begin()
    return schemaless_reader(BytesIO(value[5:]), schema, None)


def count(number: int) -> None:
    job.seen += number
    if job.seen >= job.events:
        app.exit()


async def decode(message: Any) -> Any:
    return read(message.body)


async def decode_batch(message: Any) -> Any:
    return [read(value) for value in message.body]


if job.subject.endswith("batch"):

    @broker.subscriber(job.topic, batch=True, max_records=1000, decoder=decode_batch, **where)
    async def handle_batch(events: list[Any]) -> None:
        count(len(events))
else:

    @broker.subscriber(job.topic, decoder=decode, **where)
    async def handle(event: dict[str, Any]) -> None:
        count(1)


asyncio.run(app.run())
job.end()
