"""What tutorials show: poll, AvroDeserializer, a synchronous commit for each message."""

from __future__ import annotations

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from job import Job

job = Job()
deserialize = AvroDeserializer(SchemaRegistryClient(job.registry))
consumer = Consumer(job.consumer())
consumer.subscribe([job.topic])
while job.seen < job.events:
    message = consumer.poll(0.2)
    if message is None:
        continue
    job.begin()
    event = deserialize(message.value(), SerializationContext(job.topic, MessageField.VALUE))
    job.seen += 1
    consumer.commit(message, asynchronous=False)
job.end()
consumer.close()
