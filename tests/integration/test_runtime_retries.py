"""What a handler refuses walks the retry topics, never early, or is dead-lettered; what it returns is published."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from confluent_kafka import Message

from lockgate import ids, records
from lockgate.contracts import names
from lockgate.records import Coordinates
from tests.worlds import Raw, SharedStack, World, envelope_of, headers_of, make_world

TRACE = "0af7651916cd43dd8448eb211c80319c"

HANDLERS = """
    import json, os, sys, time
    from pathlib import Path

    CALLS = Path(__file__).parents[2] / "calls.jsonl"

    def called(item: str, context: Context) -> str:
        with CALLS.open("a") as file:
            file.write(json.dumps({"item": item, "attempt": context.attempt, "at": time.time() * 1000,
                                   "source": f"{context.topic}-{context.partition}@{context.offset}",
                                   "timestamp": context.timestamp_ms, "trace": context.trace_id,
                                   "headers": [name for name, _ in context.headers]}) + "\\n")
        return item.partition("-")[0]

    @service.handler("$work")
    async def work(event: a.Made, context: Context):
        kind = called(event.item_id, context)
        sent = b.Sent(item_id=event.item_id, origin=kind)
        if kind == "third" and context.attempt < 3:
            raise RuntimeError(f"not at attempt {context.attempt}")
        if kind == "never":
            raise ValueError("never, \\nnot even in two lines | INFO | forged")
        if kind == "reject":
            raise Reject("nobody wants it")
        if kind == "half":
            yield sent
            raise RuntimeError("after the first result")
        if kind == "foreign":
            yield a.Made(item_id=event.item_id, size=1, colour=a.Colour.RED)
        if kind == "misfit":
            yield sent
            yield ("$b.Sent", {"item_id": event.item_id, "origin": 5})
        if kind == "huge":
            import random
            yield b.Sent(item_id=event.item_id, origin=random.Random(1).randbytes(1_500_000).hex())
        if kind == "odd":
            yield 5
        yield sent
        yield ("$b.Sent", {"item_id": event.item_id, "origin": "second"})

    @service.handler("$work")
    def withdraw(tombstone: Tombstone, context: Context) -> None:
        called(f"tombstone-{tombstone.key}", context)
        if context.attempt == 1:
            raise RuntimeError("a tombstone walks the tiers, too")

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""

KINDS = ("plain", "third", "never", "reject", "half", "foreign", "misfit", "huge", "odd")


@attrs.frozen
class Aftermath:
    """Hold what was written, and what became of it."""

    world: World
    written: dict[str, Raw]
    calls: dict[str, list[dict[str, Any]]]
    tiers: dict[int, dict[Coordinates, list[Message]]]
    letters: dict[Coordinates, list[Message]]
    sent: dict[str, list[Message]]
    outcomes: dict[Coordinates, list[dict[str, Any]]]

    def source(self, kind: str) -> Coordinates:
        return self.written[kind].at(self.world.source_topic)

    def walked(self, kind: str) -> list[str]:
        """Return what the journal says of one record, in order: `retried`, …"""
        return [line["outcome"] for line in self.outcomes[self.source(kind)]]

    def letter(self, kind: str) -> Message:
        (letter,) = self.letters[self.source(kind)]
        return letter


def by_source(messages: list[Message]) -> dict[Coordinates, list[Message]]:
    found: dict[Coordinates, list[Message]] = {}
    for message in messages:
        found.setdefault(envelope_of(message).source, []).append(message)
    return found


@pytest.fixture(scope="module")
def aftermath(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    world = make_world(stack, tmp_path_factory.mktemp("retries"), retry="[400ms, 1200ms]")
    world.write_handlers(HANDLERS)
    raw = {}
    for number, kind in enumerate(KINDS):
        item = f"{kind}-{number}"
        datum = {"item_id": item, "size": number, "colour": "RED", "note": None}
        headers: list[tuple[str, bytes | None]] = [
            ("ce_id", f"id-{kind}".encode()),
            ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode()),
            ("tracestate", b"vendor=1"),
            ("own", None),
            ("own", b"\xff\x00"),
        ]
        value = world.encode("Made", datum)
        raw[kind] = Raw(value, item.encode(), headers, number % 3, timestamp=1_700_000_000_000 + number)
    raw["bare"] = Raw(raw["plain"].value, raw["plain"].key, (), 2)
    raw["gone"] = Raw(world.encode("Gone", {"item_id": "x", "reason": None}), b"x")
    raw["tombstone"] = Raw(None, b"apple", [("ce_id", b"id-tombstone")], 1)
    raw["nameless tombstone"] = Raw(None, None, (), 1)
    written = dict(zip(raw, world.produce(raw.values()), strict=True))

    with world.running() as running:
        done = {"handled", "skipped", "dead-lettered"}
        running.until(
            lambda: sum(line["outcome"] in done for line in world.outcomes()) >= len(written), "every last outcome"
        )
        running.stop()
        assert "forged" in running.text
        assert not any(line.startswith("not even in two lines") for line in running.text.splitlines())

    calls: dict[str, list[dict[str, Any]]] = {}
    for text in (world.root / "calls.jsonl").read_text().splitlines():
        call = json.loads(text)
        calls.setdefault(call["source"], []).append(call)
    outcomes: dict[Coordinates, list[dict[str, Any]]] = {}
    for line in world.outcomes():
        outcomes.setdefault(Coordinates(line["topic"], line["partition"], line["offset"]), []).append(line)
    sent: dict[str, list[Message]] = {}
    for message in world.read(world.result_topic):
        sent.setdefault((message.key() or b"").decode(), []).append(message)
    topic, worker = world.source_topic, world.worker
    return Aftermath(
        world,
        written,
        calls,
        {tier: by_source(world.read(names.retry_topic(topic, worker, tier))) for tier in (1, 2)},
        by_source(world.read(names.dead_letter_topic(topic, worker))),
        sent,
        outcomes,
    )


def test_a_retry_is_never_early(aftermath: Aftermath) -> None:
    checked = 0
    for tier, delay in ((1, 400), (2, 1200)):
        for source, copies in aftermath.tiers[tier].items():
            (copy,) = copies
            calls = aftermath.calls[str(source)]
            failed, again = calls[tier - 1], calls[tier]
            due = envelope_of(copy).due
            assert due is not None
            assert due >= failed["at"] + delay
            assert again["at"] >= due
            assert again["at"] < due + 5000, "and it is not forgotten either"
            checked += 1
    assert checked >= 4


def test_a_record_that_succeeds_at_its_third_attempt_has_walked_exactly_its_tiers(aftermath: Aftermath) -> None:
    source, record = aftermath.source("third"), aftermath.written["third"]
    for tier in (1, 2):
        (copy,) = aftermath.tiers[tier][source]
        assert (copy.key(), copy.value(), copy.partition()) == (record.key, record.value, record.partition)
        assert records.without_envelope(headers_of(copy)) == list(record.headers)
        envelope = envelope_of(copy)
        assert (envelope.attempt, envelope.stage, envelope.reason) == (tier, "handle", "error")
        assert envelope.message == f"not at attempt {tier}"
        assert (envelope.timestamp, envelope.timestamp_type) == (record.timestamp, "CreateTime")
    assert source not in aftermath.letters
    assert [call["attempt"] for call in aftermath.calls[str(source)]] == [1, 2, 3]
    assert aftermath.walked("third") == ["retried", "retried", "handled"]


def test_every_attempt_sees_the_record_as_it_was_written(aftermath: Aftermath) -> None:
    for call in aftermath.calls[str(aftermath.source("third"))]:
        assert call["headers"] == ["ce_id", "traceparent", "tracestate", "own", "own"]
        assert (call["trace"], call["timestamp"]) == (TRACE, aftermath.written["third"].timestamp)


@pytest.mark.parametrize(
    ("kind", "stage", "exception", "message"),
    [
        ("never", "handle", "builtins.ValueError", "never, \nnot even"),
        ("half", "handle", "builtins.RuntimeError", "after the first result"),
        ("foreign", "publish", "lockgate.errors.EventError", "an event type that"),
        ("misfit", "publish", "lockgate.errors.EventError", "at origin: expected"),
        ("odd", "handle", "builtins.TypeError", "gave a int"),
    ],
)
def test_the_last_failure_is_dead_lettered(
    aftermath: Aftermath, kind: str, stage: str, exception: str, message: str
) -> None:
    record, letter = aftermath.written[kind], aftermath.letter(kind)
    assert (letter.key(), letter.value(), letter.partition()) == (record.key, record.value, record.partition)
    assert records.without_envelope(headers_of(letter)) == list(record.headers)
    envelope = envelope_of(letter)
    assert (envelope.stage, envelope.reason, envelope.attempt) == (stage, "error", 3)
    assert envelope.exception == exception
    assert message in envelope.message
    assert "Traceback" in envelope.stack
    assert envelope.due is None
    assert envelope.schema_id == aftermath.world.schema_id("Made")
    assert aftermath.walked(kind) == ["retried", "retried", "dead-lettered"]
    assert dict(headers_of(letter))["__dlq.errors.delivery.count"] == b"3"


@pytest.mark.parametrize("kind", ["never", "half", "foreign", "misfit", "odd", "reject"])
def test_a_record_that_fails_publishes_nothing(aftermath: Aftermath, kind: str) -> None:
    key = aftermath.written[kind].key or b""
    assert key.decode() not in aftermath.sent


def test_reject_is_dead_lettered_at_once(aftermath: Aftermath) -> None:
    source = aftermath.source("reject")
    assert all(source not in tier for tier in aftermath.tiers.values())
    envelope = envelope_of(aftermath.letter("reject"))
    assert (envelope.stage, envelope.reason, envelope.attempt) == ("handle", "reject", 1)
    assert (envelope.message, envelope.exception) == ("nobody wants it", "lockgate.errors.Reject")
    assert aftermath.walked("reject") == ["dead-lettered"]


def test_a_result_that_the_brokers_refuse_for_its_size_is_dead_lettered(aftermath: Aftermath) -> None:
    envelope = envelope_of(aftermath.letter("huge"))
    assert (envelope.stage, envelope.reason, envelope.attempt) == ("publish", "too-large", 1)
    assert aftermath.letter("huge").value() == aftermath.written["huge"].value
    # without transactions its smaller results are out by then: the journal names them, and a replay repeats their ids
    (line,) = aftermath.outcomes[aftermath.source("huge")]
    sent = {dict(headers_of(message))["ce_id"] for message in aftermath.sent["huge-7"]}
    assert {result["id"].encode() for result in line["results"]} == sent
    assert len(sent) == 2


def test_an_event_type_that_is_not_consumed_is_skipped(aftermath: Aftermath) -> None:
    assert aftermath.walked("gone") == ["skipped"]
    assert aftermath.source("gone") not in aftermath.letters


def test_a_tombstone_goes_to_its_handler(aftermath: Aftermath) -> None:
    source = aftermath.source("tombstone")
    calls = aftermath.calls[str(source)]
    assert [(call["item"], call["attempt"]) for call in calls] == [("tombstone-apple", 1), ("tombstone-apple", 2)]
    (copy,) = aftermath.tiers[1][source]
    assert (copy.key(), copy.value()) == (b"apple", None)
    assert aftermath.walked("tombstone") == ["retried", "handled"]


def test_a_tombstone_without_a_key_is_poison_where_tombstones_are_asked_for(aftermath: Aftermath) -> None:
    assert envelope_of(aftermath.letter("nameless tombstone")).reason == "key-mismatch"


@pytest.mark.parametrize(("kind", "event_id"), [("plain", "id-plain"), ("third", "id-third"), ("bare", None)])
def test_results_carry_derived_ids_and_the_trace(aftermath: Aftermath, kind: str, event_id: str | None) -> None:
    source = aftermath.source(kind)
    worker = aftermath.world.worker
    expected = [ids.derived_event_id(event_id or str(source), worker, position) for position in (0, 1)]
    key = (aftermath.written[kind].key or b"").decode()
    sent = {(dict(headers_of(message))["ce_id"] or b"").decode(): message for message in aftermath.sent[key]}
    line = aftermath.outcomes[source][-1]
    event_type = f"{aftermath.world.result_topic}.Sent"
    assert line["results"] == [
        {"topic": aftermath.world.result_topic, "event_type": event_type, "id": ident} for ident in expected
    ]
    for ident in expected:
        headers = dict(headers_of(sent[ident]))
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_type"] == event_type.encode()
        assert headers["ce_source"] == worker.encode()
        assert headers["content-type"] == b"application/avro"
        trace = records.trace_of(headers_of(sent[ident]))
        assert trace is not None
        assert (trace[0] == TRACE) == (event_id is not None)
        assert headers.get("tracestate") == (b"vendor=1" if event_id else None)


def test_the_balance_of_one_run(aftermath: Aftermath) -> None:
    last = {source: lines[-1]["outcome"] for source, lines in aftermath.outcomes.items()}
    assert set(last) == {record.at(aftermath.world.source_topic) for record in aftermath.written.values()}
    assert "retried" not in last.values()
    assert {source for source, outcome in last.items() if outcome == "dead-lettered"} == set(aftermath.letters)
