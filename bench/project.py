"""The measured project on the local stack: its contracts applied, its topics filled."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from fastavro import parse_schema, schemaless_writer

from bench.loads import Load
from lockgate.connection import Settings, credentials_directory, settings_for
from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts
from lockgate.governance.codegen import generate
from lockgate.local.stack import Stack
from lockgate.provisioning.apply import apply
from lockgate.records import frame
from lockgate.registry import Registry

__all__ = ["HERE", "ROOT", "Project", "stack"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
_ANSWER = 30


class Project:
    """Hold the contracts of bench/world, applied to a stack."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self._environ = {"LOCKGATE_HOME": str(home)}
        shutil.copytree(HERE / "world", root)
        self.contracts: Contracts = load(root)
        for path, text in generate(self.contracts).items():
            (root / path).write_text(text, encoding="utf-8")
        admin = self.settings("admin")
        apply(self.contracts, admin, credentials_directory(root, self._environ), progress=_quiet)
        self.admin = AdminClient(admin.client_config())
        self._schema_ids: dict[str, int] = {}
        # Quix Streams reads a topic's configuration before it starts: a right that no contract gives
        more = AclBinding(
            ResourceType.TOPIC,
            "bench.market",
            ResourcePatternType.LITERAL,
            "User:bench-quix",
            "*",
            AclOperation.DESCRIBE_CONFIGS,
            AclPermissionType.ALLOW,
        )
        for future in self.admin.create_acls([more]).values():
            future.result(_ANSWER)

    def settings(self, principal: str) -> Settings:
        """Return what a principal reaches the stack by."""
        return settings_for(principal, self.root, self._environ)

    def schema_id(self, event_type: str) -> int:
        """Return the id that an event type is registered under."""
        if event_type not in self._schema_ids:
            domain, event = self.contracts.domain_of(event_type), self.contracts.events[event_type]
            with Registry(self.settings("admin")) as registry:
                found = registry.find(domain.subject(event), event.schema)
            if found is None:
                raise SystemExit(f"{event_type} is not registered")
            self._schema_ids[event_type] = found.schema_id
        return self._schema_ids[event_type]

    def fill(self, load: Load, count: int) -> None:
        """See to it that a topic holds so many records of its load, and no others."""
        ends = self._ends(load.topic)
        if sum(high - low for low, high in ends.values()) == load.size(count):
            return
        there = {TopicPartition(load.topic, partition, high): high for partition, (_, high) in ends.items() if high}
        for future in self.admin.delete_records(list(there)).values() if there else ():
            future.result(_ANSWER)
        schema = parse_schema(dict(self.contracts.events[load.event_type].schema))
        schema_id = self.schema_id(load.event_type)

        def encode(event: dict[str, object]) -> bytes:
            out = BytesIO()
            schemaless_writer(out, schema, event)
            return frame(schema_id, out.getvalue())

        settings = self.settings("bench-source").client_config()
        producer = Producer(
            settings
            | {"compression.type": "lz4", "linger.ms": 5, "partitioner": "murmur2_random", "enable.idempotence": True}
        )
        for value, key, partition in load.records(count, encode):
            while True:
                try:
                    producer.produce(load.topic, value, key, partition)
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
            producer.poll(0)
        if producer.flush(120):
            raise SystemExit(f"{load.topic} could not be filled")

    def _ends(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first and the next offset of each partition."""
        consumer = Consumer(self.settings("admin").client_config() | {"group.id": "unused"})
        try:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            return {each: consumer.get_watermark_offsets(TopicPartition(topic, each), 10) for each in partitions}
        finally:
            consumer.close()

    def rewind(self, group: str) -> None:
        """Let a group begin at the first record again; it has to be left by its members."""
        deadline = time.monotonic() + 60
        while True:
            try:
                for future in self.admin.delete_consumer_groups([group]).values():
                    future.result(_ANSWER)
            except KafkaException as error:
                if error.args[0].name() == "GROUP_ID_NOT_FOUND":
                    return
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return


@contextmanager
def stack(home: Path) -> Iterator[None]:
    """Have the local stack up; take it down again unless it was up before."""
    local = Stack(ROOT, home)
    was_up = all(process.state == "up" for process in local.status().processes)
    local.up(_quiet)
    try:
        yield
    finally:
        if not was_up:
            local.down(delete_data=True)


def _quiet(_: object, *__: object) -> None:
    """Take progress and say nothing."""
