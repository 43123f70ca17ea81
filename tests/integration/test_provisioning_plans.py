"""Saved plans, drift and applies at the same time, on the real cluster."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from lockgate.connection import credentials_directory
from lockgate.contracts.load import load
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.plan import Plan, make_plan
from lockgate.provisioning.wire import BrokerConnection
from tests.worlds import SharedStack, World, eventually, make_world, write_world


@pytest.fixture(scope="module")
def world(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return one small project for the whole module."""
    return make_world(stack, tmp_path_factory.mktemp("plans"))


def plan_of(world: World) -> Plan:
    folder = credentials_directory(world.root, world.stack.environ)
    return make_plan(load(world.root), world.stack.settings("admin"), folder)


def edit(world: World, path: str, before: str, after: str) -> None:
    file = world.root / path
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def set_by_hand(world: World, topic: str, key: str, value: str) -> None:
    admin = AdminClient(world.stack.settings("admin").client_config())
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
    ).values():
        future.result(10)


@contextmanager
def applying(stack: SharedStack, root: Path) -> Iterator[subprocess.Popen[str]]:
    """Start `lockgate apply` as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lockgate", "apply"],
        cwd=root,
        env=stack.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_saved_plan_is_applied_exactly_or_refused_with_what_moved(world: World, tmp_path: Path) -> None:
    file, domain = str(tmp_path / "plan.json"), f"schemas/{world.source_topic}/domain.yaml"
    edit(world, domain, "retention: 1d", "retention: 2d")
    assert world.stack.lockgate("plan", "--save", file, root=world.root).returncode == 0

    set_by_hand(world, world.source_topic, "retention.ms", "1000")
    eventually(lambda: any(c.cause == "both" for c in plan_of(world).changes), "the change by hand")
    refused = world.stack.lockgate("apply", file, root=world.root)
    assert refused.returncode == 2
    assert f"topic {world.source_topic}: it was retention.ms 86400000, and is retention.ms 1000 now" in refused.stderr

    set_by_hand(world, world.source_topic, "retention.ms", "86400000")
    eventually(lambda: all(c.cause == "files" for c in plan_of(world).changes), "the change back")
    done = world.stack.lockgate("apply", file, root=world.root)
    assert done.returncode == 0, done.stderr
    assert "0 created, 1 changed" in done.stdout
    again = world.stack.lockgate("apply", file, root=world.root)
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stdout

    edit(world, domain, "retention: 2d", "retention: 3d")
    moved = world.stack.lockgate("apply", file, root=world.root)
    assert moved.returncode == 2
    assert "the contracts ask something else of it since" in moved.stderr


def test_drift_is_shown_apart_from_what_the_files_changed(world: World) -> None:
    edit(world, f"schemas/{world.result_topic}/domain.yaml", "retention: 1d", "retention: 4d")
    set_by_hand(world, world.result_topic, "min.insync.replicas", "1")
    eventually(lambda: plan_of(world).counts["drift"], "the drift")
    document = json.loads(world.stack.lockgate("plan", "--output", "json", root=world.root).stdout)
    causes = {
        key: change["cause"]
        for change in document["changes"]
        if change["name"] == world.result_topic
        for key in change["after"]["config"]
    }
    assert causes == {"min.insync.replicas": "drift", "retention.ms": "files"}
    world.stack.apply(world.root)
    assert plan_of(world).is_empty


def test_a_right_that_both_sides_gave_back_is_taken_away_only_where_that_is_allowed(world: World) -> None:
    edit(world, "services/making/service.yaml", f"    publishes: [{world.result_topic}.Sent]\n", "")
    edit(world, f"schemas/{world.result_topic}/domain.yaml", f"writers: [{world.name}-work.a]", "writers: []")
    phrase = f"{world.worker} may WRITE topic {world.result_topic}"
    assert [change.name for change in plan_of(world).deletions] == [phrase]
    plain = world.stack.lockgate("apply", root=world.root)
    assert "Left to delete: 1" in plain.stdout
    # still known as Lockgate's own after an apply that left it
    assert [change.name for change in plan_of(world).deletions] == [phrase]
    allowed = world.stack.lockgate("apply", "--allow-delete", root=world.root)
    assert allowed.returncode == 0, allowed.stderr
    assert "1 right taken away" in allowed.stdout
    eventually(lambda: plan_of(world) == Plan(unmanaged=plan_of(world).unmanaged) or plan_of(world).is_empty, "the end")


def test_two_applies_at_once_agree_on_every_password(stack: SharedStack, tmp_path: Path) -> None:
    name = f"p{secrets.token_hex(4)}"
    write_world(tmp_path, name)
    with applying(stack, tmp_path) as one, applying(stack, tmp_path) as other:
        outputs = [process.communicate(timeout=120)[0] for process in (one, other)]
        assert [one.returncode, other.returncode] == [0, 0], outputs
    # one of them found that all was done
    assert sorted("nothing to change" in output for output in outputs) == [False, True]
    with Cluster(stack.settings("admin")) as cluster:
        brokers = cluster.brokers()
    for principal in (f"{name}-work", f"{name}-work.a", f"{name}-source"):
        for broker in brokers:
            BrokerConnection(broker, stack.settings(principal, tmp_path)).close()


def test_an_apply_that_was_killed_is_finished_by_the_next(stack: SharedStack, tmp_path: Path) -> None:
    write_world(tmp_path, f"p{secrets.token_hex(4)}")
    with applying(stack, tmp_path) as killed:
        assert killed.stdout is not None
        line = killed.stdout.readline()
        if line.startswith("waiting"):  # for another test's apply
            line = killed.stdout.readline()
        assert "topics created" in line
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    contracts = stack.apply(tmp_path)
    plan = make_plan(contracts, stack.settings("admin"), credentials_directory(tmp_path, stack.environ))
    assert plan.is_empty
    assert not plan.counts["drift"]
