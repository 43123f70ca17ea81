"""Offsets of groups on the real cluster: where a new one begins, how far one is, and where it goes on after a reset."""

from __future__ import annotations

import json
import subprocess
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockgate.connection import credentials_directory
from lockgate.contracts.load import load
from lockgate.provisioning.apply import apply
from lockgate.provisioning.changes import StartGroup
from lockgate.provisioning.plan import Plan, make_plan
from tests.worlds import Raw, SharedStack, World, make_world, quiet


@pytest.fixture(scope="module")
def world(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(stack, tmp_path_factory.mktemp("offsets"), partitions=2)


def folder_of(world: World) -> Path:
    return credentials_directory(world.root, world.stack.environ)


def plan_of(world: World) -> Plan:
    return make_plan(load(world.root), world.stack.settings("admin"), folder_of(world))


def add_reader(world: World, name: str, start: str) -> None:
    """Add a service of one workload that reads the world's first domain."""
    domain = world.root / "schemas" / world.source_topic / "domain.yaml"
    text = domain.read_text()
    assert "readers: [" in text
    domain.write_text(text.replace("readers: [", f"readers: [{name}, "))
    folder = world.root / "services" / name.replace("-", "_")
    folder.mkdir()
    (folder / "service.yaml").write_text(
        textwrap.dedent(
            f"""
            name: {name}
            owner: {{team: Makers-{world.name}, contact: "@makers"}}
            workloads:
              {name}: {{consumes: [{world.source_topic}.Made], start: {start}}}
            """
        )
    )


def test_a_group_begins_where_its_contract_says_also_after_an_interruption(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.produce([Raw(b"one", b"k", partition=0), Raw(b"two", b"k", partition=0), Raw(b"three", b"k", partition=1)])
    early, late = f"{world.name}-early", f"{world.name}-late"
    add_reader(world, early, "earliest")
    add_reader(world, late, "latest")
    plan = plan_of(world)
    assert {change.name for change in plan.changes if isinstance(change, StartGroup)} == {early, late}

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    admin, contracts = world.stack.settings("admin"), load(world.root)
    with monkeypatch.context() as patch:
        patch.setattr("lockgate.provisioning.apply.create_acls", fail)  # by then topics are under way
        with pytest.raises(KeyboardInterrupt):
            apply(contracts, admin, folder_of(world), progress=quiet)
    world.stack.apply(world.root)

    assert world.committed(early, world.source_topic) == {0: 0, 1: 0}
    assert world.committed(late, world.source_topic) == {0: 2, 1: 1}
    for group in (early, late):
        assert world.committed(group, f"{world.source_topic}.retry.{group}.1") == {0: 0, 1: 0}
    assert plan_of(world).is_empty


def offsets(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    return world.stack.lockgate("offsets", world.worker, *arguments, root=world.root)


def shown(world: World, *arguments: str) -> dict[str, Any]:
    done = offsets(world, *arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_stopped_workload_is_shown_and_reset_and_goes_on_from_there(world: World) -> None:
    topic, retry = world.source_topic, f"{world.source_topic}.retry.{world.worker}.1"
    world.write_handlers("""
        @service.handler("$work")
        def handle(event: a.Made) -> None: ...
        @service.handler("$sink")
        def take(event: b.Sent) -> None: ...
    """)

    def made(number: int, stamp: int) -> Raw:
        value = world.encode("Made", {"item_id": "i", "note": None, "size": number, "colour": "RED"})
        return Raw(value, b"i", partition=0, timestamp=stamp)

    now = int(time.time() * 1000)
    before = len(world.read(topic))
    written = world.produce([made(number, now + 60_000 * number) for number in range(4)])
    end = written[-1].offset + 1

    with world.running() as running:
        running.until(lambda: len(world.outcomes()) == before + 4, "all outcomes")
        refused = offsets(world, "--to", "earliest", "--yes")
        assert refused.returncode == 2
        assert "1 process of it runs" in refused.stderr
        running.stop()

    found = shown(world)
    assert (found["workload"], found["members"], found["lag"], found["waiting"]) == (world.worker, 0, 0, 0)
    entry = next(e for e in found["partitions"] if (e["topic"], e["partition"]) == (topic, 0))
    assert entry == {
        "topic": topic,
        "kind": "domain",
        "partition": 0,
        "start": 0,
        "committed": end,
        "end": end,
        "lag": 0,
    }
    assert {e["kind"] for e in found["partitions"] if e["topic"] == retry} == {"retry"}

    moment = datetime.fromtimestamp((now + 90_000) / 1000, UTC).isoformat()
    looked = shown(world, "--to-time", moment, "--partition", "0", "--dry-run")
    assert [(m["partition"], m["before"], m["after"], m["again"]) for m in looked["moves"]] == [(0, end, end - 2, 2)]
    assert not looked["done"]
    assert world.committed(world.worker, topic)[0] == end

    assert offsets(world, "--by", "-2", "--partition", "0").returncode == 2, "it asks nobody where there is no terminal"
    assert shown(world, "--by", "-2", "--partition", "0", "--yes")["done"]
    assert world.committed(world.worker, topic)[0] == end - 2
    with world.running() as running:
        running.until(lambda: len(world.outcomes()) == before + 6, "two of them again")
        running.stop()
    assert [line["offset"] for line in world.outcomes()[-2:]] == [end - 2, end - 1]
