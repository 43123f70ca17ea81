"""Poison of every kind goes to the dead-letter topic as it is, and the record behind it is handled."""

from __future__ import annotations

import random
import struct
import time
from typing import Any, get_args

import attrs
import pytest
from confluent_kafka import Message

from lockgate import records
from lockgate.avro.codec import Encoder
from lockgate.contracts import names
from lockgate.errors import PoisonReason
from lockgate.records import Coordinates, Envelope
from lockgate.registry import Registry
from tests.worlds import Raw, SharedStack, World, envelope_of, headers_of, make_world

OWN_HEADERS: list[tuple[str, bytes | None]] = [
    ("ce_id", b"poison-1"),
    ("twice", b"\x00\xff"),
    ("twice", b""),
    ("nothing", None),
    # names of the envelope's: on a domain topic anybody can write them, and they mean nothing
    ("lockgate.envelope", b"1"),
    ("__dlq.errors.topic", b"somewhere-else"),
    ("lockgate.reason", b"forged"),
]

HANDLERS = """
    @service.handler("$work")
    def work(event: a.Made, context: Context) -> b.Sent:
        return b.Sent(item_id=event.item_id, origin=f"{context.partition}@{context.offset}")

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""

STRING = b"\x0a"
"""Avro's length of `apple`."""
GOOD_DATUM = STRING + b"apple" + b"\x02" + b"\x00" + b"\x00"
"""item_id `apple`, size 1, colour RED, no note."""

POISON: dict[str, PoisonReason] = {
    "a value of no bytes": "empty-value",
    "text": "no-magic-byte",
    "another magic byte": "no-magic-byte",
    "a value that ends within the schema id": "no-magic-byte",
    "an id that the registry has not": "unknown-schema-id",
    "the id of another topic's event": "foreign-schema-id",
    "a datum of no bytes": "truncated",
    "a datum that ends early": "truncated",
    "a text that is not UTF-8": "malformed",
    "a negative length": "malformed",
    "a byte behind the datum": "trailing-bytes",
    "an enum index out of range": "index-out-of-range",
    "a negative enum index": "index-out-of-range",
    "a union index out of range": "index-out-of-range",
    "a writer's schema that does not resolve": "schema-mismatch",
    "another event's key": "key-mismatch",
    "no key": "key-mismatch",
}


@attrs.frozen
class Aftermath:
    """Hold what was written, and what became of it."""

    world: World
    poison: dict[str, Raw]
    big: Raw
    good: list[Raw]
    tombstone: Raw
    letters: dict[Coordinates, Message]
    sent: list[Message]
    outcomes: dict[Coordinates, list[dict[str, Any]]]
    started: float
    schema_ids: dict[str, int]


def bytes_of_kind(world: World, schema_ids: dict[str, int]) -> dict[str, tuple[bytes | None, bytes]]:
    """Return key and value of every kind of poison."""
    made, sent, other = (schema_ids[name] for name in ("Made", "Sent", "other"))
    subject = f"{world.source_topic}.Made"
    text = {
        "type": "record",
        "name": subject,
        "fields": [{"name": "item_id", "type": "string"}, {"name": "size", "type": "string"}],
    }
    values = {
        "a value of no bytes": b"",
        "text": b'{"item_id": "apple"}',
        "another magic byte": b"\x01" + records.frame(made, GOOD_DATUM)[1:],
        "a value that ends within the schema id": b"\x00\x00\x01",
        "an id that the registry has not": records.frame(2_000_000_000, GOOD_DATUM),
        "the id of another topic's event": records.frame(sent, GOOD_DATUM),
        "a datum of no bytes": records.frame(made, b""),
        "a datum that ends early": records.frame(made, GOOD_DATUM[:-1]),
        "a text that is not UTF-8": records.frame(made, b"\x04\xff\xfe" + b"\x02\x00\x00"),
        "a negative length": records.frame(made, b"\x01" + b"apple" + b"\x02\x00\x00"),
        "a byte behind the datum": records.frame(made, GOOD_DATUM + b"\x00"),
        "an enum index out of range": records.frame(made, STRING + b"apple" + b"\x02" + b"\x04" + b"\x00"),
        "a negative enum index": records.frame(made, STRING + b"apple" + b"\x02" + b"\x01" + b"\x00"),
        "a union index out of range": records.frame(made, STRING + b"apple" + b"\x02" + b"\x00" + b"\x04"),
        "a writer's schema that does not resolve": records.frame(
            other, Encoder(text).encode({"item_id": "apple", "size": "large"})
        ),
        "another event's key": records.frame(made, GOOD_DATUM),
        "no key": records.frame(made, GOOD_DATUM),
    }
    keys: dict[str, bytes | None] = {"another event's key": b"pear", "no key": None}
    return {kind: (keys.get(kind, b"apple"), value) for kind, value in values.items()}


@pytest.fixture(scope="module")
def aftermath(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    world = make_world(stack, tmp_path_factory.mktemp("poison"))
    world.write_handlers(HANDLERS)
    schema_ids = {name: world.schema_id(name) for name in ("Made", "Sent")}
    subject = f"{world.source_topic}-{world.source_topic}.Made"
    with Registry(stack.settings("ci")) as registry:
        registry.set_compatibility(subject, "NONE")
        version = registry.version(subject)
        assert version is not None
        fields = [{"name": "item_id", "type": "string"}, {"name": "size", "type": "string"}]
        schema_ids["other"] = registry.register(subject, {**version.schema, "fields": fields})

    started = time.time()
    raw: list[Raw] = []
    kinds = bytes_of_kind(world, schema_ids)
    for number, (key, value) in enumerate(kinds.values()):
        partition = number % 3
        raw.append(Raw(value, key, OWN_HEADERS, partition, timestamp=1_700_000_000_000 + number))
        good = {"item_id": f"good-{number}", "size": number, "colour": "GREEN", "note": None}
        raw.append(Raw(world.encode("Made", good), f"good-{number}".encode(), partition=partition))
    # The same 100,000 random bytes twenty times: a window of zstd's holds them, one of the runtime's codec does not.
    block = random.Random(5).randbytes(100_000)
    raw.append(Raw(b"\x07" + block * 20, b"big", OWN_HEADERS, partition=1))
    raw.append(Raw(None, b"gone", partition=1))
    last = {"item_id": "last", "size": 1, "colour": "RED", "note": "the end"}
    raw.extend(Raw(world.encode("Made", last), b"last", partition=partition) for partition in range(3))
    written = world.produce(raw)
    with world.running() as running:
        running.until(lambda: len(world.outcomes()) >= len(written), "an outcome of every record")
        running.stop()
        assert world.committed(world.worker, world.source_topic) == {
            partition: 1 + max(record.offset for record in written if record.partition == partition)
            for partition in range(3)
        }

    letters = {}
    for message in world.read(names.dead_letter_topic(world.source_topic, world.worker)):
        letters[envelope_of(message).source] = message
    outcomes: dict[Coordinates, list[dict[str, Any]]] = {}
    for line in world.outcomes():
        outcomes.setdefault(Coordinates(line["topic"], line["partition"], line["offset"]), []).append(line)
    count = 2 * len(kinds)
    return Aftermath(
        world,
        poison=dict(zip(kinds, written[:count:2], strict=True)),
        big=written[count],
        good=[*written[1:count:2], *written[count + 2 :]],
        tombstone=written[count + 1],
        letters=letters,
        sent=world.read(world.result_topic),
        outcomes=outcomes,
        started=started,
        schema_ids=schema_ids,
    )


def test_every_reason_has_a_kind() -> None:
    assert set(POISON.values()) == set(get_args(PoisonReason))


@pytest.mark.parametrize(("kind", "reason"), POISON.items())
def test_poison_is_dead_lettered_byte_for_byte(aftermath: Aftermath, kind: str, reason: PoisonReason) -> None:
    record = aftermath.poison[kind]
    source = record.at(aftermath.world.source_topic)
    letter = aftermath.letters[source]
    assert (letter.key(), letter.value()) == (record.key, record.value)
    assert letter.partition() == record.partition
    headers = headers_of(letter)
    assert headers[: len(OWN_HEADERS)] == OWN_HEADERS
    assert records.without_envelope(headers) == OWN_HEADERS

    framed = record.value is not None and len(record.value) >= 5 and record.value[0] == 0
    assert record.value is not None
    envelope = envelope_of(letter)
    assert envelope == Envelope(
        source=source,
        group=aftermath.world.worker,
        attempt=0,
        timestamp=record.timestamp,
        timestamp_type="CreateTime",
        stage="read",
        reason=reason,
        message=envelope.message,
        schema_id=struct.unpack(">I", record.value[1:5])[0] if framed else None,
    )
    assert len(envelope.message) > 10
    (line,) = aftermath.outcomes[source]
    assert (line["outcome"], line["reason"], line["attempt"]) == ("dead-lettered", reason, 0)


def test_every_record_behind_poison_is_handled(aftermath: Aftermath) -> None:
    for record in aftermath.good:
        (line,) = aftermath.outcomes[record.at(aftermath.world.source_topic)]
        assert (line["outcome"], line["attempt"]) == ("handled", 1)
    origins = {f"{record.partition}@{record.offset}" for record in aftermath.good}
    encoded = [message.value() or b"" for message in aftermath.sent]
    assert len(encoded) == len(origins)
    assert all(any(value.endswith(origin.encode()) for value in encoded) for origin in origins)


def test_nothing_else_is_dead_lettered(aftermath: Aftermath) -> None:
    topic = aftermath.world.source_topic
    assert set(aftermath.letters) == {record.at(topic) for record in (*aftermath.poison.values(), aftermath.big)}


def test_a_tombstone_that_nobody_asks_for_is_skipped(aftermath: Aftermath) -> None:
    (line,) = aftermath.outcomes[aftermath.tombstone.at(aftermath.world.source_topic)]
    assert (line["outcome"], line["reason"]) == ("skipped", None)


def test_what_does_not_fit_becomes_a_pointer_to_the_record(aftermath: Aftermath) -> None:
    letter = aftermath.letters[aftermath.big.at(aftermath.world.source_topic)]
    assert letter.value() is None
    assert letter.key() == aftermath.big.key
    assert letter.partition() == aftermath.big.partition
    envelope = envelope_of(letter)
    assert (envelope.pointer, envelope.reason) == (True, "no-magic-byte")
    assert records.without_envelope(headers_of(letter)) == []


def test_letters_are_stamped_by_the_brokers(aftermath: Aftermath) -> None:
    log_append_time = 2
    for letter in aftermath.letters.values():
        kind, milliseconds = letter.timestamp()
        assert kind == log_append_time
        assert milliseconds >= int(aftermath.started * 1000)
