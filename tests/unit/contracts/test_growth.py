"""What docs/scaling.md says that brokers get for a domain and the workloads that read it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import attrs
import pytest

from lockgate.contracts.derive import Derived, derive
from lockgate.contracts.load import load
from tests.projects import write_project

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "scaling.md").read_text(encoding="utf-8")


@attrs.frozen
class Shape:
    partitions: int
    replication: int
    readers: int
    tiers: int
    more: str = ""
    domains: int = 1
    teams: int = 1

    @property
    def parks(self) -> int:
        return int("order: key" in self.more and (self.tiers > 0 or self.holds))

    @property
    def holds(self) -> bool:
        return "hold" in self.more


def derived(root: Path, shape: Shape) -> Derived:
    """Return what follows from domains of one writer and some readers each, a team's for every so many of them."""
    delays = ", ".join(f"{number}s" for number in range(1, shape.tiers + 1))
    options = (f", retry: [{delays}]" if delays else "") + (f", {shape.more}" if shape.more else "")
    files: dict[str, str | bytes | None] = {}
    for number in range(shape.domains):
        owner = f'owner: {{team: T{number % shape.teams}, contact: "@t"}}\n'
        readers = [f"r{number}-{reader}" for reader in range(shape.readers)]
        topic = f"{{name: d{number}, partitions: {shape.partitions}, replication: {shape.replication}}}"
        files[f"schemas/d{number}/domain.yaml"] = (
            f"{owner}topic: {topic}\nkey: id\nevents: [Event]\nreaders: [{', '.join(readers)}]\nwriters: [w{number}]\n"
        )
        fields = [{"name": "id", "type": "string"}]
        event = {"type": "record", "name": "Event", "namespace": f"d{number}", "fields": fields}
        files[f"schemas/d{number}/Event.avsc"] = json.dumps(event)
        workloads = [f"{reader}: {{consumes: [d{number}.Event]{options}}}" for reader in readers]
        workloads.append(f"w{number}: {{publishes: [d{number}.Event]}}")
        files[f"services/s{number}/service.yaml"] = f"name: s{number}\n{owner}workloads:\n" + "".join(
            f"  {workload}\n" for workload in workloads
        )
    return derive(load(write_project(root, files)))


@pytest.mark.parametrize(
    "shape",
    [
        Shape(6, 3, 1, 0),
        Shape(6, 3, 1, 0, "order: key"),
        Shape(4, 2, 3, 1),
        Shape(6, 3, 1, 3, "order: key"),
        Shape(6, 3, 2, 3, "exactly_once: true"),
        Shape(6, 3, 2, 3, "order: key, on_dead_letter: hold"),
        Shape(6, 3, 2, 0, "order: key, on_dead_letter: hold"),
        Shape(12, 3, 3, 2, domains=4, teams=2),
    ],
    ids=str,
)
def test_topics_partitions_users_and_rights_grow_as_the_page_says(tmp_path: Path, shape: Shape) -> None:
    found = derived(tmp_path, shape)
    readers, tiers, parks = shape.domains * shape.readers, shape.tiers, shape.parks
    rights = (2 * tiers + 7 if tiers else 8) + 3 * parks + 4 * shape.holds + ("exactly_once" in shape.more)
    partitions = shape.domains * shape.partitions + readers * (shape.partitions * (max(1, tiers) + parks + 1) + 1)
    assert len(found.topics) == shape.domains + readers * (max(1, tiers) + parks + 2)
    assert sum(topic.partitions for topic in found.topics) == partitions
    assert sum(topic.partitions * topic.replication for topic in found.topics) == partitions * shape.replication
    assert len(found.groups) == readers
    assert len(found.principals) == readers + shape.domains + 2 * shape.teams + 1
    assert len(found.acls) == readers * rights + shape.domains + 2 * shape.teams


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ("one topic of 6 partitions, one reader without `retry`, one writer", Shape(6, 3, 1, 0)),
        ("the same with 3 tiers", Shape(6, 3, 1, 3)),
        ("the same with 3 tiers and `order: key`", Shape(6, 3, 1, 3, "order: key")),
        ("20 topics of 12 partitions, 3 readers each with 2 tiers", Shape(12, 3, 3, 2, domains=20, teams=10)),
        ("the same with 48 partitions", Shape(48, 3, 3, 2, domains=20, teams=10)),
    ],
)
def test_the_worlds_of_the_page_are_as_large_as_it_says(tmp_path: Path, row: str, shape: Shape) -> None:
    found = derived(tmp_path, shape)
    partitions = sum(topic.partitions for topic in found.topics)
    figures = len(found.topics), partitions, 3 * partitions, len(found.acls), len(found.principals), partitions
    shown = re.search(rf"^\| {re.escape(row)} \|(.*)\|$", PAGE, re.M)
    assert shown is not None
    assert tuple(int(cell.replace(",", "")) for cell in shown[1].split("|")) == figures
