"""Trespassers: identities that try what the contracts do not grant them. Each must be refused, and told so."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import attrs
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from lockgate.connection import Settings
from lockgate.contracts.derive import Derived, derive
from lockgate.contracts.model import Contracts
from lockgate.errors import RegistryDenied, RegistryError
from lockgate.registry import Registry

__all__ = ["Attempt", "Verdict", "attempts", "try_all"]

Action = Literal["read", "write", "join", "register", "connect"]

_GUESSED = "with a wrong password"
_ANONYMOUS = "without credentials"
_PLAINTEXT = "in plain text"
_REGISTRY = "to the registry without credentials"

_REFUSALS = {
    KafkaError._AUTHENTICATION,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
}
_PATIENCE = 20.0
_CONNECT_PATIENCE = 4.0
"""How long a client without valid credentials tries; librdkafka would go on for ever."""


@attrs.frozen
class Attempt:
    """Describe something that is not granted."""

    principal: str
    action: Action
    target: str
    """A topic, a group, a subject; for `connect`: `with a wrong password`, `anonymously` and so on."""
    through: str = ""
    """For `join`: a topic that the principal may read, so that only the group can be what is refused."""


@attrs.frozen
class Verdict:
    """Say what came of an attempt."""

    attempt: Attempt
    refused: bool
    answer: str


def attempts(contracts: Contracts) -> list[Attempt]:
    """Return attempts that the contracts do not grant, some of each kind for every workload and operator."""
    derived = derive(contracts)
    found = [attempt for principal in derived.principals for attempt in _of(principal.name, contracts, derived)]
    victim = next(iter(contracts.workloads), "nobody")
    found += [Attempt(victim, "connect", way) for way in (_GUESSED, _ANONYMOUS, _PLAINTEXT, _REGISTRY)]
    return found


def _of(principal: str, contracts: Contracts, derived: Derived) -> Iterator[Attempt]:
    rights = {(acl.resource, acl.name, acl.operation) for acl in derived.acls if acl.principal == principal}
    readable = [topic.name for topic in derived.topics if ("TOPIC", topic.name, "READ") in rights]
    kinds: tuple[Literal["domain", "dead-letter"], ...] = ("domain", "dead-letter")
    for kind in kinds:
        topics = [topic.name for topic in derived.topics if topic.kind == kind]
        forbidden = [name for name in topics if ("TOPIC", name, "READ") not in rights]
        yield from (Attempt(principal, "read", name) for name in forbidden[:1])
        forbidden = [name for name in topics if ("TOPIC", name, "WRITE") not in rights]
        yield from (Attempt(principal, "write", name) for name in forbidden[-1:])
    groups = [acl.name for acl in derived.acls if acl.resource == "GROUP" and ("GROUP", acl.name, "READ") not in rights]
    if readable and groups:
        yield Attempt(principal, "join", groups[0], readable[0])
    if principal in contracts.workloads and derived.subjects:
        yield Attempt(principal, "register", derived.subjects[0].name)


def try_all(
    contracts: Contracts,
    settings_of: Callable[[str], Settings],
    *,
    progress: Callable[[Verdict], None] = lambda _: None,
    threads: int = 4,
) -> list[Verdict]:
    """Try everything that `attempts` names, and return what came of each.

    An attempt that gets no clear refusal counts as not refused: brokers that do not answer prove nothing.
    """
    schemas = {domain.subject(event): event.schema for domain in contracts.domains for event in domain.events}

    def run(attempt: Attempt) -> Verdict:
        settings = settings_of(attempt.principal)
        match attempt.action:
            case "read":
                verdict = _read(attempt, settings)
            case "write":
                verdict = _write(attempt, settings)
            case "join":
                verdict = _join(attempt, settings)
            case "register":
                # a field more than is registered: the very same schema might be answered without a registration
                schema = schemas[attempt.target]
                extra = {"name": "trespass", "type": ["null", "string"], "default": None}
                verdict = _register(attempt, settings, {**schema, "fields": [*schema["fields"], extra]})
            case "connect":
                verdict = _connect(attempt, settings)
        progress(verdict)
        return verdict

    with ThreadPoolExecutor(threads, thread_name_prefix="trespass") as pool:
        return list(pool.map(run, attempts(contracts)))


def _consumer(settings: Settings, group: str, errors: list[KafkaError]) -> Consumer:
    return Consumer(
        {
            **settings.client_config(),
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "error_cb": errors.append,
            "log_level": 0,
        }
    )


def _read(attempt: Attempt, settings: Settings) -> Verdict:
    errors: list[KafkaError] = []
    consumer = _consumer(settings, attempt.principal, errors)
    try:
        # Reading takes seeing, and a client that may not see a topic never gets as far as fetching from it.
        seen = consumer.list_topics(attempt.target, timeout=_PATIENCE).topics[attempt.target].error
        if seen is not None:
            return Verdict(attempt, seen.code() in _REFUSALS, seen.name())
        # assigned by hand: no group stands in the way, the topic's own rights decide
        consumer.assign([TopicPartition(attempt.target, 0, 0)])
        # the group's refusal is none of the topic's
        return _listen(attempt, consumer, errors, {KafkaError.TOPIC_AUTHORIZATION_FAILED})
    except KafkaException as error:
        return Verdict(attempt, False, f"no answer: {error.args[0].str()}")
    finally:
        consumer.close()


def _join(attempt: Attempt, settings: Settings) -> Verdict:
    errors: list[KafkaError] = []
    consumer = _consumer(settings, attempt.target, errors)
    assigned: list[TopicPartition] = []
    try:
        consumer.subscribe([attempt.through], on_assign=lambda _, partitions: assigned.extend(partitions))
        return _listen(attempt, consumer, errors, {KafkaError.GROUP_AUTHORIZATION_FAILED}, assigned)
    finally:
        consumer.close()


def _listen(
    attempt: Attempt,
    consumer: Consumer,
    errors: list[KafkaError],
    refusals: set[int],
    assigned: list[TopicPartition] | None = None,
) -> Verdict:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if assigned:
            return Verdict(attempt, False, "it joined, and was given partitions")
        for error in (*errors, message.error() if message is not None else None):
            if error is not None and error.code() in refusals:
                return Verdict(attempt, True, error.name())
        if message is not None:
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                return Verdict(attempt, False, "it was given records")
    return Verdict(attempt, False, f"no answer within {_PATIENCE:.0f} s")


def _write(attempt: Attempt, settings: Settings) -> Verdict:
    answers: list[KafkaError | None] = []

    def note(error: KafkaError | None, _: Message) -> None:
        answers.append(error)

    producer = Producer(
        {
            **settings.client_config(),
            "acks": "all",
            "message.timeout.ms": int(_PATIENCE * 1000),
            "log_level": 0,
        }
    )
    producer.produce(attempt.target, value=b"trespass", key=b"trespass", on_delivery=note)
    producer.flush(_PATIENCE + 5)
    error = answers[0] if answers else KafkaError(KafkaError._TIMED_OUT)
    if error is None:
        return Verdict(attempt, False, "the record was taken")
    return Verdict(attempt, error.code() in _REFUSALS, error.name())


def _register(attempt: Attempt, settings: Settings, schema: dict[str, Any]) -> Verdict:
    try:
        with Registry(settings) as registry:
            registry.register(attempt.target, schema)
    except RegistryDenied as error:
        return Verdict(attempt, True, f"HTTP {error.status}")
    except RegistryError as error:
        return Verdict(attempt, False, error.message)
    return Verdict(attempt, False, "the schema was registered")


def _connect(attempt: Attempt, settings: Settings) -> Verdict:
    """Try to connect without what it takes; an honest client next to it shows that the brokers do answer."""
    if attempt.target == _REGISTRY:
        return _enter_registry(attempt, settings)
    config = {name: value for name, value in settings.client_config().items() if not name.startswith("sasl.")}
    if attempt.target == _GUESSED:
        config = settings.client_config() | {"sasl.password": secrets.token_hex(16)}
    else:
        config["security.protocol"] = "PLAINTEXT" if attempt.target == _PLAINTEXT else "SSL"
    errors: list[KafkaError] = []
    client = Producer({**config, "error_cb": errors.append, "log_level": 0})
    try:
        client.list_topics(timeout=_CONNECT_PATIENCE)
    except KafkaException as error:
        client.poll(0)
        refused = next((each for each in errors if each.code() in _REFUSALS), None)
        if refused is not None:
            return Verdict(attempt, True, refused.name())
        try:
            Producer({**settings.client_config(), "log_level": 0}).list_topics(timeout=_PATIENCE)
        except KafkaException as unavailable:
            return Verdict(attempt, False, f"no broker answers anybody: {unavailable.args[0].str()}")
        # A broker hangs up on whoever does not speak its protocol; it has no words for that.
        hung_up = next((each for each in errors if each.code() == KafkaError._TRANSPORT), error.args[0])
        return Verdict(attempt, True, f"hung up ({hung_up.name()})")
    return Verdict(attempt, False, "the brokers answered")


def _enter_registry(attempt: Attempt, settings: Settings) -> Verdict:
    nobody = attrs.evolve(settings, registry_username=None, registry_password=None)
    try:
        with Registry(nobody) as registry:
            registry.subjects()
    except RegistryDenied as error:
        return Verdict(attempt, True, f"HTTP {error.status}")
    except RegistryError as error:
        return Verdict(attempt, False, error.message)
    return Verdict(attempt, False, "the registry answered")
