"""Measure all subjects side by side: rounds interleaved, medians, ratios within the run; JSON and a chart."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from chart import draw
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from events import events
from fastavro import parse_schema, schemaless_writer
from lineup import SUBJECTS, TARGETS, Subject

from lockgate.connection import Settings, credentials_directory, settings_for
from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts
from lockgate.governance.codegen import generate
from lockgate.local.stack import Stack
from lockgate.provisioning.apply import apply
from lockgate.provisioning.plan import make_plan
from lockgate.records import frame
from lockgate.registry import Registry

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
_PATIENCE = 240
"""Seconds that one measurement may take."""


class World:
    """The measured project, applied to the local stack."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self._environ = {"LOCKGATE_HOME": str(home)}
        shutil.copytree(HERE / "world", root)
        self.contracts: Contracts = load(root)
        for path, text in generate(self.contracts).items():
            (root / path).write_text(text, encoding="utf-8")
        credentials = credentials_directory(root, self._environ)
        admin = self.settings("admin")
        apply(make_plan(self.contracts, admin, credentials), self.contracts, admin, credentials, progress=_quiet)
        self.admin = AdminClient(admin.client_config())
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
            future.result(30)

    def settings(self, principal: str) -> Settings:
        """Return what a principal reaches the stack by."""
        return settings_for(principal, self.root, self._environ)

    def schema_id(self, event_type: str) -> int:
        """Return the id that an event type is registered under."""
        domain, event = self.contracts.domain_of(event_type), self.contracts.events[event_type]
        with Registry(self.settings("admin")) as registry:
            found = registry.find(domain.subject(event), event.schema)
        if found is None:
            raise SystemExit(f"{event_type} is not registered")
        return found.schema_id

    def fill(self, count: int) -> None:
        """See to it that the topic that is read holds enough events."""
        topic, event_type = "bench.market", "market.OrderPlaced"
        consumer = Consumer(self.settings("admin").client_config() | {"group.id": "unused"})
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        there = sum(
            high - low
            for low, high in (consumer.get_watermark_offsets(TopicPartition(topic, each), 10) for each in partitions)
        )
        consumer.close()
        if there >= count:
            return
        schema, schema_id = parse_schema(dict(self.contracts.events[event_type].schema)), self.schema_id(event_type)
        producer = Producer(self.settings("bench-source").client_config() | {"compression.type": "lz4", "linger.ms": 5})
        for event in events(count - there):
            with tempfile.SpooledTemporaryFile() as out:
                schemaless_writer(out, schema, event)
                out.seek(0)
                value = frame(schema_id, out.read())
            while True:
                try:
                    producer.produce(topic, value, event["order_id"].encode())
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
            producer.poll(0)
        producer.flush()

    def rewind(self, group: str) -> None:
        """Let a group begin at the first record again; it has to be left by its members."""
        deadline = time.monotonic() + 60
        while True:
            try:
                for future in self.admin.delete_consumer_groups([group]).values():
                    future.result(30)
            except KafkaException as error:
                if error.args[0].name() == "GROUP_ID_NOT_FOUND":
                    return
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return


def measure(world: World, subject: Subject, count: int) -> float:
    """Run one subject once; return events a second."""
    if not subject.produces:
        world.rewind(subject.workload)
    settings, registry = world.settings(subject.workload), world.settings("admin")
    event = world.contracts.events[subject.event_type]
    job = {
        "subject": subject.name,
        "workload": subject.workload,
        "topic": subject.topic,
        "events": max(1, round(count * subject.share)),
        "schema": event.schema,
        "schema_id": world.schema_id(subject.event_type),
        "bootstrap": settings.bootstrap_servers,
        "password": settings.password,
        "ca": settings.ca_file,
        "registry": {
            "url": settings.registry_url,
            "basic.auth.user.info": f"{settings.registry_username}:{settings.registry_password}",
            "ssl.ca.location": registry.ca_file,
        },
        "root": str(world.root),
    }
    python = sys.executable if subject.own else str(ROOT / ".venv-bench" / "bin" / "python")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCKGATE_")}
    done = subprocess.run(
        [python, str(HERE / "subjects" / subject.script)],
        input=json.dumps(job),
        env=kept | {"PYTHONPATH": str(HERE)} if subject.produces else kept,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith('{"events"')]
    if done.returncode != 0 or not answers:
        raise SystemExit(f"{subject.name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    answer = json.loads(answers[-1])
    return float(answer["events"] / answer["seconds"])


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


def summary(rates: Mapping[str, Sequence[float]], count: int, rounds: int) -> dict[str, Any]:
    """Return the run as a document: medians, spreads, ratios, targets."""
    medians = {name: statistics.median(found) for name, found in rates.items()}

    def ratio(one: str, other: str) -> float:
        """Return the median over rounds: a round that was disturbed disturbs both."""
        return statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True))

    return {
        "events": count,
        "rounds": rounds,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
        "versions": {name: version(name) for name in ("lockgate", "confluent-kafka", "fastavro")},
        "rates": {
            name: {"median": round(medians[name]), "rounds": [round(rate) for rate in found]}
            for name, found in rates.items()
        },
        "against_bound": {
            name: round(ratio(name, "produce-bare" if name.startswith("produce") else "bare"), 3)
            for name in rates
            if ("produce-bare" if name.startswith("produce") else "bare") in rates
        },
        "targets": [
            {
                "subject": target.subject,
                "against": target.against,
                "at_least": target.at_least,
                "ratio": round(ratio(target.subject, target.against), 3),
                "met": ratio(target.subject, target.against) >= target.at_least,
            }
            for target in TARGETS
            if target.subject in rates and target.against in rates
        ],
    }


@click.command()
@click.option(
    "--events", "count", default=200_000, show_default=True, help="Events that a fast subject gets in a round."
)
@click.option("--rounds", default=5, show_default=True, help="Rounds; every subject runs once in each.")
@click.option("--only", multiple=True, help="Measure these subjects only.")
@click.option("--output", type=click.Path(path_type=Path), default=HERE / "results", show_default=True)
def main(count: int, rounds: int, only: tuple[str, ...], output: Path) -> None:
    """Measure every subject in every round, and write results.json and results.svg."""
    unknown = set(only) - {subject.name for subject in SUBJECTS}
    if unknown:
        raise click.UsageError(f"no subject is called {', '.join(sorted(unknown))}")
    chosen = [subject for subject in SUBJECTS if not only or subject.name in only]
    home = Path(os.environ.get("LOCKGATE_HOME") or HERE / ".stack")
    rates: dict[str, list[float]] = {subject.name: [] for subject in chosen}
    with stack(home), tempfile.TemporaryDirectory(prefix="bench") as folder:
        world = World(Path(folder) / "world", home)
        world.fill(count)
        for number in range(rounds):
            shift = number % len(chosen)  # nobody is always first, or always behind the same one
            for subject in chosen[shift:] + chosen[:shift]:
                rate = measure(world, subject, count)
                rates[subject.name].append(rate)
                click.echo(f"round {number + 1}: {subject.name:<18}{rate:>12,.0f} a second", err=True)
    found = summary(rates, count, rounds)
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    draw(found, output / "results.svg")
    for target in found["targets"]:
        word = "met" if target["met"] else "MISSED"
        click.echo(
            f"{target['subject']} against {target['against']}: {target['ratio']:.2f} (>= {target['at_least']}) {word}"
        )
    click.echo(f"{output / 'results.json'}, {output / 'results.svg'}")


def _quiet(_: object, *__: object) -> None:
    """Take progress and say nothing."""


if __name__ == "__main__":
    main()
