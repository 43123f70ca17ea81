"""Plan and apply on the real cluster: what is asked for comes to be, works at once, and is not planned again."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path

import attrs
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from lockgate.connection import Settings, credentials_directory
from lockgate.contracts.derive import Acl, derive
from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts
from lockgate.errors import ClusterDenied, PlanRefused, RegistryDenied, SettingsError
from lockgate.local.tools import command
from lockgate.provisioning.apply import apply, make_changes
from lockgate.provisioning.changes import Change, CreateTopic, SetPassword
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.credentials import CredentialsFolder
from lockgate.provisioning.desired import desired_state
from lockgate.provisioning.plan import Plan, make_plan
from lockgate.provisioning.readiness import wait_until_ready
from lockgate.provisioning.rehearsal import rehearse
from lockgate.provisioning.wire import BrokerConnection
from lockgate.registry import Registry
from tests.worlds import SharedStack, World, quiet, write_world

SCRAM = ScramMechanism.SCRAM_SHA_512


@pytest.fixture(scope="module")
def admin(stack: SharedStack) -> AdminClient:
    """Return the administrator's client: somebody who changes things by hand."""
    return AdminClient(stack.settings("admin").client_config())


def folder_of(world: World) -> Path:
    return credentials_directory(world.root, world.stack.environ)


def plan_of(world: World, contracts: Contracts | None = None) -> Plan:
    return make_plan(contracts or load(world.root), world.stack.settings("admin"), folder_of(world))


def apply_to(world: World, plan: Plan, contracts: Contracts | None = None) -> list[str]:
    lines: list[str] = []
    make_changes(
        plan, contracts or load(world.root), world.stack.settings("admin"), folder_of(world), progress=lines.append
    )
    return lines


def edit(world: World, path: str, before: str, after: str) -> None:
    file = world.root / path
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def topics_of(admin: AdminClient, world: World) -> dict[str, int]:
    topics = admin.list_topics(timeout=10).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if name.startswith(world.name)}


def binding(acl: Acl, permission: AclPermissionType = AclPermissionType.ALLOW) -> AclBinding:
    return AclBinding(
        ResourceType[acl.resource],
        acl.name,
        ResourcePatternType[acl.pattern],
        f"User:{acl.principal}",
        "*",
        AclOperation[acl.operation],
        permission,
    )


def remove(admin: AdminClient, *bindings: AclBinding) -> None:
    filters = [
        AclBindingFilter(
            b.restype, b.name, b.resource_pattern_type, b.principal, b.host, b.operation, b.permission_type
        )
        for b in bindings
    ]
    for future in admin.delete_acls(filters).values():
        future.result(10)


def grant(admin: AdminClient, *bindings: AclBinding) -> None:
    for future in admin.create_acls(list(bindings)).values():
        future.result(10)


def changed(plan: Plan) -> set[tuple[str, str]]:
    return {(change.kind, change.name) for change in plan.changes}


class TestTheWhole:
    def test_a_plan_after_apply_is_empty(self, world: World) -> None:
        assert plan_of(world).is_empty

    def test_an_empty_plan_is_made_and_applied_quickly_and_still_proves_the_rights(self, world: World) -> None:
        started = time.monotonic()
        plan = plan_of(world)
        assert time.monotonic() - started < 5
        (line,) = apply_to(world, plan)
        derived = derive(world.contracts)
        assert line.startswith(f"{len(derived.acls)} rights work for {len(derived.principals)} principals on 3 brokers")

    def test_the_cluster_is_what_the_contracts_ask_for(self, world: World, admin: AdminClient) -> None:
        derived = derive(world.contracts)
        assert topics_of(admin, world) == {topic.name: topic.partitions for topic in derived.topics}
        resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in derived.topics]
        configs = {r.name: future.result(10) for r, future in admin.describe_configs(resources).items()}
        for topic in derived.topics:
            assert {key: configs[topic.name][key].value for key in topic.config} == topic.config

    def test_schemas_and_levels_are_registered(self, world: World) -> None:
        with Registry(world.stack.settings("ci")) as registry:
            for subject in derive(world.contracts).subjects:
                assert registry.versions(subject.name) == [1]
                assert registry.compatibility(subject.name) == "FULL"
                assert registry.find(subject.name, subject.event.schema) is not None

    def test_every_principal_has_its_files(self, world: World) -> None:
        for principal in derive(world.contracts).principals:
            for suffix in ("env", "properties"):
                file = folder_of(world) / f"{principal.name}.{suffix}"
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert world.settings(world.worker).registry_username == "registry-reader"
        assert world.settings("ci").registry_username == "ci"

    def test_the_command_shows_the_plan_and_applies_it(self, world: World) -> None:
        edit(world, f"schemas/{world.source_topic}/domain.yaml", "retention: 1d", "retention: 2d")
        shown = world.stack.lockgate("plan", root=world.root)
        assert shown.returncode == 0
        assert "retention.ms 86400000 → 172800000" in shown.stdout
        assert world.stack.lockgate("plan", "--exit-code", root=world.root).returncode == 1
        done = world.stack.lockgate("apply", root=world.root)
        assert done.returncode == 0, done.stderr
        assert "0 created, 1 changed" in done.stdout
        document = json.loads(world.stack.lockgate("plan", "--output", "json", root=world.root).stdout)
        assert document["changes"] == document["refusals"] == []


class TestRightsAtOnce:
    def test_every_right_works_at_every_broker_when_apply_returns(self, stack: SharedStack, tmp_path: Path) -> None:
        # a world that was never there, so that nothing is left over from before
        name = f"p{os.urandom(4).hex()}"
        root = tmp_path / "fresh"
        write_world(root, name)
        contracts = stack.apply(root)
        derived = derive(contracts)
        with Cluster(stack.settings("admin")) as cluster:
            brokers = cluster.brokers()
        assert len(brokers) == 3
        # one try each, without patience
        for principal in derived.principals:
            mine = [acl for acl in derived.acls if acl.principal == principal.name]
            for broker in brokers:
                with BrokerConnection(broker, stack.settings(principal.name, root)) as connection:
                    views = connection.topics([acl.name for acl in mine if acl.resource == "TOPIC"])
                    for acl in mine:
                        if acl.resource == "TOPIC":
                            assert acl.operation in views[acl.name].operations, (acl, broker)
                        else:
                            assert connection.may_use(acl.resource, acl.name), (acl, broker)

    def test_records_flow_at_once(self, stack: SharedStack, tmp_path: Path) -> None:
        name = f"p{os.urandom(4).hex()}"
        root = tmp_path / "fresh"
        write_world(root, name)
        derived = derive(stack.apply(root))
        for principal in derived.principals:
            settings = stack.settings(principal.name, root)
            mine = {(acl.operation, acl.name) for acl in derived.acls if acl.principal == principal.name}
            topics = [topic.name for topic in derived.topics if ("WRITE", topic.name) in mine]
            if topics:
                assert written(settings, topics) == dict.fromkeys(topics), principal.name
            topics = [topic.name for topic in derived.topics if ("READ", topic.name) in mine]
            if topics:
                assert joined(settings, principal.name, topics), principal.name


def written(settings: Settings, topics: list[str]) -> dict[str | None, KafkaError | None]:
    """Write one record to each topic and return what the brokers said; idempotent, as services write."""
    outcomes: dict[str | None, KafkaError | None] = {}

    def delivered(error: KafkaError | None, message: Message) -> None:
        outcomes[message.topic()] = error

    producer = Producer(settings.client_config() | {"enable.idempotence": True})
    for topic in topics:
        producer.produce(topic, b"x", on_delivery=delivered)
    producer.flush(20)
    return outcomes


def joined(settings: Settings, group: str, topics: list[str]) -> bool:
    """Join the group and return whether an assignment came, and no error before it."""
    assigned: list[bool] = []
    consumer = Consumer(settings.client_config() | {"group.id": group, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe(topics, on_assign=lambda *_: assigned.append(True))
        deadline = time.monotonic() + 30
        while not assigned and time.monotonic() < deadline:
            message = consumer.poll(0.1)
            assert message is None or message.error() is None, message.error()
        return bool(assigned)
    finally:
        consumer.close()


class TestRefusals:
    def test_nothing_is_touched_where_one_change_is_refused(self, world: World, admin: AdminClient) -> None:
        before = topics_of(admin, world)
        edit(world, f"schemas/{world.source_topic}/domain.yaml", "partitions: 3", "partitions: 2")
        edit(world, f"schemas/{world.result_topic}/domain.yaml", "partitions: 3", "partitions: 5")
        plan = plan_of(world)
        assert ("topic", world.result_topic) in changed(plan)
        refused = {refusal.name for refusal in plan.refusals}
        assert world.source_topic in refused
        assert f"{world.source_topic}.dlq.{world.worker}" in refused
        with pytest.raises(PlanRefused, match="it has 3 partitions"):
            apply_to(world, plan)
        assert topics_of(admin, world) == before
        ended = world.stack.lockgate("apply", root=world.root)
        assert ended.returncode == 2
        assert "it has 3 partitions" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_another_replication_is_refused(self, world: World) -> None:
        edit(world, f"schemas/{world.source_topic}/domain.yaml", "replication: 3", "replication: 1")
        assert any("its replication is 3" in refusal.reason for refusal in plan_of(world).refusals)

    def test_more_replicas_than_brokers_are_refused(self, world: World) -> None:
        contracts = load(world.root)
        domains = tuple(
            attrs.evolve(d, topic=attrs.evolve(d.topic, name=f"{d.topic.name}x", replication=4))
            for d in contracts.domains
        )
        plan = plan_of(world, attrs.evolve(contracts, domains=domains))
        assert any("replication 4 asked for, and 3 brokers are up" in refusal.reason for refusal in plan.refusals)

    def test_an_incompatible_schema_is_refused_before_anything_is_touched(self, world: World) -> None:
        path = f"schemas/{world.source_topic}/Made.avsc"
        document = json.loads((world.root / path).read_text())
        document["fields"].append({"name": "weight", "type": "int"})
        (world.root / path).write_text(json.dumps(document))
        plan = plan_of(world)
        (refusal,) = plan.refusals
        assert refusal.kind == "subject"
        assert "weight" in refusal.reason
        assert refusal.declared.startswith(path)
        with pytest.raises(PlanRefused):
            apply_to(world, plan)
        with Registry(world.stack.settings("ci")) as registry:
            assert registry.versions(refusal.name) == [1]

    def test_a_compatible_schema_becomes_the_next_version(self, world: World) -> None:
        path = world.root / f"schemas/{world.source_topic}/Made.avsc"
        document = json.loads(path.read_text())
        document["fields"].append({"name": "weight", "type": "int", "default": 0})
        path.write_text(json.dumps(document))
        plan = plan_of(world)
        assert [change.details for change in plan.changes] == [("register version 2",)]
        apply_to(world, plan)
        assert plan_of(world).is_empty

    def test_what_only_the_brokers_know_is_found_in_the_rehearsal(self, world: World) -> None:
        fresh = next(iter(derive(world.contracts).topics))
        nonsense = attrs.evolve(fresh, name=f"{fresh.name}y", config=dict(fresh.config) | {"retention.ms": "soon"})
        with Cluster(world.stack.settings("admin")) as cluster:
            (refusal,) = rehearse([CreateTopic(nonsense)], cluster)
        assert refusal.name == nonsense.name
        assert "retention.ms" in refusal.reason


class TestDrift:
    def test_a_value_changed_by_hand_is_shown_and_set_back(self, world: World, admin: AdminClient) -> None:
        entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
        extra = ConfigEntry("segment.ms", "60000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, world.source_topic, incremental_configs=[entry, extra])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(10)
        plan = eventually(lambda: plan_of(world), lambda plan: bool(plan.changes))
        assert [change.details for change in plan.changes] == [("retention.ms 1000 → 86400000",)]
        assert any(u.name == world.source_topic and "segment.ms" in u.note for u in plan.unmanaged)
        apply_to(world, plan)
        after = eventually(lambda: plan_of(world), lambda plan: plan.is_empty)
        # what we do not set is left alone
        assert any(u.name == world.source_topic and "segment.ms" in u.note for u in after.unmanaged)

    def test_topics_grow_with_their_retry_and_dead_letter_topics(self, world: World, admin: AdminClient) -> None:
        edit(world, f"schemas/{world.source_topic}/domain.yaml", "partitions: 3", "partitions: 4")
        apply_to(world, plan_of(world))
        grown = {name: count for name, count in topics_of(admin, world).items() if name.startswith(world.source_topic)}
        assert grown.pop(f"{world.source_topic}.control.{world.worker}") == 1, "it holds one word for all processes"
        assert len(grown) == 4
        assert set(grown.values()) == {4}
        assert plan_of(world).is_empty

    def test_another_level_is_set(self, world: World) -> None:
        edit(world, f"schemas/{world.result_topic}/domain.yaml", "compatibility: FULL", "compatibility: BACKWARD")
        plan = plan_of(world)
        assert [change.details for change in plan.changes] == [("compatibility FULL → BACKWARD",)]
        apply_to(world, plan)
        assert plan_of(world).is_empty

    def test_what_is_in_no_contract_is_listed_and_left_alone(self, world: World, admin: AdminClient) -> None:
        scratch, stranger = f"{world.name}-scratch", f"{world.name}-stranger"
        for future in admin.create_topics([NewTopic(scratch, 1, 1)]).values():
            future.result(10)
        upsertion = UserScramCredentialUpsertion(stranger, ScramCredentialInfo(SCRAM, 4096), b"a password of its own")
        for future in admin.alter_user_scram_credentials([upsertion]).values():
            future.result(10)
        with Registry(world.stack.settings("ci")) as registry:
            registry.register(scratch, {"type": "string"})
        plan = eventually(
            lambda: plan_of(world), lambda plan: {scratch, stranger} <= {entry.name for entry in plan.unmanaged}
        )
        assert plan.is_empty
        apply_to(world, plan)
        listed = {(entry.kind, entry.name) for entry in plan_of(world).unmanaged}
        assert {("topic", scratch), ("user", stranger), ("subject", scratch)} <= listed
        assert not any(name == "admin" or name.startswith("__") for _, name in listed)

    def test_a_stale_grant_is_beyond_the_contracts_and_left_alone(self, world: World, admin: AdminClient) -> None:
        stale = Acl(world.sink, "TOPIC", world.source_topic, "WRITE")
        grant(admin, binding(stale))
        try:
            phrase = f"{world.sink} may WRITE topic {world.source_topic}"
            plan = eventually(lambda: plan_of(world), lambda plan: phrase in {entry.name for entry in plan.beyond})
            assert plan.is_empty
            apply_to(world, plan)
            assert phrase in {entry.name for entry in plan_of(world).beyond}
            assert world.stack.lockgate("plan", "--exit-code", root=world.root).returncode == 1
        finally:
            remove(admin, binding(stale))

    def test_a_denial_by_hand_is_told_and_does_not_hold_apply_up(self, world: World, admin: AdminClient) -> None:
        denial = binding(Acl(world.sink, "TOPIC", world.result_topic, "READ"), AclPermissionType.DENY)
        grant(admin, denial)
        try:
            plan = eventually(
                lambda: plan_of(world),
                lambda plan: any(e.permission == "DENY" and world.sink in e.name for e in plan.beyond),
            )
            started = time.monotonic()
            apply_to(world, plan)
            assert time.monotonic() - started < 15
        finally:
            remove(admin, denial)

    def test_a_right_taken_away_is_granted_again(self, world: World, admin: AdminClient) -> None:
        acl = Acl(world.worker, "GROUP", world.worker, "READ")
        remove(admin, binding(acl))
        plan = eventually(lambda: plan_of(world), lambda plan: bool(plan.changes))
        assert changed(plan) == {("acl", f"{world.worker} may READ group {world.worker}")}
        apply_to(world, plan)
        assert plan_of(world).is_empty


class TestPasswords:
    def test_a_lost_file_means_a_new_password_that_works(self, world: World) -> None:
        old = world.settings(world.sink)
        (folder_of(world) / f"{world.sink}.env").unlink()
        plan = plan_of(world)
        assert changed(plan) == {("user", world.sink)}
        apply_to(world, plan)
        new = world.settings(world.sink)
        assert new.password != old.password
        with Cluster(world.stack.settings("admin")) as cluster:
            brokers = cluster.brokers()
        for broker in brokers:
            BrokerConnection(broker, new).close()
            with pytest.raises(ClusterDenied, match=f"refused the login of {world.sink}"):
                BrokerConnection(broker, old)

    def test_a_password_that_the_brokers_refuse_is_replaced(self, world: World, admin: AdminClient) -> None:
        rotated = UserScramCredentialUpsertion(world.sink, ScramCredentialInfo(SCRAM, 4096), b"set by somebody else")
        for future in admin.alter_user_scram_credentials([rotated]).values():
            future.result(10)
        plan = eventually(lambda: plan_of(world), lambda plan: bool(plan.changes))
        (change,) = plan.changes
        assert isinstance(change, SetPassword)
        assert "the brokers refuse" in change.reason
        apply_to(world, plan)
        assert plan_of(world).is_empty

    def test_a_user_that_the_cluster_lost_gets_its_old_password_back(self, world: World, admin: AdminClient) -> None:
        old = world.settings(world.sink).password
        for future in admin.alter_user_scram_credentials([UserScramCredentialDeletion(world.sink, SCRAM)]).values():
            future.result(10)
        plan = eventually(lambda: plan_of(world), lambda plan: bool(plan.changes))
        assert [change.details for change in plan.changes] == [("workload", "the password of its credentials file")]
        apply_to(world, plan)
        assert world.settings(world.sink).password == old
        assert plan_of(world).is_empty

    def test_a_file_that_others_can_read_is_closed_again(self, world: World) -> None:
        file = folder_of(world) / f"{world.sink}.env"
        password = world.settings(world.sink).password
        file.chmod(0o644)
        plan = plan_of(world)
        assert changed(plan) == {("credentials", world.sink)}
        apply_to(world, plan)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert world.settings(world.sink).password == password

    def test_kafkas_own_tools_work_with_the_properties(self, world: World) -> None:
        listed = subprocess.run(
            command(
                [
                    "kafka-topics",
                    "--list",
                    *("--bootstrap-server", world.settings(world.worker).bootstrap_servers),
                    *("--command-config", str(folder_of(world) / f"{world.worker}.properties")),
                ]
            ),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        mine = {a.name for a in derive(world.contracts).acls if a.principal == world.worker and a.resource == "TOPIC"}
        assert set(listed.stdout.split()) == mine

    def test_no_output_holds_a_password(self, stack: SharedStack, tmp_path: Path) -> None:
        root = tmp_path / "fresh"
        write_world(root, f"p{os.urandom(4).hex()}")
        runs = [
            stack.lockgate(*arguments, root=root)
            for arguments in (["plan"], ["apply", "--output", "json"], ["apply"], ["plan", "--output", "json"])
        ]
        assert [run.returncode for run in runs] == [0, 0, 0, 0]
        output = "".join(run.stdout + run.stderr for run in runs)
        folder = credentials_directory(root, stack.environ)
        secrets = {
            value
            for file in folder.glob("*.env")
            for name, _, value in (line.partition("=") for line in file.read_text().splitlines())
            if name.endswith("PASSWORD")
        }
        assert len(secrets) > 5
        assert not [secret for secret in secrets if secret in output]


class TestInterruption:
    @pytest.mark.parametrize("line", range(5))
    def test_an_interrupted_apply_is_finished_by_the_next(self, stack: SharedStack, tmp_path: Path, line: int) -> None:
        """Break off as Ctrl-C would, after each of the steps that are reported."""
        root = tmp_path / "fresh"
        write_world(root, f"p{os.urandom(4).hex()}")
        contracts, admin = load(root), stack.settings("admin")
        folder = credentials_directory(root, stack.environ)
        seen: list[str] = []

        def interrupt(text: str) -> None:
            if not text.startswith("waiting"):  # for another test's apply, before its own first step
                seen.append(text)
            if len(seen) > line:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            apply(contracts, admin, folder, progress=interrupt)
        plan = make_plan(contracts, admin, folder)
        assert not plan.refusals
        apply(contracts, admin, folder, progress=quiet)
        assert make_plan(contracts, admin, folder).is_empty

    @pytest.mark.parametrize("part", [0.1, 0.35, 0.5, 0.7])
    def test_any_part_of_a_plan_can_be_there_already(self, stack: SharedStack, tmp_path: Path, part: float) -> None:
        root = tmp_path / "fresh"
        write_world(root, f"p{os.urandom(4).hex()}")
        contracts, admin = load(root), stack.settings("admin")
        folder = credentials_directory(root, stack.environ)
        whole = make_plan(contracts, admin, folder)
        some: tuple[Change, ...] = whole.changes[: int(part * len(whole.changes))]
        # the rest is missing, so the rights cannot work, and that is said
        with pytest.raises((ClusterDenied, SettingsError), match=r"does not work yet|holds no password"):
            make_changes(attrs.evolve(whole, changes=some), contracts, admin, folder, progress=quiet, timeout=1)
        apply(contracts, admin, folder, progress=quiet)
        assert make_plan(contracts, admin, folder).is_empty


class TestReadiness:
    def test_a_right_that_does_not_work_is_named_when_time_is_up(self, world: World, admin: AdminClient) -> None:
        acl = Acl(world.worker, "TOPIC", world.source_topic, "READ")
        remove(admin, binding(acl))
        try:
            settings = world.stack.settings("admin")
            with Cluster(settings) as cluster, pytest.raises(ClusterDenied) as caught:
                eventually_raises(cluster, settings, world)
        finally:
            grant(admin, binding(acl))
        assert f"does not let {world.worker} READ topic {world.source_topic}" in caught.value.message
        assert "lockgate apply" in str(caught.value.next_step)


def eventually_raises(cluster: Cluster, settings: Settings, world: World) -> None:
    """Wait for readiness until it is refused: the removal itself takes a moment to reach the brokers."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        folder = CredentialsFolder(folder_of(world), settings)
        wait_until_ready(cluster, folder, desired_state(world.contracts, settings), timeout=0.5)


def eventually(make: object, good: object, seconds: float = 20) -> Plan:
    """Plan again until it shows what was just changed by hand: a change reaches the brokers one by one."""
    assert callable(make)
    assert callable(good)
    deadline = time.monotonic() + seconds
    while True:
        plan: Plan = make()
        if good(plan):
            return plan
        assert time.monotonic() < deadline, plan
        time.sleep(0.1)


class TestDenied:
    @pytest.mark.parametrize("verb", ["plan", "apply"])
    def test_somebody_without_rights_is_told_so(self, world: World, verb: str) -> None:
        ended = world.stack.lockgate(verb, "--as", world.worker, root=world.root)
        assert ended.returncode == 2
        assert f"{world.worker} may not DESCRIBE the cluster" in ended.stderr
        assert "--as admin" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_nothing_is_touched_where_the_registry_would_refuse(
        self, stack: SharedStack, tmp_path: Path, admin: AdminClient
    ) -> None:
        root, name = tmp_path / "fresh", f"p{os.urandom(4).hex()}"
        write_world(root, name)
        contracts, settings = load(root), stack.settings("admin")
        folder = credentials_directory(root, stack.environ)
        reader = stack.settings("orders-service")
        weak = attrs.evolve(
            settings, registry_username=reader.registry_username, registry_password=reader.registry_password
        )
        with pytest.raises(RegistryDenied, match="403"):
            apply(contracts, weak, folder, progress=quiet)
        assert not [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(name)]
        assert not list(folder.glob(f"{name}*"))

    def test_a_wrong_password_is_told_within_seconds(self, world: World) -> None:
        admin = world.stack.settings("admin")
        started = time.monotonic()
        with pytest.raises(ClusterDenied, match="invalid credentials"):
            make_plan(world.contracts, attrs.evolve(admin, password="wrong"), folder_of(world))
        assert time.monotonic() - started < 8
