"""poll and AvroDeserializer, committing once a second: the textbook loop, made as fast as it gets."""

from __future__ import annotations

import time

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from job import Job

job = Job()
deserialize = AvroDeserializer(SchemaRegistryClient(job.registry))
consumer = Consumer(job.consumer())
consumer.subscribe([job.topic])
context = SerializationContext(job.topic, MessageField.VALUE)
committed = time.monotonic()
while job.seen < job.events:
    message = consumer.poll(0.2)
    if message is None:
        continue
    job.begin()
    event = deserialize(message.value(), context)
    job.seen += 1
    if time.monotonic() - committed >= 1:
        consumer.commit()
        committed = time.monotonic()
job.end()
consumer.close()
