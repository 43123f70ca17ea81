"""Attempts at what nobody was granted, made from the contracts: every one has to be refused."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import attrs
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from lockgate.connection import Settings
from lockgate.contracts.derive import consumer_topics
from lockgate.contracts.model import Contracts, Domain, Workload
from lockgate.errors import RegistryDenied, RegistryError
from lockgate.registry import Registry

__all__ = ["Attempt", "attempts"]

_SECONDS = 15.0
_DENIED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_LINE = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._SSL, KafkaError._AUTHENTICATION})


@attrs.frozen
class Attempt:
    """Say what was tried and what the cluster or the registry answered."""

    who: str
    what: str
    refused: bool
    answer: str


SettingsOf = Callable[[str], Settings]


def attempts(contracts: Contracts, settings_of: SettingsOf) -> list[Attempt]:
    """Try at least one trespass of each kind for every domain; `settings_of` gives a workload's settings."""
    with ThreadPoolExecutor(8, thread_name_prefix="trespass") as pool:
        tries = [pool.submit(attempt) for attempt in _tries(contracts, settings_of)]
        return [attempt.result() for attempt in tries]


def _tries(contracts: Contracts, settings_of: SettingsOf) -> Iterator[Callable[[], Attempt]]:
    workloads = list(contracts.workloads.values())
    consumers = [workload for workload in workloads if workload.consumes]
    for domain in contracts.domains:
        topic = domain.topic.name
        stranger = next((w for w in consumers if w.name not in domain.readers), None)
        if stranger is not None:
            yield partial(_read, settings_of(stranger.name), stranger.name, topic)
        outsider = next((w for w in workloads if w.name not in domain.writers), None)
        if outsider is not None:
            yield partial(_write, settings_of(outsider.name), outsider.name, topic)
        yield from _joins(contracts, domain, consumers, settings_of)
        if domain.readers:
            reader = domain.readers[0]
            yield partial(_register, settings_of(reader), reader, domain)
    someone = workloads[0].name
    settings = settings_of(someone)
    guessed = attrs.evolve(settings, password=secrets.token_urlsafe(8))
    yield partial(_connect, guessed, someone, "log in with a wrong password")
    plain = attrs.evolve(settings, username=None, password=None, ca_file=None)
    yield partial(_connect, plain, "anonymous", "connect in plain text")
    tls = attrs.evolve(settings, username=None, password=None)
    yield partial(_connect, tls, "anonymous", "connect without credentials")
    nobody = attrs.evolve(settings, registry_username=None, registry_password=None)
    yield partial(_list_subjects, nobody)


def _joins(
    contracts: Contracts, domain: Domain, consumers: list[Workload], settings_of: SettingsOf
) -> Iterator[Callable[[], Attempt]]:
    victim = next((name for name in domain.readers if name in contracts.workloads), None)
    thief = next((w for w in consumers if w.name != victim), None)
    if victim is not None and thief is not None:
        topics = consumer_topics(contracts, thief)
        yield partial(_join, settings_of(thief.name), thief.name, victim, topics[0])


def _write(settings: Settings, who: str, topic: str) -> Attempt:
    answers: list[KafkaError | None] = []
    producer = Producer(_quiet(settings) | {"message.timeout.ms": int(_SECONDS * 1000)})
    producer.produce(topic, b"trespass", b"trespass", on_delivery=lambda error, _: answers.append(error))
    producer.flush(_SECONDS)
    error = answers[0] if answers else None
    refused = error is not None and error.code() in _DENIED
    return Attempt(who, f"write to {topic}", refused, error.str() if error else "the record was taken")


def _read(settings: Settings, who: str, topic: str) -> Attempt:
    consumer = _consumer(settings, who)
    consumer.assign([TopicPartition(topic, 0, 0)])
    return _answered(consumer, who, f"read {topic}")


def _join(settings: Settings, who: str, group: str, topic: str) -> Attempt:
    consumer = _consumer(settings, group)
    joined: list[Any] = []
    consumer.subscribe([topic], on_assign=lambda _, partitions: joined.append(partitions))
    return _answered(consumer, who, f"join group {group}", joined)


def _consumer(settings: Settings, group: str) -> Consumer:
    return Consumer(
        _quiet(settings)
        | {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )


def _answered(consumer: Consumer, who: str, what: str, joined: list[Any] | None = None) -> Attempt:
    """Poll until the cluster has refused, or has given what it should not."""
    deadline = time.monotonic() + _SECONDS
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if joined:
                return Attempt(who, what, False, "it was let in")
            if message is None:
                continue
            error = message.error()
            if error is not None and error.code() in _DENIED:
                return Attempt(who, what, True, error.str())
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                return Attempt(who, what, False, "it was let in")
    except KafkaException as failure:
        error = failure.args[0]
        return Attempt(who, what, error.code() in _DENIED, error.str())
    finally:
        consumer.close()
    return Attempt(who, what, False, "no answer, which is no refusal")


def _connect(settings: Settings, who: str, what: str) -> Attempt:
    seen: list[KafkaError] = []
    client = AdminClient(_quiet(settings) | {"error_cb": seen.append})
    try:
        client.list_topics(timeout=3)
    except KafkaException as failure:
        client.poll(0)
        errors = [*seen, failure.args[0]]
        expected = _LOGIN if settings.username is not None else _LINE
        found = next((error for error in errors if error.code() in expected), None)
        return Attempt(who, what, found is not None, (found or errors[0]).str())
    return Attempt(who, what, False, "it was let in")


def _register(settings: Settings, who: str, domain: Domain) -> Attempt:
    event = domain.events[0]
    subject = domain.subject(event)
    with Registry(settings) as registry:
        try:
            registry.register(subject, dict(event.schema) | {"doc": "Not what the contract says."})
        except RegistryDenied as error:
            return Attempt(who, f"register a schema under {subject}", True, str(error))
        except RegistryError as error:
            return Attempt(who, f"register a schema under {subject}", False, str(error))
    return Attempt(who, f"register a schema under {subject}", False, "it was registered")


def _list_subjects(settings: Settings) -> Attempt:
    with Registry(settings) as registry:
        try:
            registry.subjects()
        except RegistryDenied as error:
            return Attempt("anonymous", "list the registry's subjects", True, str(error))
        except RegistryError as error:
            return Attempt("anonymous", "list the registry's subjects", False, str(error))
    return Attempt("anonymous", "list the registry's subjects", False, "it was answered")


def _quiet(settings: Settings) -> dict[str, Any]:
    """Return client properties; what the client would print about refusals is what is being asked for."""
    return settings.client_config() | {"log_level": 0, "error_cb": _ignore}


def _ignore(_: KafkaError) -> None:
    """Take what the attempt itself reports as well."""
