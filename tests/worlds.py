"""The shared cluster of a test session, and small synthetic projects on it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import string
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import attrs
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from lockgate import records
from lockgate.avro.codec import Encoder
from lockgate.connection import Settings, credentials_directory, settings_for
from lockgate.contracts import names
from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts
from lockgate.governance.codegen import generate
from lockgate.local.stack import Stack
from lockgate.provisioning.apply import apply
from lockgate.records import Coordinates, Headers
from lockgate.registry import Registry

PATIENCE = 60.0
"""Seconds after which a test stops waiting for what should have happened long ago."""
QUICK = {"LOCKGATE_KAFKA_SESSION_TIMEOUT_MS": "6000", "LOCKGATE_KAFKA_HEARTBEAT_INTERVAL_MS": "500"}
"""What a killed process leaves behind moves on after the shortest time that the brokers allow."""


def withdraw(world: World, topic: str) -> None:
    """Take the worker's right to write a topic away, and wait until the brokers have noticed."""
    admin = AdminClient(world.stack.settings("admin").client_config())
    chosen = AclBindingFilter(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        f"User:{world.worker}",
        None,  # type: ignore[arg-type]  # any host; its stub leaves that out
        AclOperation.WRITE,
        AclPermissionType.ANY,
    )
    (answer,) = admin.delete_acls([chosen], request_timeout=10).values()
    assert len(answer.result()) == 1
    eventually(lambda: not admin.describe_acls(chosen, request_timeout=10).result(), "the right to be gone")


def quiet(_: object, *__: object) -> None:
    """Take progress and say nothing."""


class CarefulStack(Stack):
    """Refuse to break what other tests are using."""

    def __init__(self, root: Path, home: Path, may_break: Callable[[], bool]) -> None:
        super().__init__(root, home)
        self._may_break = may_break

    def kill(self, name: str) -> None:
        self._check()
        super().kill(name)

    def stop(self, name: str) -> None:
        self._check()
        super().stop(name)

    def down(self, delete_data: bool = False, progress: Callable[[str], None] = quiet) -> None:
        self._check()
        super().down(delete_data, progress)

    def _check(self) -> None:
        assert self._may_break(), "other tests are using this cluster: mark the test with @pytest.mark.alone"


@attrs.frozen
class SharedStack:
    """Drive the stack of the repository's own compose file, with its state in a folder of the test session."""

    root: Path
    home: Path
    may_break: Callable[[], bool] = lambda: True
    """Whether nobody else is on it, so that its nodes may be stopped."""

    @property
    def environ(self) -> dict[str, str]:
        """Return an environment in which `lockgate` finds this stack, and no setting of the developer's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCKGATE_")}
        for name in ("LOCKGATE_CACHE", "LOCKGATE_MAVEN_URL"):
            if name in os.environ:
                kept[name] = os.environ[name]
        return kept | {"LOCKGATE_HOME": str(self.home)}

    @property
    def local(self) -> Stack:
        """Return the stack as the library sees it; only who has it for itself may stop its nodes."""
        return CarefulStack(self.root, self.home, self.may_break)

    @property
    def contracts(self) -> Contracts:
        """Return the shipped contracts."""
        return load(self.root)

    def up(self) -> None:
        """Start the stack and apply the shipped contracts."""
        self.local.up(quiet)
        self.apply(self.root)

    def down(self) -> None:
        """Stop the stack and drop its data."""
        self.local.down(delete_data=True)

    def settings(self, principal: str, root: Path | None = None) -> Settings:
        """Return the settings that a principal of a project has on this stack."""
        return settings_for(principal, root or self.root, self.environ)

    def apply(self, root: Path) -> Contracts:
        """Apply a project's contracts to the cluster."""
        contracts = load(root)
        admin = self.settings("admin")
        credentials = credentials_directory(root, self.environ)
        apply(contracts, admin, credentials, progress=quiet)
        return contracts

    def lockgate(
        self, *arguments: str, root: Path | None = None, environ: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run the `lockgate` command as a user would, and return what it printed."""
        return subprocess.run(
            [sys.executable, "-m", "lockgate", *arguments],
            cwd=root or self.root,
            env=self.environ | dict(environ or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@attrs.frozen
class World:
    """Describe a small project of its own: domain `<name>a` (Made, Gone) is read by `<name>-work.a`, which publishes
    `<name>b` (Sent), which `<name>-work` reads; `<name>-source` writes `<name>a`."""

    name: str
    root: Path
    stack: SharedStack
    contracts: Contracts

    @property
    def source_topic(self) -> str:
        return f"{self.name}a"

    @property
    def result_topic(self) -> str:
        return f"{self.name}b"

    @property
    def team(self) -> str:
        """Return the slug of the workers' team; no other world has it, whose plans would take its rights away."""
        return f"senders-{self.name}"

    @property
    def writer(self) -> str:
        return f"{self.name}-source"

    @property
    def worker(self) -> str:
        return f"{self.name}-work.a"

    @property
    def sink(self) -> str:
        return f"{self.name}-work"

    def settings(self, principal: str) -> Settings:
        return self.stack.settings(principal, self.root)

    def write_handlers(self, text: str) -> None:
        """Write the handlers of the workers' service; `$a` and `$b` are the domains, `$work` and `$sink` workloads."""
        names = {"a": self.source_topic, "b": self.result_topic, "work": self.worker, "sink": self.sink}
        body = string.Template(textwrap.dedent(text).lstrip()).substitute(names)
        head = (
            "from lockgate import Context, Reject, Service, Tombstone\n"
            f"from schemas import {self.source_topic} as a, {self.result_topic} as b\n"
            f"\nservice = Service({self.sink!r})\n\n"
        )
        (self.root / "services" / "making" / "handlers.py").write_text(head + body, encoding="utf-8")

    def schema_id(self, event_type: str) -> int:
        """Return the id of the contracts' version of an event type: `Made`, `Gone`, `Sent`."""
        full_name = self._full_name(event_type)
        topic = self.contracts.domain_of(full_name).topic.name
        with Registry(self.settings("ci")) as registry:
            found = registry.find(f"{topic}-{full_name}", self.contracts.events[full_name].schema)
        assert found is not None
        return found.schema_id

    def encode(self, event_type: str, datum: Mapping[str, Any]) -> bytes:
        """Return a valid value of an event type, framed."""
        schema = self.contracts.events[self._full_name(event_type)].schema
        return records.frame(self.schema_id(event_type), Encoder(schema).encode(datum))

    def produce(self, raw: Iterable[Raw], topic: str | None = None, *, principal: str | None = None) -> list[Raw]:
        """Write records byte for byte, each after the one before it is acknowledged to be; return them with offsets."""
        config = self.settings(principal or self.writer).client_config()
        # compressed, so that what the brokers count is less than what the client does
        config |= {"compression.type": "zstd", "message.max.bytes": 64 * 1024 * 1024, "linger.ms": 1}
        producer = Producer(config | {"enable.idempotence": True, "acks": "all"})
        offsets: dict[int, int] = {}
        written = list(raw)
        for index, record in enumerate(written):

            def done(error: KafkaError | None, message: Message, index: int = index) -> None:
                assert error is None, error
                offsets[index] = message.offset() or 0

            producer.produce(
                topic or self.source_topic,
                record.value,
                record.key,
                record.partition,
                on_delivery=done,
                timestamp=record.timestamp,
                headers=list(record.headers),
            )
        assert producer.flush(30) == 0
        return [attrs.evolve(record, offset=offsets[index]) for index, record in enumerate(written)]

    def read(self, topic: str) -> list[Message]:
        """Return every record of a topic, by partition and offset, as the administrator sees it."""
        config = self.stack.settings("admin").client_config()
        config |= {"group.id": "unused", "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer(config | {"isolation.level": "read_committed", "auto.offset.reset": "earliest"})
        found: list[Message] = []
        try:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            open_ = set(partitions)
            deadline = time.monotonic() + PATIENCE
            while open_:
                assert time.monotonic() < deadline, f"{topic} did not come to its end"
                for message in consumer.consume(1000, 0.2):
                    error = message.error()
                    if error is None:
                        found.append(message)
                    else:
                        assert error.code() == KafkaError._PARTITION_EOF, error
                        open_.discard(message.partition())
        finally:
            consumer.close()
        return sorted(found, key=lambda message: (message.partition(), message.offset()))

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return what a group has committed of a topic, by partition; partitions without a commit are left out."""
        consumer = Consumer(self.stack.settings("admin").client_config() | {"group.id": group})
        try:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            answer = consumer.committed([TopicPartition(topic, partition) for partition in partitions], 10)
        finally:
            consumer.close()
        return {entry.partition: entry.offset for entry in answer if entry.offset >= 0}

    def lag(self, group: str, topic: str) -> dict[int, tuple[int, int]]:
        """Return `(committed, end)` of the partitions of a topic whose end a group has not reached."""
        committed, found = self.committed(group, topic), {}
        consumer = Consumer(self.stack.settings("admin").client_config() | {"group.id": "unused"})
        try:
            for partition in consumer.list_topics(topic, 10).topics[topic].partitions:
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
                if committed.get(partition, 0) != end:
                    found[partition] = (committed.get(partition, 0), end)
        finally:
            consumer.close()
        return found

    @property
    def journal(self) -> Path:
        """Return the folder that the world's processes note outcomes in."""
        return self.root / "journal"

    def outcomes(self, workload: str | None = None) -> list[dict[str, Any]]:
        """Return the journal of all processes of a workload (the worker where none is named), in order of time."""
        files = self.journal.glob(f"{workload or self.worker}-*.jsonl")
        lines = [json.loads(text) for file in files for text in file.read_text(encoding="utf-8").splitlines()]
        return sorted(lines, key=lambda line: int(line["at"]))

    @contextmanager
    def running(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Iterator[Running]:
        """Run `lockgate run …` (the worker where nothing is said) as a child process, and kill what is left of it."""
        command = [sys.executable, "-m", "lockgate", "run", *(arguments or ("--workload", self.worker))]
        log = self.root / f"run-{secrets.token_hex(3)}.log"
        extra = {"LOCKGATE_JOURNAL": str(self.journal), "LOCKGATE_LOG_FORMAT": "text", "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=self.stack.environ | extra | dict(environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        try:
            yield Running(process, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _full_name(self, event_type: str) -> str:
        (found,) = (name for name in self.contracts.events if name.endswith(f".{event_type}"))
        return found


@attrs.frozen
class Raw:
    """Describe a record byte for byte."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    partition: int = 0
    timestamp: int = 0
    """Milliseconds since the epoch; 0 stands for now."""
    offset: int = -1

    def at(self, topic: str) -> Coordinates:
        return Coordinates(topic, self.partition, self.offset)


@attrs.frozen
class Items:
    """Write items to a world, `<kind>-0` and so on, and count what came of those of a kind."""

    world: World
    framing: bytes
    encoder: Encoder

    @classmethod
    def of(cls, world: World) -> Self:
        schema = world.contracts.events[f"{world.source_topic}.Made"].schema
        return cls(world, records.frame(world.schema_id("Made"), b""), Encoder(schema))

    def write(self, kind: str, count: int, millis: int = 0) -> list[Raw]:
        """Write so many items, each of which takes a handler so long, over all partitions."""
        partitions = self.world.contracts.domain_of(f"{self.world.source_topic}.Made").topic.partitions
        raw = []
        for number in range(count):
            item = f"{kind}-{number}"
            datum = self.encoder.encode({"item_id": item, "size": millis, "colour": "RED", "note": None})
            raw.append(Raw(self.framing + datum, item.encode(), [("ce_id", item.encode())], number % partitions))
        return self.world.produce(raw)

    def handled(self, kind: str) -> Counter[str]:
        """Return how often each item was handled."""
        ids = (line["event_id"] for line in self.world.outcomes() if line["outcome"] == "handled")
        return Counter(ident for ident in ids if ident.startswith(f"{kind}-"))

    def results(self, kind: str) -> Counter[str]:
        """Return how often each item has its result, for those who read committed."""
        return self._keys(self.world.result_topic, kind)

    def letters(self, kind: str) -> Counter[str]:
        """Return how often each item was dead-lettered."""
        return self._keys(names.dead_letter_topic(self.world.source_topic, self.world.worker), kind)

    def _keys(self, topic: str, kind: str) -> Counter[str]:
        keys = ((message.key() or b"").decode() for message in self.world.read(topic))
        return Counter(key for key in keys if key.startswith(f"{kind}-"))


@attrs.frozen
class Running:
    """Hold a child process and what it has logged."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def until(self, happened: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
        """Wait for something; fail where the process ends before it, or it does not happen at all."""
        eventually(lambda: happened() or self.process.poll() is not None, what, patience, lambda: self.text)
        assert happened(), f"the process ended before {what}:\n{self.text}"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, patience: float = PATIENCE) -> int:
        """Wait for the end and return the exit code."""
        eventually(lambda: self.process.poll() is not None, "its end", patience, lambda: self.text)
        return self.process.returncode

    def stop(self) -> None:
        """Stop it in order."""
        self.signal(signal.SIGTERM)
        assert self.ended() == 0, self.text


def eventually(
    happened: Callable[[], object], what: str, patience: float = PATIENCE, why: Callable[[], str] = lambda: ""
) -> None:
    """Poll until something has happened; fail where it does not."""
    deadline = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < deadline, f"waited {patience:g} s for {what}\n{why()}"
        time.sleep(0.05)


def envelope_of(message: Message) -> records.Envelope:
    """Return the envelope of a record in a retry or dead-letter topic."""
    envelope = records.Envelope.read(headers_of(message))
    assert envelope is not None
    return envelope


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """Return a record's headers; the client's stubs leave open in which form it gives them."""
    headers: Any = message.headers()
    return list(headers or ())


def bytes_of(messages: Sequence[Message]) -> list[tuple[bytes | None, bytes | None]]:
    """Return key and value of records."""
    return [(message.key(), message.value()) for message in messages]


def write_world(root: Path, name: str, *, retry: str = "[300ms, 600ms]", partitions: int = 3, **fields: object) -> None:
    """Write a project's files, the generated event classes aside."""
    a, b = f"{name}a", f"{name}b"
    topic = f"partitions: {partitions}, replication: 3, retention: 1d"
    files = {
        f"schemas/{a}/domain.yaml": f"""
            owner: {{team: Makers-{name}, contact: "@makers"}}
            topic: {{name: {a}, {topic}}}
            key: item_id
            compatibility: FULL
            events: [Made, Gone]
            readers: [{name}-work.a]
            writers: [{name}-source]
            """,
        f"schemas/{b}/domain.yaml": f"""
            owner: {{team: Senders-{name}, contact: "@senders"}}
            topic: {{name: {b}, {topic}}}
            key: item_id
            compatibility: FULL
            events: [Sent]
            readers: [{name}-work]
            writers: [{name}-work.a]
            """,
        f"schemas/{a}/Made.avsc": json.dumps(
            _record(
                a,
                "Made",
                _NOTE,
                size="int",
                colour={"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]},
            )
        ),
        f"schemas/{a}/Gone.avsc": json.dumps(_record(a, "Gone", reason=["null", "string"])),
        f"schemas/{b}/Sent.avsc": json.dumps(_record(b, "Sent", origin="string")),
        "services/source/service.yaml": f"""
            name: {name}-source
            owner: {{team: Makers-{name}, contact: "@makers"}}
            workloads:
              {name}-source: {{publishes: [{a}.Made, {a}.Gone]}}
            """,
        "services/making/service.yaml": f"""
            name: {name}-work
            owner: {{team: Senders-{name}, contact: "@senders"}}
            workloads:
              {name}-work: {{consumes: [{b}.Sent]}}
              {name}-work.a:
                consumes: [{a}.Made]
                publishes: [{b}.Sent]
                retry: {retry}\n"""
        + "".join(f"                {field}: {value}\n" for field, value in fields.items()),
    }
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")


def make_world(
    stack: SharedStack,
    tmp_path: Path,
    *,
    retry: str = "[300ms, 600ms]",
    partitions: int = 3,
    **fields: object,
) -> World:
    """Write a project under names of its own and apply it to the shared cluster."""
    name = f"t{secrets.token_hex(4)}"
    root = tmp_path / "world"
    write_world(root, name, retry=retry, partitions=partitions, **fields)
    contracts = stack.apply(root)
    for path, text in generate(contracts).items():
        (root / path).write_text(text, encoding="utf-8")
    return World(name, root, stack, contracts)


_NOTE = {"name": "note", "type": ["null", "string"], "default": None, "doc": "A note."}


def _record(namespace: str, name: str, *last: object, **fields: object) -> dict[str, object]:
    return {
        "type": "record",
        "name": name,
        "namespace": namespace,
        "doc": f"{name}.",
        "fields": [
            {"name": "item_id", "type": "string", "doc": "The item."},
            *({"name": field, "type": kind, "doc": f"Its {field}."} for field, kind in fields.items()),
            *last,
        ],
    }
