"""Offsets of groups on the real cluster: where a new one begins, as `apply` sets it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from lockgate.connection import credentials_directory
from lockgate.contracts.load import load
from lockgate.provisioning.apply import apply
from lockgate.provisioning.changes import StartGroup
from lockgate.provisioning.cluster import Cluster
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
            owner: {{team: Makers, contact: "@makers"}}
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
        patch.setattr(Cluster, "create_acls", fail)  # by then topics are under way
        with pytest.raises(KeyboardInterrupt):
            apply(contracts, admin, folder_of(world), progress=quiet)
    world.stack.apply(world.root)

    assert world.committed(early, world.source_topic) == {0: 0, 1: 0}
    assert world.committed(late, world.source_topic) == {0: 2, 1: 1}
    for group in (early, late):
        assert world.committed(group, f"{world.source_topic}.retry.{group}.1") == {0: 0, 1: 0}
    assert plan_of(world).is_empty
