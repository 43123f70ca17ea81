"""What is retired is deleted once nothing speaks against it, and not before: on the real cluster."""

from __future__ import annotations

import shutil

from confluent_kafka.admin import AdminClient

from lockgate.connection import credentials_directory
from lockgate.contracts.load import load
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.plan import Plan, make_plan
from lockgate.registry import Registry
from tests.worlds import Raw, World, eventually


def plan_of(world: World) -> Plan:
    folder = credentials_directory(world.root, world.stack.environ)
    return make_plan(load(world.root), world.stack.settings("admin"), folder)


def edit(world: World, path: str, *replacements: tuple[str, str]) -> None:
    file = world.root / path
    text = file.read_text(encoding="utf-8")
    for before, after in replacements:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")


def topics(world: World) -> set[str]:
    admin = AdminClient(world.stack.settings("admin").client_config())
    return {name for name in admin.list_topics(timeout=10).topics if name.startswith(world.name)}


def test_a_workload_and_a_domain_are_deleted_step_by_step(world: World) -> None:
    service, source = "services/making/service.yaml", f"schemas/{world.source_topic}/domain.yaml"
    letters = f"{world.result_topic}.dlq.{world.sink}"
    letter = world.produce([Raw(b"a letter", b"k")], letters, principal=world.sink)
    assert letter[0].offset == 0
    # the domain of results goes, and with it the workload that read it: first the files alone
    shutil.rmtree(world.root / "schemas" / world.result_topic)
    edit(
        world,
        service,
        (f"  {world.sink}: {{consumes: [{world.result_topic}.Sent]}}\n", ""),
        (f"    publishes: [{world.result_topic}.Sent]\n", ""),
    )
    before = topics(world)
    alone = world.stack.lockgate("apply", "--allow-delete", root=world.root)
    assert alone.returncode == 0, alone.stderr
    assert topics(world) == before, "a folder that is gone deletes nothing"

    # then the evidence: the letter stands against it
    entry = f"workload: {world.sink}, topic: {world.result_topic}, reason: nobody needs results"
    with (world.root / service).open("a", encoding="utf-8") as file:
        file.write(f"retired:\n  - {{{entry}}}\n")
    with (world.root / source).open("a", encoding="utf-8") as file:
        over = f"topic: {world.result_topic}, events: [{world.result_topic}.Sent], reason: results are over"
        file.write(f"retired:\n  - {{{over}}}\n")
    refused = world.stack.lockgate("apply", "--allow-delete", root=world.root)
    assert refused.returncode == 2
    assert f"{letters} holds 1 letter" in refused.stderr
    assert f"{letters} is still there" in refused.stderr
    assert topics(world) == before
    plain = world.stack.lockgate("apply", root=world.root)
    assert plain.returncode == 0, plain.stderr

    edit(world, service, ("nobody needs results}", "nobody needs results, discard: [letters]}"))
    shown = world.stack.lockgate("plan", root=world.root)
    assert "To delete (only with apply --allow-delete)" in shown.stdout, shown.stdout
    done = world.stack.lockgate("apply", "--allow-delete", root=world.root)
    assert done.returncode == 0, done.stderr
    eventually(lambda: topics(world) == {name for name in before if name.startswith(world.source_topic)}, "the end")
    eventually(lambda: plan_of(world).is_empty, "a plan with nothing to do")
    with Cluster(world.stack.settings("admin")) as cluster:
        users = cluster.users_in(cluster.result(cluster.describe_users(), "users"))
        acls = cluster.bindings_in(cluster.result(cluster.describe_acls(), "acls"))
    assert world.sink not in users
    assert world.worker in users
    assert not [acl for acl in acls if acl.principal == f"User:{world.sink}" or acl.name.startswith(world.result_topic)]
    subject = f"{world.result_topic}-{world.result_topic}.Sent"
    with Registry(world.stack.settings("ci")) as registry:
        assert registry.versions(subject) == []
        assert subject not in registry.subjects()
    folder = credentials_directory(world.root, world.stack.environ)
    assert not list(folder.glob(f"{world.sink}.env"))
