"""Least privilege: what contracts give each shape of workload is enough for its work, and nothing of it is spare.

Each shape works with clients that do what the runtime's do: see its topics, join its group, read all that it is
subscribed to, write wherever a record of its may have to go, and commit. Then each of its rights is taken away in turn,
and the very request that needs it is refused.
"""

from __future__ import annotations

import secrets
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from lockgate.connection import Settings
from lockgate.contracts import names
from lockgate.contracts.derive import Acl, consumer_topics, derive
from lockgate.contracts.model import Contracts
from lockgate.deadletters.box import boxes
from lockgate.deadletters.holds import held
from lockgate.deadletters.scan import scan_topics
from lockgate.errors import ClusterDenied
from tests.worlds import SharedStack

PATIENCE: Final = 20.0
DENIED: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "TOPIC",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "GROUP",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "TRANSACTIONAL_ID",
}
PROTOCOLS: Final[Mapping[str, dict[str, Any]]] = {
    "classic": {"partition.assignment.strategy": "range", "session.timeout.ms": 10_000},
    "consumer": {"group.protocol": "consumer", "group.remote.assignor": "range"},
}
"""KIP-848 is `consumer`; there the session's length and the assignor are the broker's."""

Refused = tuple[str, str, str]
"""Operation, resource and name of a request that the brokers refused."""


@attrs.frozen
class Shape:
    """Describe what a workload does."""

    name: str
    protocol: str
    reads: tuple[str, ...]
    control: str
    """Read by each process on its own."""
    writes: tuple[str, ...]
    """Wherever a record of its may have to go."""
    transactional: bool
    rights: tuple[Acl, ...]


def write_world(root: Path, name: str) -> None:
    """Write a project with a workload of every shape, once for each group protocol."""
    readers = [f"{name}-{shape}-{protocol}" for shape in ("read", "both", "once") for protocol in PROTOCOLS]
    workloads = [f"{name}-source: {{publishes: [{name}a.Event]}}"]
    for reader in readers:
        publishes = "" if "-read-" in reader else f", publishes: [{name}b.Event]"
        if "-once-" in reader:
            publishes += ", exactly_once: true"
        workloads.append(f"{reader}: {{consumes: [{name}a.Event]{publishes}}}")
        workloads.append(f"{reader}-tiers: {{consumes: [{name}a.Event]{publishes}, retry: [1s, 2s]}}")
    # the order of keys needs the classic protocol
    keyed = {
        f"{name}-key-classic-tiers": "order: key, retry: [1s, 2s]",
        f"{name}-hold-classic": "order: key, on_dead_letter: hold",
        f"{name}-hold-classic-tiers": "order: key, on_dead_letter: hold, retry: [1s, 2s]",
    }
    workloads += [f"{reader}: {{consumes: [{name}a.Event], {asks}}}" for reader, asks in keyed.items()]
    every = [*(f"{reader}{tiers}" for reader in readers for tiers in ("", "-tiers")), *keyed]
    owner = f'owner: {{team: {name}, contact: "@them"}}'
    files = {
        "services/shapes/service.yaml": "\n".join(
            [f"name: {name}-shapes", owner, "workloads:", *(f"  {workload}" for workload in workloads)]
        ),
        # one more team: operators have rights over all letters of their own
        "services/kept/service.yaml": f"""
            name: {name}-kept
            owner: {{team: {name}-keepers, contact: "@keepers"}}
            workloads:
              {name}-kept: {{consumes: [{name}a.Event]}}
              {name}-held-kept: {{consumes: [{name}a.Event], order: key, on_dead_letter: hold}}
            """,
    }
    grants = {
        "a": ([*every, f"{name}-kept", f"{name}-held-kept"], [f"{name}-source"]),
        "b": ([], [reader for reader in every if "-both-" in reader or "-once-" in reader]),
    }
    for letter, (read_by, written_by) in grants.items():
        domain = f"{name}{letter}"
        files[f"schemas/{domain}/domain.yaml"] = f"""
            {owner}
            topic: {{name: {domain}, partitions: 1, replication: 1, retention: 1d}}
            key: id
            events: [Event]
            readers: [{", ".join(read_by)}]
            writers: [{", ".join(written_by)}]
            """
        files[f"schemas/{domain}/Event.avsc"] = (
            f'{{"type": "record", "name": "Event", "namespace": "{domain}", '
            '"fields": [{"name": "id", "type": "string"}]}'
        )
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")


def shapes_of(contracts: Contracts) -> list[Shape]:
    rights = derive(contracts).acls
    shapes = []
    for workload in contracts.workloads.values():
        source = contracts.source_of(workload)
        topics = consumer_topics(contracts, workload)
        writes = [contracts.domain_of(event).topic.name for event in workload.publishes]
        mine = [acl for acl in rights if acl.principal == workload.name]
        if source is not None:
            writes += topics[1:] if workload.retry_ms else topics[2:]
            writes.append(names.dead_letter_topic(source.topic.name, workload.name))
        control = "" if source is None else names.control_topic(source.topic.name, workload.name)
        protocol = "consumer" if "-consumer" in workload.name else "classic"
        shapes.append(
            Shape(
                workload.name,
                protocol,
                topics,
                control,
                tuple(writes),
                workload.exactly_once or workload.parks,
                tuple(mine),
            )
        )
    return shapes


@contextmanager
def member(shape: Shape, settings: Settings) -> Iterator[Consumer | None]:
    """Yield a consumer of the shape's group, None where it reads nothing."""
    if not shape.reads:
        yield None
        return
    config: dict[str, Any] = {
        "group.id": shape.name,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "log_level": 0,
    }
    config |= {"auto.offset.reset": "earliest", "isolation.level": "read_committed", "fetch.queue.backoff.ms": 10}
    consumer = Consumer(settings.client_config() | config | PROTOCOLS[shape.protocol])
    try:
        yield consumer
    finally:
        consumer.close()


def read_anew(shape: Shape, settings: Settings) -> Refused | None:
    with member(shape, settings) as consumer:
        return read(shape, consumer)


def read(shape: Shape, consumer: Consumer | None) -> Refused | None:
    """See every topic, join the group, and read each topic to its end; return the first request that was refused."""
    if consumer is None:
        return None
    visible = consumer.list_topics(timeout=PATIENCE).topics
    for topic in (shape.control, *shape.reads):
        if topic not in visible:  # what one may neither read nor write is not there
            return "READ", "TOPIC", topic
    consumer.subscribe(list(shape.reads))
    open_ = set(shape.reads)
    deadline = time.monotonic() + PATIENCE
    while open_:
        assert time.monotonic() < deadline, f"{shape.name} got nothing from {open_}"
        try:
            messages = consumer.consume(100, 0.05)
        except KafkaException as raised:  # KIP-848: a refusal ends the client
            return "READ", denied(raised.args[0]), shape.name
        for message in messages:
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                open_.discard(message.topic() or "")
            else:
                resource = denied(error)
                return "READ", resource, shape.name if resource == "GROUP" else message.topic() or ""
    return None


def write(shape: Shape, settings: Settings, consumer: Consumer | None) -> Refused | None:
    """Write to each topic and commit what the consumer has read; return the first request that was refused."""
    config: dict[str, Any] = {"acks": "all", "enable.idempotence": True, "log_level": 0, "linger.ms": 0}
    if shape.transactional:
        config["transactional.id"] = f"{names.transactional_id_prefix(shape.name)}0"
    producer = Producer(settings.client_config() | config)
    if shape.transactional:
        try:
            producer.init_transactions(PATIENCE)
        except KafkaException as raised:
            return "WRITE", denied(raised.args[0]), names.transactional_id_prefix(shape.name)
        producer.begin_transaction()
    for topic in shape.writes:
        errors: list[KafkaError | None] = []

        def told(error: KafkaError | None, _: Message, errors: list[KafkaError | None] = errors) -> None:
            errors.append(error)

        producer.produce(topic, b"value", b"key", 0, on_delivery=told)
        try:
            assert producer.flush(PATIENCE) == 0
        except KafkaException as raised:  # a broker that knows of no right to write yet gives no producer id
            return "WRITE", raised.args[0].name(), topic
        (error,) = errors
        if error is not None and error.code() not in DENIED and shape.transactional:
            # the record was only purged; why is the transaction's to say
            with pytest.raises(KafkaException) as raised_for:
                producer.commit_transaction(PATIENCE)
            error = raised_for.value.args[0]
        if error is not None:
            return "WRITE", denied(error), topic
    if consumer is None:
        return None
    # where the group stands at each end: everything before it is finished
    places = consumer.position(consumer.assignment())
    done = [TopicPartition(place.topic, place.partition, max(0, place.offset)) for place in places]
    if shape.transactional:
        producer.send_offsets_to_transaction(done, consumer.consumer_group_metadata(), PATIENCE)
        producer.commit_transaction(PATIENCE)
    else:
        consumer.commit(offsets=done, asynchronous=False)
    return None


def denied(error: KafkaError) -> str:
    assert error.code() in DENIED, error.str()
    return DENIED[error.code()]


@attrs.frozen
class Rights:
    """Take rights away and give them back, as an administrator."""

    admin: AdminClient

    def grant(self, acl: Acl) -> None:
        for future in self.admin.create_acls([AclBinding(*self._parts(acl))]).values():
            future.result(PATIENCE)

    def take(self, acl: Acl) -> None:
        for future in self.admin.delete_acls([AclBindingFilter(*self._parts(acl))]).values():
            assert len(list(future.result(PATIENCE))) == 1, acl

    def prove(self, rights: Sequence[Acl], attempt: Callable[[], object], refusal: Callable[[Acl], object]) -> None:
        """See an attempt succeed with all rights, and without each one of them fail for just that reason."""
        until(attempt, None, "all of its rights")
        for acl in rights:
            self.take(acl)
            until(attempt, refusal(acl), f"no right to {acl}")
            self.grant(acl)
        until(attempt, None, "all of its rights again")

    def _parts(self, acl: Acl) -> tuple[Any, ...]:
        kind, pattern = ResourceType[acl.resource], ResourcePatternType[acl.pattern]
        user, operation = f"User:{acl.principal}", AclOperation[acl.operation]
        return kind, acl.name, pattern, user, "*", operation, AclPermissionType.ALLOW


def until(attempt: Callable[[], object], expected: object, state: str) -> None:
    """Try until that is the outcome: brokers learn of a right, or its end, one by one."""
    deadline = time.monotonic() + PATIENCE
    while (found := attempt()) != expected:
        assert time.monotonic() < deadline, f"with {state}: {found}, expected {expected}"


@pytest.fixture(scope="module")
def world(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Contracts:
    root = tmp_path_factory.mktemp("shapes")
    write_world(root, f"t{secrets.token_hex(4)}")
    return stack.apply(root)


@pytest.fixture(scope="module")
def rights(stack: SharedStack) -> Rights:
    return Rights(AdminClient(stack.settings("admin").client_config()))


def test_every_right_of_every_shape_of_workload_is_needed(stack: SharedStack, world: Contracts, rights: Rights) -> None:
    shapes = [shape for shape in shapes_of(world) if not shape.name.endswith("-kept")]
    assert len(shapes) == 16

    def prove(shape: Shape) -> int:
        settings = stack.settings(shape.name, world.root)
        to_read = [acl for acl in shape.rights if acl.operation == "READ"]
        to_write = [acl for acl in shape.rights if acl.operation == "WRITE"]
        with member(shape, settings) as consumer:
            assert read(shape, consumer) is None
            rights.prove(to_write, lambda: write(shape, settings, consumer), refusal)
        rights.prove(to_read, lambda: read_anew(shape, settings), refusal)
        return len(to_read) + len(to_write)

    def refusal(acl: Acl) -> Refused:
        return acl.operation, acl.resource, acl.name

    with ThreadPoolExecutor(len(shapes)) as pool:
        assert sum(pool.map(prove, shapes)) >= 16


def test_every_right_of_an_operator_is_needed(stack: SharedStack, world: Contracts, rights: Rights) -> None:
    kept, holding = (box for box in boxes(world) if box.workload.endswith("-kept"))
    kept, holding = (holding, kept) if kept.holds else (kept, holding)
    keepers = [principal for principal in derive(world).principals if principal.team.endswith("-keepers")]
    operators = [principal.name for principal in keepers if principal.kind in ("reader", "replayer")]
    assert len(operators) == 2

    def write(settings: Settings, topic: str) -> None:
        producer = Producer(settings.client_config() | {"log_level": 0})
        errors: list[KafkaError | None] = []
        producer.produce(topic, b"value", b"key", 0, on_delivery=lambda error, _: errors.append(error))
        producer.flush(PATIENCE)
        if errors[0] is not None:
            raise KafkaException(errors[0])

    def attempt(name: str) -> str | None:
        settings = stack.settings(name, world.root)
        try:
            assert list(scan_topics(settings, [kept.topic, holding.topic], group=name))
            held(settings, [holding], group=name)
            if name.endswith("replayer"):
                write(settings, kept.way_back)
                write(settings, holding.way_back)
        except ClusterDenied:
            return "denied"
        except KafkaException as error:
            return "denied" if denied(error.args[0]) else None
        return None

    for box in (kept, holding):
        write(stack.settings(box.workload, world.root), box.topic)
    write(stack.settings(holding.workload, world.root), holding.parked)  # an empty topic is not read
    for name in operators:
        mine = [acl for acl in derive(world).acls if acl.principal == name]
        rights.prove(mine, lambda name=name: attempt(name), lambda _: "denied")  # type: ignore[misc]  # mypy infers no default
