"""What grows with partitions, keys, workloads and tiers: the figures of docs/scaling.md.

    python bench/scaling.py [--output json]

Counts come from contracts that are written to a temporary folder, loaded and derived as any project's are. Memory in
Python is what tracemalloc sees; that of messages, which lie in the Kafka client, is resident memory of a process that
keeps them, fed by an in-process cluster. No stack is needed, and it takes some 20 seconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from lockgate.contracts.derive import derive
from lockgate.contracts.load import load
from lockgate.records import frame
from lockgate.runtime.encoding import Encoded, event_headers
from lockgate.runtime.keys import Keys, marker
from lockgate.runtime.lanes import Job, Share
from lockgate.runtime.offsets import Progress
from lockgate.runtime.publisher import Publisher
from lockgate.runtime.record import Failure, Record
from lockgate.runtime.retries import Retry

RECORDS, WRITTEN = 50_000, 5_000
"""Messages that are kept, and written: the in-process cluster keeps 5 MiB, so they are read again and again."""
VALUE = 95
"""Bytes of an order event, schema id included."""


@attrs.frozen
class World:
    """Say how big a world is."""

    domains: int
    partitions: int
    readers: int
    """Workloads that read, of each domain."""
    tiers: int
    ordered: bool = False
    """Whether they keep the order of keys."""
    replication: int = 3
    teams: int = 1


WORLDS = {
    "one topic, one reader": World(1, 6, 1, 0),
    "the same, 3 tiers": World(1, 6, 1, 3),
    "the same, 3 tiers and `order: key`": World(1, 6, 1, 3, ordered=True),
    "20 topics of 12 partitions, 3 readers each, 2 tiers": World(20, 12, 3, 2, teams=10),
    "the same, 48 partitions": World(20, 48, 3, 2, teams=10),
    "200 topics of 6 partitions, 5 readers each, 3 tiers": World(200, 6, 5, 3, teams=40),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--hold", metavar="SERVERS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold is not None:
        print(json.dumps(held_messages(options.hold)))
        return 0
    found = {"counts": {name: counts(world) for name, world in WORLDS.items()}, "bytes": memory(), "keys": key_times()}
    if options.output == "json":
        print(json.dumps(found, indent=2))
        return 0
    for title, rows in found.items():
        print(f"\n{title}")
        for name, row in rows.items():
            print(
                f"  {name:<56} {row if not isinstance(row, dict) else '  '.join(f'{k} {v:,}' for k, v in row.items())}"
            )
    return 0


# ---- what is derived


def counts(world: World) -> dict[str, int]:
    """Return how much of everything follows from a world."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), world)
        derived = derive(load(Path(folder)))
    partitions = sum(topic.partitions for topic in derived.topics)
    return {
        "topics": len(derived.topics),
        "partitions": partitions,
        "replicas": sum(topic.partitions * topic.replication for topic in derived.topics),
        "rights": len(derived.acls),
        "users": len(derived.principals),
        "groups": len(derived.groups),
        "subjects": len(derived.subjects),
    }


def write(root: Path, world: World) -> None:
    """Write the contracts of a world: every domain has one writer beside its readers."""
    delays = ", ".join(f"{2**tier}s" for tier in range(world.tiers))
    options = (f", retry: [{delays}]" if delays else "") + (", order: key" if world.ordered else "")
    for number in range(world.domains):
        domain, team = f"d{number}", number % world.teams
        readers = [f"r{number}-{reader}" for reader in range(world.readers)]
        contracts, service = root / "schemas" / domain, root / "services" / f"s{number}"
        contracts.mkdir(parents=True)
        service.mkdir(parents=True)
        (contracts / "domain.yaml").write_text(
            f'owner: {{team: T{team}, contact: "@t{team}"}}\n'
            f"topic: {{name: {domain}, partitions: {world.partitions}, replication: {world.replication}}}\n"
            f"key: id\nevents: [Event]\nreaders: [{', '.join(readers)}]\nwriters: [w{number}]\n"
        )
        event = {
            "type": "record",
            "name": "Event",
            "namespace": domain,
            "fields": [{"name": "id", "type": "string"}, {"name": "amount", "type": "long"}],
        }
        (contracts / "Event.avsc").write_text(json.dumps(event))
        lines = [f"name: s{number}", f'owner: {{team: T{team}, contact: "@t{team}"}}', "workloads:"]
        lines += [f"  {reader}: {{consumes: [{domain}.Event]{options}}}" for reader in readers]
        lines.append(f"  w{number}: {{publishes: [{domain}.Event]}}")
        (service / "service.yaml").write_text("\n".join(lines) + "\n")


# ---- memory


def memory() -> dict[str, int]:
    """Return bytes for each of several things that a process holds."""
    message = Message()
    progress = Progress(("orders", 0))
    event = {"order_id": "order-1234567", "customer_id": "customer-77", "amount": 1999, "currency": "EUR"}
    entry: Any = (None, None, None, False)

    def job(number: int) -> Job:
        # the decoder makes a dict and its strings anew for every record
        values = {key: f"{value}{number}" for key, value in event.items()}
        return Job(message, None, values, entry, Share(progress), ("orders", 0))

    def key_of(number: int) -> bytes:
        return b"order-%08d" % number

    found = {
        "message, held by the client (95 bytes, 7 headers)": messages(),
        "record in hand with `concurrency`, beside its message": each(10_000, job, shared=Share),
    }
    keys: Keys[int] = Keys(10**9)
    found["waiting copy of a key of its own, `order: key`"] = each(
        20_000, lambda number: keys.found(key_of(number), number, 0, tiered=True)
    )
    keys = Keys(10**9)
    one = key_of(0)
    found["waiting copy of a key that has others"] = each(
        2_000, lambda number: keys.found(one, number, 0, tiered=False)
    )
    keys = Keys(10**9)

    def follow(number: int) -> None:
        keys.found(one, number, 0, tiered=False)
        keys.put_off(one, keys.admit(one, number, 0), number)

    found["the same, read and put off"] = each(20_000, follow)
    keys = Keys(10**9)

    def hold(number: int) -> None:
        keys.found_held(key_of(number), number, 0)
        keys.lies(key_of(number), marker(number, 0), number)

    found["key that a dead letter holds"] = each(20_000, hold)
    found["unfinished offset"] = each(100_000, lambda number: progress.hold(number + 1000))
    found["assigned partition"] = each(10_000, lambda number: Progress((f"topic-{number}", number)))
    publisher = Publisher(None, "tracker", "orders", deferred=True)  # type: ignore[arg-type]  # it sends nothing here
    record = Record(message, None)
    encoded = Encoded("orders.OrderPlaced", "orders", b"order-1", b"x" * VALUE)
    found["result that waits for a transaction (its value apart)"] = each(
        10_000, lambda _: publisher.results(progress, record, 1, [encoded])
    )
    publisher.take()
    failure = Failure.of("handle", "error", ValueError("no such customer"))
    found["retry copy or dead letter that waits for a transaction"] = each(
        10_000, lambda _: publisher.retry(progress, record, 1, failure, Retry(1, 0))
    )
    return found


class Message:
    """Stand for a message of the client's; it is shared, so that it does not count."""

    def topic(self) -> str:
        return "orders"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 1842

    def key(self) -> bytes:
        return b"order-1"

    def value(self) -> bytes:
        return frame(7, b"x" * (VALUE - 5))

    def headers(self) -> list[tuple[str, bytes | None]]:
        return event_headers("orders.OrderPlaced", "0b6f", "storefront", None)

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_752_000_000_000


def each(number: int, make: Callable[[int], Any], shared: Any = None) -> int:
    """Return how many bytes one of many takes; what `make` returns is kept."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [None] * number
    overhead = tracemalloc.get_traced_memory()[0] - before
    for index in range(number):
        kept[index] = make(index)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before - overhead
    tracemalloc.stop()
    return round(used / number)


def messages() -> int:
    """Return how many bytes a message takes that a process keeps; another process is the cluster."""
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "linger.ms": 50, "log_level": 0})
    metadata = cluster.list_topics("orders", timeout=10)
    broker: Any = next(iter(metadata.brokers.values()))
    value, headers = b"x" * VALUE, event_headers("orders.OrderPlaced", "0b6f" * 8, "storefront", None)
    for number in range(WRITTEN):
        cluster.produce("orders", value, b"order-%08d" % number, partition=0, headers=headers)
    cluster.flush(30)
    command = [sys.executable, __file__, "--hold", f"{broker.host}:{broker.port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return int(json.loads(done.stdout))


def held_messages(servers: str) -> int:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "any",
            "enable.partition.eof": True,
            "queued.min.messages": 1000,  # what is fetched ahead is not what is measured
            "log_level": 0,
        }
    )
    kept: list[Any] = []
    sizes: list[tuple[int, int]] = []
    while len(kept) < RECORDS:
        if len(kept) % WRITTEN == 0:
            consumer.assign([TopicPartition("orders", 0, 0)])
        batch = consumer.consume(1000, 1.0)
        errors = [m for m in batch if m.error() is not None and m.error().code() != KafkaError._PARTITION_EOF]
        assert not errors, errors[0].error().str()
        kept += [message for message in batch if message.error() is None]
        if len(kept) >= RECORDS // 2 and not sizes:
            sizes.append((len(kept), resident()))
    sizes.append((len(kept), resident()))
    (few, small), (many, large) = sizes
    return round((large - small) / (many - few))


def resident() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


# ---- time


def key_times() -> dict[str, dict[str, float]]:
    """Return what noting copies takes: of many keys, and of one."""
    found = {}
    for name, copies, distinct in (
        ("100,000 copies of as many keys", 100_000, 100_000),
        ("100,000 copies of 1,000 keys", 100_000, 1_000),
        ("100,000 copies of one key", 100_000, 1),
    ):
        keys: Keys[int] = Keys(10**9)
        started = time.process_time()
        for number in range(copies):
            keys.found(b"%d" % (number % distinct), number, 0, tiered=False)
        noted = time.process_time() - started
        started = time.process_time()
        for number in range(copies):
            key = b"%d" % (number % distinct)
            keys.arrive(key, keys.admit(key, number, 0), number)
        read = time.process_time() - started
        started = time.process_time()
        for number in range(copies):
            keys.finish(b"%d" % (number % distinct), (number, 0, 0))
        finished = time.process_time() - started
        found[name] = {"note s": round(noted, 2), "read s": round(read, 2), "finish s": round(finished, 2)}
    return found


if __name__ == "__main__":
    sys.exit(main())
