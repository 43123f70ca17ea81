"""How loading contracts and planning grow: 10,000 topics with 2,000 workloads, a half and a quarter of that.

    python bench/plan_scale.py [--topics 10000] [--workloads 2000] [--output json]

Contracts are written to a temporary folder and loaded as any project is. The plan is the difference between what they
ask for and a simulated listing of that size, in which some of everything is missing or different. Each size is measured
in a process of its own, whose peak resident memory (VmHWM) is told. Seconds are those of the clock; `cpu` is what the
process itself had of them, which is what counts on a machine that is busy with other things.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lockgate.connection import Settings
from lockgate.contracts.load import load
from lockgate.provisioning.actual import Actual, ActualSubject, ActualTopic
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.cluster import Broker, TopicConfig
from lockgate.provisioning.credentials import CredentialsFile
from lockgate.provisioning.desired import Desired, desired_state
from lockgate.provisioning.groups import ActualGroup
from lockgate.provisioning.plan import difference

SETTINGS = Settings("localhost:9092", username="admin")

SHARES = (0.25, 0.5, 1.0)
LIMITS = {"load_seconds": 5.0, "plan_seconds": 5.0, "memory_mb": 500.0}
TIERS = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topics", type=int, default=10_000, help="all topics, derived ones included")
    parser.add_argument("--workloads", type=int, default=2_000)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.one)))
        return 0
    rows = []
    for share in SHARES:
        with tempfile.TemporaryDirectory() as folder:
            write_project(Path(folder), int(options.topics * share), int(options.workloads * share))
            command = [sys.executable, __file__, "--one", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append(json.loads(done.stdout))
    whole = rows[-1]
    missed = {name: whole[name] for name, limit in LIMITS.items() if whole[name] > limit}
    if options.output == "json":
        print(json.dumps({"rows": rows, "limits": LIMITS, "missed": missed}, indent=2))
    else:
        columns = list(whole)
        print("".join(f"{column:>14}" for column in columns))
        for row in rows:
            print("".join(f"{row[column]:>14}" for column in columns))
        for name, value in missed.items():
            print(f"missed: {name} {value:.2f}, allowed {LIMITS[name]:g}")
    return int(bool(missed))


def write_project(root: Path, topics: int, workloads: int) -> None:
    """Write domains and services so that the derived world has about so many topics, and exactly so many workloads.

    Half of the workloads read with two retry tiers, each with a dead-letter and a control topic; all of them write.
    """
    readers = workloads // 2
    domains = max(1, topics - readers * (TIERS + 2))
    read_by: dict[int, list[str]] = {}
    written_by: dict[int, list[str]] = {}
    for number in range(workloads):
        name, source, target = f"w{number}", number % domains, (number * 7 + 1) % domains
        reads = number < readers and source != target
        lines = [f"name: s{number}", f'owner: {{team: T{number % 100}, contact: "@t{number % 100}"}}', "workloads:"]
        consumes = f"consumes: [d{source}.Event], retry: [1s, 1m], " if reads else ""
        lines.append(f"  {name}: {{{consumes}publishes: [d{target}.Event]}}")
        if reads:
            read_by.setdefault(source, []).append(name)
        written_by.setdefault(target, []).append(name)
        folder = root / "services" / f"s{number}"
        folder.mkdir(parents=True)
        (folder / "service.yaml").write_text("\n".join(lines) + "\n")
    for number in range(domains):
        domain = f"d{number}"
        folder = root / "schemas" / domain
        folder.mkdir(parents=True)
        (folder / "domain.yaml").write_text(
            f'owner: {{team: T{number % 100}, contact: "@t{number % 100}"}}\n'
            f"topic: {{name: d{number}, partitions: 3, replication: 3}}\nkey: id\nevents: [Event]\n"
            f"readers: [{', '.join(read_by.get(number, []))}]\nwriters: [{', '.join(written_by.get(number, []))}]\n"
        )
        fields = [{"name": "id", "type": "string"}, {"name": "amount", "type": "long"}]
        event = {"type": "record", "name": "Event", "namespace": domain, "fields": fields}
        (folder / "Event.avsc").write_text(json.dumps(event))


def measure(root: Path) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    contracts = load(root)
    load_seconds, load_cpu = time.perf_counter() - wall, time.process_time() - cpu
    actual = listing(desired_state(contracts, SETTINGS))
    wall, cpu = time.perf_counter(), time.process_time()
    desired = desired_state(contracts, SETTINGS)
    plan = difference(desired, actual)
    plan_seconds, plan_cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "topics": len(desired.topics),
        "workloads": len(contracts.workloads),
        "rights": len(desired.acls),
        "changes": len(plan.changes),
        "load_seconds": round(load_seconds, 2),
        "load_cpu": round(load_cpu, 2),
        "plan_seconds": round(plan_seconds, 2),
        "plan_cpu": round(plan_cpu, 2),
        "memory_mb": round(peak_memory() / 1024 / 1024, 1),
    }


def listing(desired: Desired) -> Actual:
    """Return a cluster in which about one in a hundred of everything is missing, and one in a hundred is different."""
    chance = random.Random(1)

    def some(values: Any) -> list[Any]:
        return [value for value in values if chance.random() > 0.01]

    topics = {}
    for topic in some(desired.topics.values()):
        config = dict(topic.config) | {"segment.bytes": "1073741824", "compression.type": "producer"}
        if chance.random() < 0.01:
            config["retention.ms"] = "1000"
        topics[topic.name] = ActualTopic(
            topic.partitions, frozenset({topic.replication}), TopicConfig(config, frozenset(topic.config))
        )
    foreign = [
        Binding(f"User:x{n}", "*", "TOPIC", f"x{n}", "LITERAL", "READ", "ALLOW") for n in range(len(topics) // 100)
    ]
    foreign += [Binding(f"User:y{n}", "*", "TOPIC", f"y{n}", "PREFIXED", "READ", "ALLOW") for n in range(20)]
    foreign += [Binding(f"User:z{n}", "*", "TOPIC", f"z{n}", "LITERAL", "WRITE", "DENY") for n in range(20)]
    return Actual(
        brokers=tuple(Broker(number, "localhost", 9091 + number) for number in (1, 2, 3)),
        topics=topics,
        users=frozenset(some(desired.users)),
        acls=frozenset([*map(Binding.of, some(desired.acls)), *foreign]),
        subjects={
            n: ActualSubject(s.compatibility, registered=chance.random() > 0.01) for n, s in desired.subjects.items()
        },
        other_subjects=(),
        credentials={name: CredentialsFile(True, True, ()) for name in desired.users},
        groups={
            group.name: ActualGroup(
                frozenset((topic, n) for topic in group.topics for n in range(desired.topics[topic].partitions))
            )
            for group in some(desired.groups.values())
        },
    )


def peak_memory() -> int:
    """Return this process's peak of resident memory in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


if __name__ == "__main__":
    sys.exit(main())
