"""aiokafka: getmany(1000), one fastavro call a record, a commit a batch."""

from __future__ import annotations

import asyncio
import ssl
from io import BytesIO

from aiokafka import AIOKafkaConsumer
from fastavro import parse_schema, schemaless_reader
from job import Job


async def main() -> None:
    job = Job()
    schema = parse_schema(job.schema)
    consumer = AIOKafkaConsumer(
        job.topic,
        bootstrap_servers=job.bootstrap,
        group_id=job.workload,
        security_protocol="SASL_SSL",
        ssl_context=ssl.create_default_context(cafile=job.ca),
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=job.workload,
        sasl_plain_password=job.password,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    while job.seen < job.events:
        batches = await consumer.getmany(timeout_ms=200, max_records=1000)
        if not batches:
            continue
        job.begin()
        for messages in batches.values():
            for message in messages:
                event = schemaless_reader(BytesIO(message.value[5:]), schema, None)
                job.seen += 1
        await consumer.commit()
    job.end()
    await consumer.stop()


asyncio.run(main())
