"""Poison of every kind, made from the contracts: valid events of a topic with one thing wrong with each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from confluent_kafka import KafkaError, Producer

from lockgate import records
from lockgate.avro.codec import Encoder
from lockgate.avro.sample import sample
from lockgate.connection import Settings
from lockgate.contracts.model import Contracts, Domain
from lockgate.errors import DeliveryError, PoisonReason, RegistryError
from lockgate.registry import Registry

__all__ = ["Poison", "brew", "send"]

_UNKNOWN_ID = 0x7FFFFFFF
_OUT_OF_RANGE = b"\xd8\x04"
"""300 as Avro's zig-zag varint: no union has so many branches, no enum of the contracts so many symbols."""
_NEGATIVE = b"\x01"
"""-1 as Avro's zig-zag varint: no string has that length."""


@attrs.frozen
class Poison:
    """Hold a record that nobody can read, and why."""

    reason: PoisonReason
    key: bytes
    value: bytes


def brew(contracts: Contracts, domain: Domain, registry: Registry, *, seed: str = "poison") -> Iterator[Poison]:
    """Yield one poisoned record of each kind for a domain's topic, made from its first event type.

    Keys begin with `seed`. Raise RegistryError where the domain's schemas are not registered.
    """
    event = domain.events[0]
    mine = _schema_id(registry, domain, event.full_name, event.schema)
    key = f"{seed}-{domain.name}"
    datum = dict(sample(event.schema, 0)) | {domain.key: key}
    body = Encoder(event.schema).encode(datum)
    good, raw = records.frame(mine, body), key.encode()
    yield Poison("empty-value", raw, b"")
    yield Poison("no-magic-byte", raw, b'{"not": "Avro"}')
    yield Poison("unknown-schema-id", raw, records.frame(_UNKNOWN_ID, body))
    for other in contracts.domains:
        if other.topic.name != domain.topic.name:
            foreign = other.events[0]
            theirs = _schema_id(registry, other, foreign.full_name, foreign.schema)
            yield Poison("foreign-schema-id", raw, records.frame(theirs, body))
            break
    yield Poison("truncated", raw, good[:-1])
    yield Poison("trailing-bytes", raw, good + b"\x00")
    yield Poison("key-mismatch", b"somebody-else", good)
    before = _before(event.schema, datum, lambda kind: kind == "string")
    if before is not None:
        yield Poison("malformed", raw, records.frame(mine, before + _NEGATIVE))
    before = _before(event.schema, datum, _has_index)
    if before is not None:
        yield Poison("index-out-of-range", raw, records.frame(mine, before + _OUT_OF_RANGE))


def send(settings: Settings, topic: str, poison: list[Poison]) -> None:
    """Write poison with a writer's valid credentials, past every check that Lockgate's own producer makes."""
    refused: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            refused.append(error)

    producer = Producer({**settings.client_config(), "acks": "all", "enable.idempotence": True, "log_level": 3})
    for each in poison:
        producer.produce(topic, each.value, each.key, on_delivery=delivered)
    left = producer.flush(60)
    if refused or left:
        why = refused[0].str() if refused else "no answer within 60 s"
        raise DeliveryError(f"{len(refused) + left} poisoned records were not written to {topic}: {why}")


def _schema_id(registry: Registry, domain: Domain, event_type: str, schema: Mapping[str, Any]) -> int:
    found = registry.find(f"{domain.topic.name}-{event_type}", schema)
    if found is None:
        raise RegistryError(f"{event_type} is not registered", next_step="run `lockgate apply`")
    return found.schema_id


def _has_index(kind: Any) -> bool:
    """Tell whether a field's encoding begins with an index: a union's or an enum's."""
    return isinstance(kind, list) or (isinstance(kind, Mapping) and kind.get("type") == "enum")


def _before(schema: Mapping[str, Any], datum: Mapping[str, Any], wanted: Any) -> bytes | None:
    """Return the encoding of all fields before the first wanted one, or None where there is none."""
    fields = list(schema["fields"])
    for index, field in enumerate(fields):
        if wanted(field["type"]):
            head = dict(schema) | {"fields": fields[:index]}
            return Encoder(head).encode({each["name"]: datum[each["name"]] for each in fields[:index]})
    return None
