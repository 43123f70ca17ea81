"""Measure the compatibility check: schemas with ten versions each, at FULL_TRANSITIVE, and how it grows.

Side by side: ours without and with witnesses, the `avro` package's own check where it is installed, and what fastavro
takes to parse the same schemas, which checks nothing. Medians of three rounds, in one process: seconds on the clock,
and of the processor, which others on the machine do not lengthen as much.

usage: python bench/compatibility.py [--schemas 1000] [--versions 10] [--broken 0.02] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro

from lockgate.avro import check

ROUNDS = 3
Schema = dict[str, Any]
History = list[Schema]


def histories(schemas: int, versions: int, broken: float) -> list[History]:
    """Return histories as teams make them: each version adds a field and a doc; the last one of a few breaks."""
    rng = random.Random(17)
    return [_history(f"domain{n % 40}.Event{n}", versions, rng, breaks=rng.random() < broken) for n in range(schemas)]


def _history(name: str, versions: int, rng: random.Random, *, breaks: bool) -> History:
    namespace, _, last = name.rpartition(".")
    money = {
        "type": "record",
        "name": "Money",
        "fields": [
            {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
            {"name": "currency", "type": {"type": "enum", "name": "Currency", "symbols": ["EUR", "USD", "GBP"]}},
        ],
    }
    fields: list[Any] = [
        {"name": "order_id", "type": "string", "doc": "The order."},
        {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "total", "type": money},
        {"name": "shipping", "type": ["null", "Money"], "default": None},
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [
                        {"name": "sku", "type": "string"},
                        {"name": "quantity", "type": "int"},
                        {"name": "price", "type": "Money"},
                    ],
                },
            },
        },
        {"name": "labels", "type": {"type": "map", "values": "string"}, "default": {}},
        {"name": "note", "type": ["null", "string"], "default": None},
    ]
    history: History = []
    for version in range(versions):
        fields = [
            *fields,
            {"name": f"added_{version}", "type": rng.choice([["null", "string"], ["null", "long"]]), "default": None},
        ]
        history.append(
            {"type": "record", "name": last, "namespace": namespace, "doc": f"Version {version}.", "fields": fields}
        )
    if breaks:
        history[-1] = history[-1] | {"fields": [*fields[1:], {"name": "needed", "type": "string"}]}
    return history


def ours(found: list[History], *, witnesses: bool) -> int:
    """Check the last version of each against all before it; return how many break."""
    return sum(
        any(finding.kind == "breaking" for finding in check(past, last, "FULL_TRANSITIVE", witnesses=witnesses))
        for *past, last in found
    )


def of_avro(found: list[History]) -> int:
    """Do the same with the `avro` package."""
    from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
    from avro.schema import make_avsc_object

    broken = 0
    for versions in found:
        *past, last = (make_avsc_object(schema) for schema in versions)
        fits = [
            ReaderWriterCompatibilityChecker().get_compatibility(reader, writer).compatibility
            for earlier in past
            for reader, writer in ((last, earlier), (earlier, last))
        ]
        broken += any(fit is not SchemaCompatibilityType.compatible for fit in fits)
    return broken


def of_fastavro(found: list[History]) -> int:
    """Only parse."""
    for versions in found:
        for schema in versions:
            fastavro.parse_schema(schema)
    return 0


def median(what: Callable[[], int]) -> tuple[float, float, int]:
    """Return the medians of the seconds on the clock and of the processor, and the result."""
    clock, processor = [], []
    for _ in range(ROUNDS):
        begin = time.perf_counter(), time.process_time()
        result = what()
        clock.append(time.perf_counter() - begin[0])
        processor.append(time.process_time() - begin[1])
    return statistics.median(clock), statistics.median(processor), result


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> None:
    """Print the figures, and write them as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--broken", type=float, default=0.02, help="share of the histories whose last version breaks")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "schemas": options.schemas,
        "versions": options.versions,
        "broken": options.broken,
        "seconds": {},
    }
    found = histories(options.schemas, options.versions, options.broken)
    subjects: dict[str, Callable[[], int]] = {
        "ours": lambda: ours(found, witnesses=False),
        "ours, with witnesses": lambda: ours(found, witnesses=True),
        "fastavro, parsing only": lambda: of_fastavro(found),
    }
    try:
        import avro.compatibility  # noqa: F401
    except ImportError:
        _say("the avro package is not installed: left out")
    else:
        subjects["avro package"] = lambda: of_avro(found)
    base = None
    for name, subject in subjects.items():
        clock, processor, broken = median(subject)
        base = base or processor
        figures["seconds"][name] = {"clock": round(clock, 3), "processor": round(processor, 3)}
        _say(
            f"{name:24} {clock:7.2f} s  {processor:7.2f} s of the processor  {processor / base:5.2f} x  {broken} break"
        )
    _say("\ngrowth (ours, with witnesses)")
    figures["growth"] = {}
    for factor in (0.25, 0.5, 1.0, 2.0, 4.0):
        size = round(options.schemas * factor)
        many = histories(size, options.versions, options.broken)
        clock, processor, _ = median(lambda many=many: ours(many, witnesses=True))  # type: ignore[misc]  # bound at once
        figures["growth"][size] = {"clock": round(clock, 3), "processor": round(processor, 3)}
        each = 1e6 * processor / (size * options.versions)
        _say(f"{size:8} schemas {clock:7.2f} s  {processor:7.2f} s of the processor  {each:6.1f} µs a version")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
