"""Measure what an event costs the thread that produces or handles it, on mock brokers: no stack, little noise.

The mock brokers of librdkafka run within this process; every subject runs in one of its own, once a round. What counts
is the CPU time of its main thread, which other programs on the machine hardly change, and the ratio to the bound of the
same round. `--against DIR` measures a second checkout of Lockgate beside this one, in the same rounds.

    python -m bench.cpu --only typed
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import click
from confluent_kafka import Consumer, Producer
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from bench.events import events
from lockgate import Producer as Own
from lockgate import Service
from lockgate.connection import Settings
from lockgate.contracts.load import load
from lockgate.registry import RegisteredSchema
from lockgate.runtime.assembly import assemble
from lockgate.runtime.clients import connect_consumer, connect_producer
from lockgate.runtime.dispatch import dispatch_table
from lockgate.runtime.logs import configure
from lockgate.runtime.patience import Patience
from lockgate.runtime.signals import Stop

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SUBJECTS = ("produce-bare", "produce-dict", "produce-typed", "bare", "dict", "typed")
_PATIENCE = 120
"""Seconds that one measurement may take."""
_SCHEMA_ID = 7
_SOURCE = "bench.market"


class _Registry:
    """Know the schemas of the measured project under ids of its own: what is measured asks once."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._schemas = schemas

    def find(self, subject: str, schema: Mapping[str, Any]) -> RegisteredSchema:
        """Return the version of a subject that holds this schema."""
        return RegisteredSchema(subject, 1, _SCHEMA_ID, schema)

    def schema(self, schema_id: int) -> Mapping[str, Any] | None:
        """Return the schema of an id."""
        return self._schemas["bench.market-market.OrderPlaced"] if schema_id == _SCHEMA_ID else None

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        """Return the subjects of an id."""
        return frozenset(self._schemas) if schema_id == _SCHEMA_ID else frozenset()


class _Clock:
    """Take the CPU time of the thread that begins and ends it."""

    def __init__(self) -> None:
        self._began = 0.0

    def begin(self) -> None:
        """Start."""
        gc.collect()
        gc.freeze()  # the events themselves are not what is measured
        self._began = time.thread_time()

    def end(self, count: int) -> None:
        """Answer on standard output: microseconds an event."""
        spent = time.thread_time() - self._began
        sys.stdout.write(json.dumps({"microseconds": spent / count * 1e6}) + "\n")


def _produce_bare(told: Mapping[str, Any]) -> None:
    schema, head, clock = parse_schema(told["schema"]), _SCHEMA_ID.to_bytes(5, "big"), _Clock()
    producer = Producer(
        {
            "bootstrap.servers": told["bootstrap"],
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            "queue.buffering.max.kbytes": 131072,
        }
    )
    seen = 0

    def delivered(error: Any, _: Any) -> None:
        nonlocal seen
        if error is not None:
            raise SystemExit(str(error))
        seen += 1

    data = list(events(told["events"]))
    clock.begin()
    for event in data:
        out = BytesIO()
        schemaless_writer(out, schema, event)
        while True:
            try:
                producer.produce("bench.sink", head + out.getvalue(), event["order_id"], on_delivery=delivered)
            except BufferError:
                producer.poll(0.1)
            else:
                break
        producer.poll(0)
    producer.flush()
    clock.end(seen)


def _produce(told: Mapping[str, Any]) -> None:

    class Links:
        registry = _Registry({})

        def connect(self, on_error: Any, transactional_id: str | None) -> Any:
            return connect_producer(Settings(told["bootstrap"]), "bench-source", on_error, transactional_id)

        def close(self) -> None:
            pass

    sink = _classes(told, "sink")
    data: list[Any] = [("sink.OrderTaken", event) for event in events(told["events"])]
    if told["subject"] == "produce-typed":
        data = [sink.OrderTaken.from_avro(event) for _, event in data]
    clock = _Clock()
    with Own("bench-source", root=Path(told["root"]), links=Links()) as producer:
        clock.begin()
        for event in data:
            producer.send(event)
        producer.flush()
        clock.end(len(data))


def _consume_bare(told: Mapping[str, Any]) -> None:
    schema, clock, seen = parse_schema(told["schema"]), _Clock(), 0
    consumer = Consumer(
        {
            "bootstrap.servers": told["bootstrap"],
            "group.id": told["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 10,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([_SOURCE])
    while seen < told["events"]:
        batch: list[Any] = consumer.consume(1000, 0) or consumer.consume(1, 0.2)
        if not batch:
            continue
        if not seen:
            clock.begin()
        for message in batch:
            schemaless_reader(BytesIO(message.value()[5:]), schema, None)
            seen += 1
        consumer.commit()
    clock.end(seen)
    consumer.close()


def _consume(told: Mapping[str, Any]) -> None:
    configure()
    market, seen, clock, stop, wanted = _classes(told, "market"), 0, _Clock(), Stop(), told["events"]
    service = Service("bench-ours")

    def take(event: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            clock.begin()
        elif seen == wanted:
            clock.end(seen)
            stop.request()

    def take_typed(event: Any) -> None:
        take(event)

    take_typed.__annotations__["event"] = market.OrderPlaced
    contracts = load(Path(told["root"]))
    workload = contracts.workload(f"bench-{told['subject']}")
    for other in contracts.service("bench-ours").workloads:  # a service has to have all of its handlers
        if other.name == "bench-typed":
            service.handler(other.name)(take_typed)
            continue
        for event_type in other.consumes:
            service.handler(other.name, event_type=event_type)(take)
    settings = Settings(told["bootstrap"])
    assembly = assemble(
        contracts,
        workload,
        dispatch_table(contracts, workload, service),
        registry=_Registry({"bench.market-market.OrderPlaced": told["schema"]}),
        consumer=lambda: connect_consumer(settings, told["group"], _ignore),
        producer=lambda: connect_producer(settings, workload.name, _ignore),
        patience=Patience(),
        stop=stop,
        journal=None,
    )
    assembly.loop.run([_SOURCE])


_RUN: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "produce-bare": _produce_bare,
    "produce-dict": _produce,
    "produce-typed": _produce,
    "bare": _consume_bare,
    "dict": _consume,
    "typed": _consume,
}


def _classes(told: Mapping[str, Any], namespace: str) -> Any:
    """Return the module of a namespace, generated by the checkout that is measured."""
    sys.path.insert(0, told["root"])
    return __import__(f"schemas.{namespace}").__dict__[namespace]


def _ignore(*_: Any) -> None:
    """Take what a client reports."""


class _Checkout:
    """A checkout of Lockgate, and the measured project with the classes that it generates."""

    def __init__(self, path: Path, name: str, root: Path) -> None:
        self.name = name
        self._path = path
        self.root = root / name
        shutil.copytree(HERE / "world", self.root)
        self._python("-m", "lockgate", "-C", str(self.root), "schemas", "codegen")

    def measure(self, subject: str, told: Mapping[str, Any]) -> float:
        """Run one subject once; return microseconds an event."""
        job = {**told, "subject": subject, "root": str(self.root)}
        done = self._python("-m", "bench.cpu", "--told", json.dumps(job))
        return float(json.loads(done.splitlines()[-1])["microseconds"])

    def _python(self, *arguments: str) -> str:
        paths = os.pathsep.join(map(str, (self._path / "platform", ROOT)))
        done = subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{arguments} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return done.stdout


def _fill(bootstrap: str, schema: Mapping[str, Any], count: int) -> None:
    """Write the events that the consumers read."""
    parsed, head = parse_schema(dict(schema)), _SCHEMA_ID.to_bytes(5, "big")
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 50})
    for event in events(count):
        out = BytesIO()
        schemaless_writer(out, parsed, event)
        producer.produce(_SOURCE, head + out.getvalue(), event["order_id"].encode())
        producer.poll(0)
    producer.flush()


@click.command()
@click.option("--events", "count", default=80_000, show_default=True, help="Events of a measurement.")
@click.option("--rounds", default=7, show_default=True, help="Rounds; every subject runs once in each.")
@click.option("--only", multiple=True, help="Measure these subjects only, beside their bounds.")
@click.option("--against", type=click.Path(path_type=Path, exists=True), help="Another checkout to measure as well.")
@click.option("--told", hidden=True, help="One measurement, as JSON: for this program itself.")
def main(count: int, rounds: int, only: tuple[str, ...], against: Path | None, told: str | None) -> None:
    """Print microseconds an event and ratios to the bound: medians over the rounds."""
    if told is not None:
        job = json.loads(told)
        _RUN[job["subject"]](job)
        return
    mock = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "in-process:1", "log_level": 0})
    broker = next(iter(mock.list_topics(timeout=10).brokers.values()))
    bootstrap = f"{broker.host}:{broker.port}"
    chosen = [subject for subject in SUBJECTS if not only or subject in only or subject in map(_bound, only)]
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        checkouts = [_Checkout(ROOT, "this", Path(folder))]
        if against is not None:
            checkouts.append(_Checkout(against, "other", Path(folder)))
        schema = json.loads((HERE / "world/schemas/market/OrderPlaced.avsc").read_text(encoding="utf-8"))
        _fill(bootstrap, schema, count)
        spent: dict[str, list[float]] = {}
        for number in range(rounds):
            for subject in chosen:
                for checkout in checkouts[:: 1 if number % 2 else -1]:
                    bound = subject == _bound(subject)
                    if bound and checkout is not checkouts[0]:
                        continue
                    group = f"{subject}-{checkout.name}-{number}"
                    job = {"bootstrap": bootstrap, "events": count, "schema": schema, "group": group}
                    name = subject if bound or against is None else f"{subject} ({checkout.name})"
                    spent.setdefault(name, []).append(checkout.measure(subject, job))
    for name, found in sorted(spent.items()):
        ratio = statistics.median(b / a for a, b in zip(found, spent[_bound(name)], strict=True))
        click.echo(f"{name:<24}{statistics.median(found):>8.2f} us{ratio:>8.2f}")


def _bound(subject: str) -> str:
    return "produce-bare" if subject.startswith("produce") else "bare"


if __name__ == "__main__":
    main()
