"""How long `lockgate schemas check --against git` takes, and how that grows.

Builds scratch git repositories of event types with a history of versions each, and measures the whole command as a user
runs it, with one event type changed (a pull request) and with every one changed (the worst case), and the worst case's
parts.

usage: python bench/schema_check.py [--schemas 1000] [--versions 10] [--rounds 3] [--output json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lockgate.contracts.load import load
from lockgate.governance.base import Base
from lockgate.governance.check import against_git

A_DOMAIN = 20
"""Event types of one domain."""


def main() -> None:
    """Measure 1 and 2 times as many schemas, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="Time the check of schemas against git's history.")
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for factor in (1, 2):
        with tempfile.TemporaryDirectory(prefix="lockgate-bench-") as folder:
            root = Path(folder)
            count = options.schemas * factor
            build(root, count, options.versions)
            rows.append({"schemas": count, "versions": options.versions, **measure(root, count, options)})
    if options.output == "json":
        report = {"cores": os.cpu_count(), "rounds": options.rounds, "seconds": rows}
        sys.stdout.write(f"{json.dumps(report, indent=2)}\n")
        return
    names = [name for name in rows[0] if name not in ("schemas", "versions")]
    lines = [
        f"median seconds of {options.rounds}: on the clock (of all processors), {options.versions} versions a schema, "
        f"{os.cpu_count()} cores",
        f"{'':<32}" + "".join(f"{row['schemas']:>12,} schemas" for row in rows) + "  growth of the latter",
    ]
    for name in names:
        cells = "".join(f"{row[name]['wall']:12.2f} ({row[name]['cpu']:5.2f})" for row in rows)
        lines.append(f"{name:<32}{cells}{rows[1][name]['cpu'] / rows[0][name]['cpu']:8.1f}x")
    sys.stdout.write("\n".join(lines) + "\n")


def measure(root: Path, count: int, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the medians by what was measured."""
    found: dict[str, dict[str, float]] = {}
    write(root, count, options.versions, changed=range(1))
    found["command, one schema changed"] = timed(lambda: command(root), options.rounds)
    write(root, count, options.versions, changed=range(count))
    found["command, every schema changed"] = timed(lambda: command(root), options.rounds)
    contracts = load(root)
    found["  load the contracts"] = timed(lambda: load(root), options.rounds)

    def read() -> None:
        Base(contracts, "HEAD").history.prefetch(contracts.events)

    def checked() -> None:
        verdict = against_git(contracts, "HEAD")
        if not verdict.compatible or any(len(one.names) != options.versions for one in verdict.comparisons):
            raise SystemExit("not every version was compared, or one was found to break")

    found["  check, git included"] = timed(checked, options.rounds)
    found["    read git, in one process"] = timed(read, options.rounds)
    return found


def timed(action: Callable[[], None], rounds: int) -> dict[str, float]:
    """Return medians of some rounds in seconds: on the clock, and of all processors, those of children too."""
    walls, cpus = [], []
    for _ in range(rounds):
        start, used = time.perf_counter(), sum(os.times()[:4])
        action()
        walls.append(time.perf_counter() - start)
        cpus.append(sum(os.times()[:4]) - used)
    return {"wall": round(statistics.median(walls), 3), "cpu": round(statistics.median(cpus), 3)}


def command(root: Path) -> None:
    """Run the command as a user does."""
    arguments = [sys.executable, "-m", "lockgate", "-C", str(root), "schemas", "check", "--against", "git:HEAD"]
    subprocess.run(arguments, check=True, capture_output=True)


def domains(count: int) -> Iterator[tuple[str, list[str]]]:
    """Yield each domain with its event types."""
    for number, first in enumerate(range(0, count, A_DOMAIN)):
        yield f"d{number:03}", [f"Event{index:05}" for index in range(first, min(first + A_DOMAIN, count))]


def schema(domain: str, event: str, version: int) -> dict[str, Any]:
    """Return one version of an event type: each adds an optional field."""
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": "string", "doc": "Identifies it."},
        {"name": "price", "type": "common.Money", "doc": "To be paid."},
        {"name": "address", "type": f"{domain}.Address", "doc": "Where it goes."},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "UTC."},
        {"name": "kind", "type": {"type": "enum", "name": f"{event}Kind", "symbols": ["A", "B", "C"]}, "doc": "Kind."},
        {"name": "lines", "type": {"type": "array", "items": "string"}, "doc": "What is in it."},
    ]
    fields += [
        {"name": f"note{index}", "type": ["null", "string"], "default": None, "doc": "A note."}
        for index in range(version)
    ]
    return {"type": "record", "name": event, "namespace": domain, "doc": "It happened.", "fields": fields}


def shared(namespace: str, name: str, *fields: str) -> dict[str, Any]:
    """Return a type that event types use."""
    return {
        "type": "record",
        "name": name,
        "namespace": namespace,
        "doc": f"{name}.",
        "fields": [{"name": field, "type": "string", "doc": f"The {field}."} for field in fields],
    }


def files(count: int, version: int) -> Iterator[tuple[str, str]]:
    """Yield the files that one commit changes."""
    if version == 0:
        yield "schemas/common/Money.avsc", json.dumps(shared("common", "Money", "amount", "currency"), indent=2)
    for domain, events in domains(count):
        if version == 0:
            yield f"schemas/{domain}/Address.avsc", json.dumps(shared(domain, "Address", "street", "city"), indent=2)
            yield (
                f"schemas/{domain}/domain.yaml",
                f'owner: {{team: Team, contact: "@team"}}\ntopic: {{name: {domain}}}\nkey: id\n'
                f"compatibility: FULL_TRANSITIVE\nevents: [{', '.join(events)}]\n",
            )
        for event in events:
            yield f"schemas/{domain}/{event}.avsc", json.dumps(schema(domain, event, version), indent=2)


def build(root: Path, count: int, versions: int) -> None:
    """Make a repository in which every commit changes every schema."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    stream: list[str] = []
    for version in range(versions):
        stream.append(
            f"commit refs/heads/main\ncommitter b <b@example.org> {1_700_000_000 + version} +0000\ndata 1\nc\n"
        )
        for path, text in files(count, version):
            stream.append(f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n")
    subprocess.run(["git", "-C", str(root), "fast-import", "--quiet"], input="".join(stream).encode(), check=True)
    subprocess.run(["git", "-C", str(root), "reset", "-q", "--hard", "main"], check=True)


def write(root: Path, count: int, versions: int, *, changed: range) -> None:
    """Write the working tree: the next version of some schemas, the committed one of the others."""
    position = 0
    for domain, events in domains(count):
        for event in events:
            version = versions if position in changed else versions - 1
            path = root / "schemas" / domain / f"{event}.avsc"
            path.write_text(json.dumps(schema(domain, event, version), indent=2), encoding="utf-8")
            position += 1


if __name__ == "__main__":
    main()
