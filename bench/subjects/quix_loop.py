"""Quix Streams: a dataframe whose deserializer is one fastavro call."""

from __future__ import annotations

import tempfile
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader
from job import Job
from quixstreams import Application
from quixstreams.kafka.configuration import ConnectionConfig
from quixstreams.models.serializers import Deserializer

job = Job()
schema = parse_schema(job.schema)


class Avro(Deserializer):
    def __call__(self, value: bytes, ctx: Any) -> Any:
        job.begin()
        return schemaless_reader(BytesIO(value[5:]), schema, None)


app = Application(
    broker_address=ConnectionConfig(
        bootstrap_servers=job.bootstrap,
        security_protocol="sasl_ssl",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username=job.workload,
        sasl_password=job.password,
        ssl_ca_location=job.ca,
    ),
    consumer_group=job.workload,
    auto_offset_reset="earliest",
    auto_create_topics=False,
    use_changelog_topics=False,
    loglevel="ERROR",
    state_dir=tempfile.mkdtemp(prefix="quix"),
    consumer_extra_config={"fetch.queue.backoff.ms": 10},
)


def handle(event: Any) -> None:
    job.seen += 1
    if job.seen == job.events:
        job.end()
        app.stop()


app.dataframe(app.topic(job.topic, key_deserializer="bytes", value_deserializer=Avro())).update(handle)
app.run()
