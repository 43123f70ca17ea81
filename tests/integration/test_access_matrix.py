"""Who may do what: every principal against every topic, group and subject, tried with real clients.

What is expected is worked out here, from the grants in the YAML files, and not by the code that derives the rights:
a mistake there shows here. Nothing is written: a record too large for its topic tells whether its writer may write.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import pytest
import yaml
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from lockgate.connection import Settings
from lockgate.contracts.derive import derive
from lockgate.errors import RegistryDenied
from lockgate.registry import Registry
from tests.worlds import SharedStack

ALLOWED: Final = "allowed"
REFUSED: Final = "refused"
PATIENCE: Final = 40.0
"""Seconds until a question counts as not answered."""

# More than any topic takes: 1 MiB and the headroom of derived topics; noise, so that compression cannot shrink it.
TOO_LARGE: Final = os.urandom(1_300_000)

Cell = tuple[str, str, str]
"""Principal, operation, resource: `("orders-service", "read", "topic orders")`."""


@attrs.frozen
class Grants:
    """Hold what the files say, in the terms of a matrix."""

    principals: tuple[str, ...]
    topics: tuple[str, ...]
    groups: tuple[str, ...]
    subjects: tuple[str, ...]
    allowed: frozenset[Cell]

    def expected(self, principal: str, operation: str, resources: Iterable[str]) -> dict[Cell, str]:
        cells = [(principal, operation, resource) for resource in resources]
        return {cell: ALLOWED if cell in self.allowed else REFUSED for cell in cells}


def read_grants(root: Path) -> Grants:
    """Work out every right from both sides of the grants, as the design words it."""
    domains = {path.parent.name: yaml.safe_load(path.read_text()) for path in root.glob("schemas/*/domain.yaml")}
    services = [yaml.safe_load(path.read_text()) for path in sorted(root.glob("services/*/service.yaml"))]
    workloads: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for service in services:
        for name, workload in service["workloads"].items():
            workloads[name] = (service["owner"]["team"].lower(), workload)

    topics = {domain["topic"]["name"] for domain in domains.values()}
    groups = {*workloads, "somebody"}
    operators: set[str] = set()
    allowed: set[Cell] = set()
    for name, (team, workload) in workloads.items():
        read = {event.partition(".")[0] for event in workload.get("consumes", ())}
        written = {event.partition(".")[0] for event in workload.get("publishes", ())}
        for folder in written & {folder for folder, domain in domains.items() if name in domain["writers"]}:
            allowed.add((name, "write", f"topic {domains[folder]['topic']['name']}"))
        for folder in read & {folder for folder, domain in domains.items() if name in domain["readers"]}:
            topic = domains[folder]["topic"]["name"]
            retries = [f"{topic}.retry.{name}.{tier}" for tier in range(1, max(1, len(workload.get("retry", ()))) + 1)]
            letters = f"{topic}.dlq.{name}"
            control = f"{topic}.control.{name}"
            topics |= {letters, control, *retries}
            allowed |= {
                (name, "read", f"topic {control}"),
                (name, "read", f"topic {topic}"),
                (name, "join", f"group {name}"),
            }
            allowed |= {(name, "read", f"topic {retry}") for retry in retries}
            if workload.get("retry"):  # without, only an operator writes there
                allowed |= {(name, "write", f"topic {retry}") for retry in retries}
            allowed.add((name, "write", f"topic {letters}"))
            for operator in (f"{team}~reader", f"{team}~replayer"):
                operators.add(operator)
                allowed |= {(operator, "read", f"topic {letters}"), (operator, "join", f"group {operator}")}
            allowed.add((f"{team}~replayer", "write", f"topic {retries[0]}"))
    principals = (*sorted(workloads), *sorted(operators), "ci")
    subjects = [
        f"{domain['topic']['name']}-{folder}.{event}"
        for folder, domain in domains.items()
        for event in domain["events"]
    ]
    for subject in subjects:
        allowed |= {(principal, "read", f"subject {subject}") for principal in principals}
        allowed.add(("ci", "register", f"subject {subject}"))
    return Grants(
        principals,
        tuple(sorted(topics)),
        tuple(sorted(groups | operators)),
        tuple(sorted(subjects)),
        frozenset(allowed),
    )


def verdict(error: KafkaError | None, *, granted: Iterable[int], denied: int) -> str:
    """Say what an answer of a broker means; one that is neither is no verdict and shows as it is."""
    if error is None or error.code() in granted:
        return ALLOWED
    return REFUSED if error.code() == denied else f"{error.name()}: {error.str()}"


def try_writing(settings: Settings, topics: Iterable[str]) -> dict[str, str]:
    """Send every topic a record that is too large for it, and say for each whether only its size was refused."""
    large = {"message.max.bytes": 10_000_000, "acks": "all", "message.timeout.ms": int(PATIENCE * 1000)}
    producer = Producer(settings.client_config() | large | {"log_level": 0})
    found: dict[str, str] = {}
    for topic in topics:

        def told(error: KafkaError | None, _: Message, topic: str = topic) -> None:
            if error is None:
                found[topic] = "written, though it was too large to be"
            else:
                too_large, denied = KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.TOPIC_AUTHORIZATION_FAILED
                found[topic] = verdict(error, granted=[too_large], denied=denied)

        try:
            producer.produce(topic, TOO_LARGE, b"key", partition=0, on_delivery=told)
        except KafkaException as error:  # the client may know already that it may not
            found[topic] = verdict(error.args[0], granted=(), denied=KafkaError.TOPIC_AUTHORIZATION_FAILED)
    producer.flush(PATIENCE)
    return {topic: found.get(topic, "no answer") for topic in topics}


def try_reading(settings: Settings, topics: Iterable[str]) -> dict[str, str]:
    """Fetch from every topic, and say for each whether its end or a record was reached."""
    config = {"group.id": settings.username, "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer(settings.client_config() | config)
    denied = KafkaError.TOPIC_AUTHORIZATION_FAILED
    found: dict[str, str] = {}
    deadline = time.monotonic() + PATIENCE
    try:
        for topic in topics:  # who may not even see a topic is not told where to fetch it
            error = consumer.list_topics(topic, PATIENCE).topics[topic].error
            if error is not None:
                found[topic] = verdict(error, granted=(), denied=denied)
        open_ = set(topics) - set(found)
        consumer.assign([TopicPartition(topic, 0, 0) for topic in sorted(open_)])
        while open_ and time.monotonic() < deadline:
            for message in consumer.consume(100, 0.2):
                name, error = message.topic(), message.error()
                if name in open_ and (error is None or error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED):
                    found[name] = verdict(error, granted=[KafkaError._PARTITION_EOF], denied=denied)
                    open_.discard(name)
    finally:
        consumer.close()
    return {topic: found.get(topic, "no answer") for topic in topics}


def try_joining(settings: Settings, groups: Iterable[str], topic: str) -> dict[str, str]:
    """Join every group, and say for each whether that led to an assignment."""
    return {group: _try_joining(settings, group, topic) for group in groups}


def _try_joining(settings: Settings, group: str, topic: str) -> str:
    consumer = Consumer(settings.client_config() | {"group.id": group, "enable.auto.commit": False, "log_level": 0})
    assigned: list[TopicPartition] = []
    try:
        consumer.subscribe([topic], on_assign=lambda _, partitions: assigned.extend(partitions))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            message = consumer.poll(0.1)
            if assigned:
                return ALLOWED
            error = message and message.error()
            if error and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                return REFUSED
        return "no answer"
    finally:
        consumer.close()


def try_registry(settings: Settings, subjects: Iterable[str]) -> dict[tuple[str, str], str]:
    """Read every subject, and register what it holds anew, which changes nothing."""
    found = {}
    with Registry(settings) as registry:
        for subject in subjects:
            latest = registry.version(subject)
            assert latest is not None, subject
            found["read", subject] = ALLOWED
            found["register", subject] = _answer(registry.register, subject, latest.schema)
    return found


def _answer(call: Callable[..., object], *arguments: object) -> str:
    try:
        call(*arguments)
    except RegistryDenied:
        return REFUSED
    return ALLOWED


def try_everything(stack: SharedStack, grants: Grants, principal: str) -> dict[Cell, str]:
    settings = stack.settings(principal)
    readable = [topic for topic in grants.topics if (principal, "read", f"topic {topic}") in grants.allowed]
    answers = {
        "write": {f"topic {name}": answer for name, answer in try_writing(settings, grants.topics).items()},
        "read": {f"topic {name}": answer for name, answer in try_reading(settings, grants.topics).items()},
        # which topic does not matter where the group is refused: nobody is asked about it then
        "join": {
            f"group {name}": answer
            for name, answer in try_joining(settings, grants.groups, (readable or grants.topics)[0]).items()
        },
    }
    found = {
        (principal, operation, name): answer for operation, named in answers.items() for name, answer in named.items()
    }
    for (operation, subject), answer in try_registry(settings, grants.subjects).items():
        found[principal, operation, f"subject {subject}"] = answer
    return found


@pytest.fixture(scope="module")
def grants(stack: SharedStack) -> Grants:
    return read_grants(stack.root)


def test_every_principal_may_do_what_both_sides_grant_and_nothing_else(stack: SharedStack, grants: Grants) -> None:
    expected: dict[Cell, str] = {}
    for principal in grants.principals:
        for operation in ("write", "read"):
            expected |= grants.expected(principal, operation, [f"topic {topic}" for topic in grants.topics])
        expected |= grants.expected(principal, "join", [f"group {group}" for group in grants.groups])
        for operation in ("read", "register"):
            expected |= grants.expected(principal, operation, [f"subject {name}" for name in grants.subjects])
    assert grants.allowed <= expected.keys(), "a right about something that the matrix does not hold"

    found: dict[Cell, str] = {}
    with ThreadPoolExecutor(6) as pool:
        for answers in pool.map(lambda principal: try_everything(stack, grants, principal), grants.principals):
            found |= answers

    wrong = {cell: f"{found.get(cell)}, expected {expected.get(cell)}" for cell in expected.keys() | found.keys()}
    wrong = {cell: said for cell, said in sorted(wrong.items()) if found.get(cell) != expected.get(cell)}
    assert not wrong
    # the matrix is as large as the world: two operations a topic, one a group, two a subject, for everybody
    size = 2 * len(grants.topics) + len(grants.groups) + 2 * len(grants.subjects)
    assert len(found) == len(grants.principals) * size
    assert set(found.values()) == {ALLOWED, REFUSED}


def test_the_matrix_holds_everybody_whom_the_contracts_give_a_password(stack: SharedStack, grants: Grants) -> None:
    assert {principal.name for principal in derive(stack.contracts).principals} == set(grants.principals)
    files = {path.name for path in (stack.home / "credentials").iterdir()}
    assert {f"{principal}.env" for principal in grants.principals} <= files


@pytest.mark.parametrize("operation", ["read", "write", "join"])
def test_a_right_too_many_shows_in_the_matrix(stack: SharedStack, grants: Grants, operation: str) -> None:
    """Grant by hand what no contract grants, and see the probes notice it, and its end."""
    principal = grants.principals[0]
    refused = {
        "read": [name for name in grants.topics if (principal, "read", f"topic {name}") not in grants.allowed],
        "write": [name for name in grants.topics if (principal, "write", f"topic {name}") not in grants.allowed],
        "join": [name for name in grants.groups if (principal, "join", f"group {name}") not in grants.allowed],
    }[operation]
    readable = next(name for name in grants.topics if (principal, "read", f"topic {name}") in grants.allowed)
    name, settings = refused[0], stack.settings(principal)
    kind = ResourceType.GROUP if operation == "join" else ResourceType.TOPIC
    right = AclOperation.WRITE if operation == "write" else AclOperation.READ
    parts = (kind, name, ResourcePatternType.LITERAL, f"User:{principal}", "*", right, AclPermissionType.ALLOW)

    def ask() -> str:
        if operation == "join":
            return try_joining(settings, [name], readable)[name]
        return (try_reading if operation == "read" else try_writing)(settings, [name])[name]

    admin = AdminClient(stack.settings("admin").client_config())
    assert ask() == REFUSED
    for future in admin.create_acls([AclBinding(*parts)]).values():
        future.result(10)
    try:
        wait_for(ask, ALLOWED)
    finally:
        for removed in admin.delete_acls([AclBindingFilter(*parts)]).values():
            assert len(list(removed.result(10))) == 1
    wait_for(ask, REFUSED)


def wait_for(ask: Callable[[], str], answer: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := ask()) != answer:
        assert time.monotonic() < deadline, f"still {found}, expected {answer}"
        time.sleep(0.2)


def test_nobody_but_the_administrator_administers(stack: SharedStack, grants: Grants) -> None:
    """What one may see is not asked: librdkafka 2.16 ends the process where that is refused."""

    def answers(principal: str) -> dict[str, str]:
        admin = AdminClient(stack.settings(principal).client_config() | {"log_level": 0})
        name = f"own-{principal.replace('~', '-')}"
        mine = AclBinding(
            ResourceType.TOPIC,
            name,
            ResourcePatternType.LITERAL,
            f"User:{principal}",
            "*",
            AclOperation.ALL,
            AclPermissionType.ALLOW,
        )
        asked: dict[str, Mapping[Any, Future[Any]]] = {
            "create a topic": admin.create_topics([NewTopic(name, 1, 1)], validate_only=True),
            "delete a topic": admin.delete_topics([grants.topics[-1] + "-that-is-not-there"]),
            "grant a right": admin.create_acls([mine]),
            "delete a group": admin.delete_consumer_groups(["a-group-that-is-not-there"]),
        }
        return {what: _refusal(next(iter(futures.values()))) for what, futures in asked.items()}

    with ThreadPoolExecutor(6) as pool:
        found = dict(zip(grants.principals, pool.map(answers, grants.principals), strict=True))
    operations = ("create a topic", "delete a topic", "grant a right", "delete a group")
    assert found == dict.fromkeys(grants.principals, dict.fromkeys(operations, REFUSED))


def _refusal(future: Future[Any]) -> str:
    try:
        future.result(PATIENCE)
    except KafkaException as error:
        denied = ("TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED")
        return REFUSED if error.args[0].name() in denied else str(error)
    return ALLOWED


def reasons_for_no_answer(config: Mapping[str, Any]) -> set[int]:
    """Ask the brokers for their topics; return the errors on the way to no answer, or fail where there is one."""
    seen: set[int] = set()

    def told(error: KafkaError) -> None:
        seen.add(error.code())

    watched: dict[str, Any] = {**config, "error_cb": told, "log_level": 0}
    client = AdminClient(watched)
    with pytest.raises(KafkaException):
        client.list_topics(timeout=3)
    client.poll(0)  # delivers what was seen to `told`
    return seen


def test_the_right_password_is_answered(stack: SharedStack, grants: Grants) -> None:
    """What the refusals below are held against."""
    client = AdminClient(stack.settings(grants.principals[0]).client_config())
    assert len(client.list_topics(timeout=10).brokers) == 3


def test_a_wrong_password_is_refused(stack: SharedStack, grants: Grants) -> None:
    settings = attrs.evolve(stack.settings(grants.principals[0]), password="wrong")
    assert KafkaError._AUTHENTICATION in reasons_for_no_answer(settings.client_config())


def test_an_unknown_user_is_refused(stack: SharedStack, grants: Grants) -> None:
    settings = attrs.evolve(stack.settings(grants.principals[0]), username="somebody")
    assert KafkaError._AUTHENTICATION in reasons_for_no_answer(settings.client_config())


def test_an_anonymous_client_is_refused(stack: SharedStack, grants: Grants) -> None:
    config = attrs.evolve(stack.settings(grants.principals[0]), username=None, password=None).client_config()
    assert config["security.protocol"] == "SSL"
    reasons_for_no_answer(config)


@pytest.mark.parametrize("with_password", [False, True])
def test_a_plaintext_connection_is_refused(stack: SharedStack, grants: Grants, *, with_password: bool) -> None:
    settings = attrs.evolve(stack.settings(grants.principals[0]), ca_file=None)
    if not with_password:
        settings = attrs.evolve(settings, username=None, password=None)
    config = settings.client_config()
    assert config.get("security.protocol", "PLAINTEXT") == ("SASL_PLAINTEXT" if with_password else "PLAINTEXT")
    reasons_for_no_answer(config)


def test_a_client_that_trusts_another_authority_does_not_talk(stack: SharedStack, grants: Grants) -> None:
    config = stack.settings(grants.principals[0]).client_config()
    del config["ssl.ca.location"]  # the machine's own authorities, which did not sign the brokers' certificates
    assert KafkaError._SSL in reasons_for_no_answer(config)


@pytest.mark.parametrize("port", [19091, 19092, 19093, 29091, 29092, 29093])
def test_the_brokers_own_listeners_want_a_certificate(stack: SharedStack, grants: Grants, port: int) -> None:
    trusting = ssl.create_default_context(cafile=stack.settings(grants.principals[0]).ca_file)
    trusting.check_hostname = False  # these listeners go by the names of the compose file
    with (
        socket.create_connection(("localhost", port), timeout=10) as plain,
        pytest.raises(ssl.SSLError, match=r"BAD_CERTIFICATE|CERTIFICATE_REQUIRED"),
        trusting.wrap_socket(plain) as secured,
    ):
        secured.recv(1)  # in TLS 1.3 the refusal comes after the handshake


def test_the_registry_answers_nobody_without_a_password(stack: SharedStack, grants: Grants) -> None:
    settings = stack.settings(grants.principals[0])
    subject = grants.subjects[0]
    for changed in (
        attrs.evolve(settings, registry_username=None, registry_password=None),
        attrs.evolve(settings, registry_password="wrong"),
    ):
        with Registry(changed) as registry:
            with pytest.raises(RegistryDenied) as caught:
                registry.version(subject)
            assert caught.value.status == 401
            with pytest.raises(RegistryDenied):
                registry.register(subject, {"type": "record", "name": "X", "fields": []})


def test_the_shared_identity_of_the_registry_only_reads(stack: SharedStack, grants: Grants) -> None:
    settings = stack.settings(grants.principals[0])
    subject = grants.subjects[0]
    with Registry(settings) as registry:
        latest = registry.version(subject)
        assert latest is not None
        for call, arguments in (
            (registry.register, (subject, latest.schema)),
            (registry.register, ("no-such-subject", latest.schema)),
            (registry.set_compatibility, (subject, "NONE")),
        ):
            with pytest.raises(RegistryDenied) as caught:
                call(*arguments)
            assert caught.value.status == 403
    assert settings.registry_username is not None
    answer = httpx.delete(
        f"{settings.registry_url}/subjects/no-such-subject",
        auth=(settings.registry_username, settings.registry_password or ""),
        verify=ssl.create_default_context(cafile=settings.ca_file),
        trust_env=False,
    )
    assert answer.status_code == 403


def test_the_registry_speaks_no_plain_http(stack: SharedStack, grants: Grants) -> None:
    url = str(stack.settings(grants.principals[0]).registry_url).replace("https://", "http://")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/subjects", trust_env=False)
