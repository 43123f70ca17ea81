"""Waiting for due times, the registry and other processes; offsets that no record has; envelopes that are none."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from lockgate import records
from lockgate.contracts import names
from lockgate.contracts.load import load
from lockgate.records import Coordinates, Envelope
from tests.worlds import Raw, Running, SharedStack, World, envelope_of, eventually, headers_of, make_world

HANDLERS = """
    import json
    import os
    import time
    from pathlib import Path

    SEEN = Path(__file__).with_name("seen.jsonl")


    @service.handler("$work")
    def work(event: a.Made, context: Context) -> None:
        line = {"item": event.item_id, "attempt": context.attempt, "at": time.time() * 1000, "pid": os.getpid(),
                "topic": context.topic, "partition": context.partition, "offset": context.offset,
                "replay": context.replay, "headers": [name for name, _ in context.headers]}
        with SEEN.open("a") as file:
            file.write(json.dumps(line) + chr(10))
        if event.item_id.startswith("fail") and context.attempt == 1:
            raise ConnectionError("busy")


    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""


@pytest.fixture(scope="module")
def place(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose first tier is long enough to do things in the meantime."""
    world = make_world(stack, tmp_path_factory.mktemp("waiting"), retry="[4s, 100ms]", partitions=2)
    world.write_handlers(HANDLERS)
    return world


@pytest.fixture
def fresh(place: World) -> Iterator[World]:
    """The same world with a clean memory."""
    seen(place)  # tolerated where there is nothing yet
    (place.root / "services/making/seen.jsonl").unlink(missing_ok=True)
    yield place
    for file in place.journal.glob("*.jsonl"):
        file.unlink()


def seen(world: World) -> list[dict[str, object]]:
    file = world.root / "services/making/seen.jsonl"
    return [json.loads(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []


def attempts(world: World, item: str) -> list[object]:
    return [line["attempt"] for line in seen(world) if line["item"] == item]


def made(world: World, *items: str, partition: int = 0, headers: records.Headers = ()) -> list[Raw]:
    value = {item: world.encode("Made", {"item_id": item, "size": 1, "colour": "RED"}) for item in items}
    return world.produce([Raw(value[item], item.encode(), headers, partition) for item in items])


def assigned(running: Running, count: int = 1) -> None:
    running.until(lambda: running.text.count("Partitions assigned") >= count, "partitions")


def due_of(world: World, item: str, tier: int = 1) -> int:
    topic = names.retry_topic(world.source_topic, world.worker, tier)
    (copy,) = (message for message in world.read(topic) if message.key() == item.encode())
    due = envelope_of(copy).due
    assert due is not None
    return due


def handled_at(world: World, item: str) -> float:
    (line,) = (line for line in seen(world) if line["item"] == item and line["attempt"] == 2)
    at = line["at"]
    assert isinstance(at, float)
    return at


def test_a_wait_survives_a_restart_and_is_not_cut_short_by_it(fresh: World) -> None:
    with fresh.running() as first:
        made(fresh, "fail-restart")
        first.until(lambda: "Sent to retry tier 1" in first.text, "the failure")
        time.sleep(0.5)  # the copy has been taken and waits
        first.stop()
    with fresh.running() as second:
        second.until(lambda: attempts(fresh, "fail-restart") == [1, 2], "the second attempt")
        second.stop()
    assert handled_at(fresh, "fail-restart") >= due_of(fresh, "fail-restart")
    assert lag(fresh) == {}


def test_a_wait_survives_a_rebalance_and_the_partition_goes_on_after_it(fresh: World) -> None:
    with fresh.running() as first, fresh.running() as second:
        eventually(lambda: (ranges(first), ranges(second)) in SHARED, "one partition each", why=lambda: first.text)
        made(fresh, "fail-0", partition=0)
        made(fresh, "fail-1", partition=1)
        for running in (first, second):
            running.until(lambda running=running: "Sent to retry tier 1" in running.text, "its failure")  # type: ignore[misc]  # bound
        second.stop()  # in the middle of both waits: its partition goes over, the other one is taken and given back
        first.until(lambda: attempts(fresh, "fail-0") == attempts(fresh, "fail-1") == [1, 2], "the second attempts")
        assert {line["pid"] for line in seen(fresh) if line["attempt"] == 2} == {first.process.pid}
        made(fresh, "quiet-0", partition=0)
        made(fresh, "quiet-1", partition=1)
        first.until(lambda: attempts(fresh, "quiet-0") == attempts(fresh, "quiet-1") == [1], "what comes after")
        first.stop()
    for item in ("fail-0", "fail-1"):
        assert handled_at(fresh, item) >= due_of(fresh, item)
    assert lag(fresh) == {}


SHARED = (("0", "1"), ("1", "0"))


def ranges(running: Running) -> str:
    """Return which partitions of the domain topic a process was given last: `0`, `1`, `0-1`, or nothing."""
    lines = [line for line in running.text.splitlines() if "Partitions assigned" in line]
    found = re.search(r"partitions=\"?\w+:([\d-]+)", lines[-1]) if lines else None
    return found[1] if found else ""


def test_waiting_goes_on_polling_and_holds_nothing_else_up(fresh: World) -> None:
    environ = {"LOCKGATE_KAFKA_MAX_POLL_INTERVAL_MS": "6000", "LOCKGATE_KAFKA_SESSION_TIMEOUT_MS": "6000"}
    with fresh.running(environ=environ) as running:
        assigned(running)
        # eight seconds of waiting: the second copy is read, and found to be early, only after the first is handled
        made(fresh, "fail-first")
        running.until(lambda: attempts(fresh, "fail-first") == [1], "the first failure")
        time.sleep(3.5)
        made(fresh, "fail-second")
        made(fresh, "quiet")
        running.until(lambda: attempts(fresh, "quiet") == [1], "the record behind", 1.5)
        running.until(lambda: attempts(fresh, "fail-second") == [1, 2], "the second copy")
        running.stop()
        assert "Partitions lost" not in running.text
        assert running.text.count("Partitions assigned") == 1
    assert handled_at(fresh, "fail-second") >= due_of(fresh, "fail-second")


def test_transaction_markers_leave_no_lag(fresh: World) -> None:
    value = fresh.encode("Made", {"item_id": "quiet", "size": 1, "colour": "RED"})
    config = fresh.stack.settings("admin").client_config()
    producer = Producer(config | {"transactional.id": f"{fresh.name}-test"})
    producer.init_transactions(30)
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        producer.produce(fresh.source_topic, value, b"quiet", 0)
        producer.flush(30)
        end(30)
    with fresh.running() as running:
        running.until(lambda: attempts(fresh, "quiet"), "the committed record")
        running.until(lambda: lag(fresh) == {}, "commits past the markers")
        running.stop()
    assert attempts(fresh, "quiet") == [1]


def test_headers_that_look_like_ours_mean_nothing_on_a_domain_topic(fresh: World) -> None:
    forged = Envelope(
        Coordinates(fresh.source_topic, 1, 9), fresh.worker, 7, 1, "CreateTime", "handle", "error", "no",
        due=int(time.time() * 1000) + 3_600_000,
    ).headers()  # fmt: skip
    with fresh.running() as running:
        (raw,) = made(fresh, "fail-forged", headers=forged)
        running.until(lambda: attempts(fresh, "fail-forged") == [1, 2], "the second attempt")
        running.stop()
    for line in seen(fresh):
        assert (line["topic"], line["partition"], line["offset"]) == (fresh.source_topic, 0, raw.offset)
        assert line["headers"] == [name for name, _ in forged]
    tier = names.retry_topic(fresh.source_topic, fresh.worker, 1)
    (copy,) = (message for message in fresh.read(tier) if message.key() == b"fail-forged")
    assert headers_of(copy)[: len(forged)] == forged
    assert envelope_of(copy).source == raw.at(fresh.source_topic)


def test_a_record_in_a_retry_topic_that_is_not_the_workloads_is_dead_lettered(fresh: World) -> None:
    value = fresh.encode("Made", {"item_id": "quiet-foreign", "size": 1, "colour": "RED"})
    other = Envelope(Coordinates(fresh.source_topic, 0, 0), "another", 1, 1, "CreateTime", "handle", "error", "no")
    elsewhere = Envelope(Coordinates("elsewhere", 0, 0), fresh.worker, 1, 1, "CreateTime", "handle", "error", "no")
    pointer = Envelope(
        Coordinates(fresh.source_topic, 0, 0), fresh.worker, 1, 1, "CreateTime", "handle", "error", "no", pointer=True
    )
    raws = [Raw(value, b"bare", (("a", b"b"),))]
    raws += [Raw(value, b"forged", tuple(envelope.headers())) for envelope in (other, elsewhere, pointer)]
    tier = names.retry_topic(fresh.source_topic, fresh.worker, 2)
    written = fresh.produce(raws, tier, principal="admin")
    with fresh.running() as running:
        running.until(lambda: len(fresh.outcomes()) == len(raws), "their outcomes")
        running.stop()
    letters = fresh.read(names.dead_letter_topic(fresh.source_topic, fresh.worker))[-len(raws) :]
    for letter, raw in zip(letters, written, strict=True):
        envelope = envelope_of(letter)
        assert (envelope.source, envelope.stage, envelope.reason) == (raw.at(tier), "read", "malformed")
        assert (letter.value(), letter.key()) == (raw.value, raw.key)
        assert headers_of(letter)[: len(raw.headers)] == list(raw.headers)
    assert attempts(fresh, "quiet-foreign") == []


def test_a_replayed_letter_is_handled_at_once_in_its_round(fresh: World) -> None:
    source = Coordinates(fresh.source_topic, 1, 55)
    envelope = Envelope(source, fresh.worker, 0, 1, "CreateTime", "handle", "error", "busy", replay=2)
    value = fresh.encode("Made", {"item_id": "fail-replay", "size": 1, "colour": "RED"})
    headers = records.enclose([("ce_id", b"first")], envelope)
    tier = names.retry_topic(fresh.source_topic, fresh.worker, 1)
    with fresh.running() as running:
        assigned(running)
        fresh.produce([Raw(value, b"fail-replay", headers, 1)], tier, principal="admin")
        running.until(lambda: attempts(fresh, "fail-replay") == [1], "the first attempt of the round", 2)
        running.until(lambda: attempts(fresh, "fail-replay") == [1, 2], "the second one")
        running.stop()
    assert {(line["offset"], line["replay"]) for line in seen(fresh)} == {(55, 2)}
    again = [envelope_of(message) for message in fresh.read(tier) if message.key() == b"fail-replay"][-1]
    assert (again.source, again.attempt, again.replay) == (source, 1, 2)


def test_a_tier_that_the_contract_no_longer_lists_is_still_drained(stack: SharedStack, tmp_path: Path) -> None:
    world = make_world(stack, tmp_path, retry="[100ms, 200ms]", partitions=1)
    world.write_handlers(HANDLERS)
    contract = world.root / "services/making/service.yaml"
    contract.write_text(re.sub(r"retry: .*", "retry: [100ms]", contract.read_text()))
    load(world.root)
    envelope = Envelope(
        Coordinates(world.source_topic, 0, 0), world.worker, 2, 1, "CreateTime", "handle", "error", "no"
    )
    value = world.encode("Made", {"item_id": "quiet", "size": 1, "colour": "RED"})
    former = names.retry_topic(world.source_topic, world.worker, 2)
    world.produce([Raw(value, b"quiet", tuple(envelope.headers()))], former, principal="admin")

    def plan() -> dict[str, Any]:
        done = stack.lockgate("plan", "--output", "json", root=world.root)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    before = plan()
    assert [(entry["name"], entry["waiting"]) for entry in before["draining"]] == [(former, 1)]
    rights = [change for change in before["changes"] if former in change["name"]]
    assert not rights, "its rights are not taken away while it is there"
    with world.running() as running:
        running.until(lambda: attempts(world, "quiet") == [3], "the record of the former tier")
        running.stop()
    assert [(entry["name"], entry["waiting"]) for entry in plan()["draining"]] == [(former, 0)]


@pytest.mark.alone  # the registry is everybody's
def test_a_registry_that_is_away_makes_records_wait_and_none_of_them_poison(fresh: World) -> None:
    local = fresh.stack.local
    value = fresh.encode("Made", {"item_id": "quiet-registry", "size": 1, "colour": "RED"})  # needs the registry
    with fresh.running() as running:
        assigned(running)
        running.until(lambda: "Started" in running.text, "its start")
        local.kill("registry")
        try:
            made_before = fresh.produce([Raw(value, b"quiet-registry")])
            running.until(lambda: "Waiting for the registry" in running.text, "the wait")
            assert fresh.committed(fresh.worker, fresh.source_topic).get(0, 0) <= made_before[0].offset
        finally:
            local.start("registry")
        running.until(lambda: attempts(fresh, "quiet-registry") == [1], "the registry's return", 60)
        running.stop()
    assert [line["outcome"] for line in fresh.outcomes()] == ["handled"]


def lag(world: World) -> dict[tuple[str, int], tuple[int, int]]:
    """Return `(committed, end)` of partitions whose group has not reached the end."""
    from confluent_kafka import Consumer, TopicPartition

    topics = [world.source_topic, *(names.retry_topic(world.source_topic, world.worker, tier) for tier in (1, 2))]
    found = {}
    consumer = Consumer(world.stack.settings("admin").client_config() | {"group.id": "unused"})
    try:
        for topic in topics:
            committed = world.committed(world.worker, topic)
            for partition in range(2):
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
                if committed.get(partition, 0) != end:
                    found[topic, partition] = (committed.get(partition, 0), end)
    finally:
        consumer.close()
    return found
