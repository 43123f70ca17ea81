"""Poison of every kind, made from the contracts: records that nobody can read, from a writer with valid credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import attrs
from confluent_kafka import KafkaError, Message, Producer

from lockgate.connection import Settings
from lockgate.contracts.model import Contracts, Domain, Workload
from lockgate.deadletters.letter import Letter
from lockgate.errors import DeliveryError, PoisonReason, RegistryError
from lockgate.records import Coordinates, Headers, without_envelope
from lockgate.registry import Registry
from lockgate.testing.poison import variants

__all__ = ["Poison", "PoisonCheck", "check_letters", "poison_for", "schema_ids", "send"]

_HEADERS: Headers = (("x-demo", b"poison"), ("x-raw", b"\xff\x00\xfe"), ("x-none", None), ("x-demo", b"again"))
"""What a letter has to bring back as well: bytes that are no text, nothing at all, and a name that occurs twice."""
_BEFORE_DECODING: frozenset[PoisonReason] = frozenset(
    {"empty-value", "no-magic-byte", "unknown-schema-id", "foreign-schema-id"}
)
"""Kinds that show before the event type is known, so that no workload can take them for a type it does not consume."""


@attrs.frozen
class Poison:
    """Hold one record that cannot be read."""

    reason: PoisonReason
    topic: str
    event_type: str
    """The event type that it pretends to be, where one can tell."""
    key: bytes
    value: bytes
    place: Coordinates | None = None
    """Where it lies, once it was sent."""

    def is_poison_to(self, workload: Workload) -> bool:
        """Return whether a workload must dead-letter it; to others it is an event type that they skip."""
        return self.reason in _BEFORE_DECODING or self.event_type in workload.consumes


def schema_ids(contracts: Contracts, registry: Registry) -> dict[str, int]:
    """Return the registry's id of each event type's schema; raise RegistryError where one is not registered."""
    found = {}
    for domain in contracts.domains:
        for event in domain.events:
            known = registry.version(domain.subject(event))
            if known is None:
                raise RegistryError(f"{domain.subject(event)} is not registered", next_step="run `lockgate apply`")
            found[event.full_name] = known.schema_id
    return found


def poison_for(contracts: Contracts, ids: Mapping[str, int], *, rounds: int = 1) -> list[Poison]:
    """Return poison of every kind for every domain that is read and that a program writes, `rounds` times each."""
    made = []
    for domain in contracts.domains:
        if not domain.readers or writer_of(contracts, domain) is None:
            continue
        foreign = next((ids[each] for each in ids if contracts.domain_of(each) is not domain), None)
        for turn in range(rounds):
            for event in domain.events:
                made += [
                    Poison(reason, domain.topic.name, event.full_name, key, value)
                    for reason, key, value in variants(
                        event, domain.key, ids[event.full_name], foreign_id=foreign, seed=turn
                    )
                ]
    return made


def writer_of(contracts: Contracts, domain: Domain) -> str | None:
    """Return a workload that may write a domain: one that reads nothing, if there is one."""
    writers = [name for name in domain.writers if name in contracts.workloads]
    return min(writers, key=lambda name: (bool(contracts.workload(name).consumes), name), default=None)


def send(contracts: Contracts, poisons: Sequence[Poison], settings_of: Callable[[str], Settings]) -> list[Poison]:
    """Write poison with the valid credentials of each domain's writer; return it with where it lies.

    Raise DeliveryError where the brokers do not take one.
    """
    by_topic = {domain.topic.name: domain for domain in contracts.domains}
    sent: list[Poison] = []
    failed: list[str] = []

    def note(poison: Poison, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(f"{poison.topic}: {error.str()}")
        else:
            place = Coordinates(poison.topic, message.partition() or 0, message.offset() or 0)
            sent.append(attrs.evolve(poison, place=place))

    clients: dict[str, Producer] = {}
    for poison in poisons:
        writer = writer_of(contracts, by_topic[poison.topic])
        if writer is None:
            raise ValueError(f"nobody writes {poison.topic}")
        if writer not in clients:
            config = settings_of(writer).client_config()
            config |= {"acks": "all", "enable.idempotence": True, "client.id": writer, "log_level": 3}
            clients[writer] = Producer(config)
        clients[writer].produce(
            poison.topic,
            key=poison.key,
            value=poison.value,
            headers=list[tuple[str, str | bytes | None]](_HEADERS),
            on_delivery=partial(note, poison),
        )
    for client in clients.values():
        client.flush(60)
    if failed or len(sent) < len(poisons):
        raise DeliveryError(f"{len(poisons) - len(sent)} poisoned records were not taken: {', '.join(failed[:3])}")
    return sent


@attrs.frozen
class PoisonCheck:
    """Say whether each poisoned record came out where it should."""

    sent: int
    letters: int
    """Letters that have to lie there: one for each workload that reads the topic and cannot skip the record."""
    wrong: tuple[str, ...]
    """What is missing, has another reason, or is not byte for byte what was sent."""


def check_letters(contracts: Contracts, sent: Iterable[Poison], letters: Iterable[Letter]) -> PoisonCheck:
    """Set poison that was sent against the letters that lie in the dead-letter topics."""
    found = {
        (letter.envelope.group, letter.envelope.source): letter for letter in letters if letter.envelope is not None
    }
    readers = {domain.topic.name: domain.readers for domain in contracts.domains}
    wrong, wanted, count = [], 0, 0
    for poison in sent:
        count += 1
        for reader in readers[poison.topic]:
            if poison.place is None or not poison.is_poison_to(contracts.workload(reader)):
                continue
            wanted += 1
            fault = _fault(poison, found.get((reader, poison.place)))
            if fault is not None:
                wrong.append(f"{poison.reason} at {poison.place}, {reader}: {fault}")
    return PoisonCheck(count, wanted, tuple(wrong))


def _fault(poison: Poison, letter: Letter | None) -> str | None:
    if letter is None:
        return "no letter"
    if letter.reason != poison.reason:
        return f"its letter says {letter.reason}"
    if (letter.key, letter.value) != (poison.key, poison.value):
        return "key or value are not those that were sent"
    if without_envelope(letter.headers) != list(_HEADERS):
        return "the headers are not those that were sent"
    return None
