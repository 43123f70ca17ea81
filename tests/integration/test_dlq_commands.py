"""`lockgate dlq` on real dead-letter topics, under the team's operators."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import attrs
import pytest
from confluent_kafka import Producer

from lockgate import records
from lockgate.contracts import names
from lockgate.records import Coordinates, Envelope
from tests.worlds import Raw, SharedStack, World, envelope_of, headers_of, make_world

OWN: list[tuple[str, bytes | None]] = [
    ("ce_id", b"e-1"),
    ("raw", b"\xff\x00"),
    ("none", None),
    ("raw", b"twice"),
    ("lockgate.due", b"the writer's own"),
]
CONFIRM = ("--yes",)


@pytest.fixture(scope="module")
def shared(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return one world for the tests that only look: making one takes seconds."""
    return make_world(stack, tmp_path_factory.mktemp("shared"))


def envelope(world: World, offset: int = 7, *, reason: str = "error", replay: int = 0) -> Envelope:
    source = Coordinates(world.source_topic, 1, offset)
    now = int(time.time() * 1000)
    return Envelope(source, world.worker, 3, now, "CreateTime", "handle", reason, "it broke", "x.Broken", replay=replay)


def letter(world: World, envelope: Envelope, *, value: bytes | None = None, size: int = 5) -> Raw:
    if value is None and not envelope.pointer:
        value = world.encode("Made", {"item_id": "apple", "size": size, "colour": "GREEN"})
    return Raw(value, b"apple", records.enclose(OWN, envelope), partition=1)


def letters_topic(world: World) -> str:
    return names.dead_letter_topic(world.source_topic, world.worker)


def retry_topic(world: World) -> str:
    return names.retry_topic(world.source_topic, world.worker, 1)


def drop(world: World, *letters: Raw) -> list[Raw]:
    """Put letters into the worker's box, with the worker's credentials, as the runtime would."""
    return world.produce(letters, letters_topic(world), principal=world.worker)


def dlq(world: World, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = world.stack.lockgate("dlq", *arguments, root=world.root)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def answer(world: World, *arguments: str, code: int = 0) -> Any:
    return json.loads(dlq(world, *arguments, "--output", "json", code=code).stdout)


def test_letters_are_counted_by_topic_workload_and_reason(world: World) -> None:
    drop(
        world,
        letter(world, envelope(world, 1)),
        letter(world, envelope(world, 2)),
        letter(world, envelope(world, 3, reason="reject")),
        letter(world, envelope(world, 1, replay=1)),
    )
    found = answer(world, "list")
    assert found["letters"] == 4
    assert [
        (each["topic"], each["workload"], each["team"], each["reason"], each["letters"], each["replayed"])
        for each in found["groups"]
    ] == [
        (letters_topic(world), world.worker, world.team, "error", 3, 1),
        (letters_topic(world), world.worker, world.team, "reject", 1, 0),
    ]
    assert answer(world, "list", "--reason", "reject")["letters"] == 1
    assert answer(world, "list", "--workload", world.sink)["letters"] == 0
    assert answer(world, "list", "--team", f"Senders-{world.name}")["letters"] == 4
    listed = dlq(world, "list", "--letters").stdout
    assert f"{world.source_topic}-1@2/{world.worker}#0  error  it broke" in listed


def test_a_scan_ends_although_the_last_offsets_are_never_delivered(world: World) -> None:
    """Transactions leave markers behind, and aborted ones records as well: the end is known by its event only."""
    settings = world.stack.settings("admin")
    producer = Producer(settings.client_config() | {"transactional.id": f"{world.name}-test"})
    producer.init_transactions(30)
    for outcome in ("committed", "aborted"):
        producer.begin_transaction()
        raw = letter(world, envelope(world, 1 if outcome == "committed" else 2))
        producer.produce(letters_topic(world), raw.value, raw.key, 1, headers=list(raw.headers))
        producer.flush(30)
        (producer.commit_transaction if outcome == "committed" else producer.abort_transaction)(30)
    assert [each["source"] for each in answer(world, "list", "--letters")] == [f"{world.source_topic}-1@1"]


def test_a_letter_is_shown_decoded_by_its_id_and_by_its_place(shared: World) -> None:
    (raw,) = drop(shared, letter(shared, envelope(shared)))
    by_id = answer(shared, "show", f"{shared.source_topic}-1@7/{shared.worker}#0")
    assert by_id == answer(shared, "show", f"{letters_topic(shared)}-1@{raw.offset}")
    assert by_id["event"]["type"] == f"{shared.source_topic}.Made"
    assert by_id["event"]["datum"]["size"] == 5
    assert by_id["event"]["problem"] is None
    assert (by_id["reason"], by_id["message"], by_id["attempt"], by_id["round"]) == ("error", "it broke", 3, 0)
    assert by_id["headers"][: len(OWN)] == [
        ["ce_id", "e-1"],
        ["raw", "0xff00"],
        ["none", None],
        ["raw", "twice"],
        ["lockgate.due", "the writer's own"],
    ]
    text = dlq(shared, "show", f"{shared.source_topic}-1@7/{shared.worker}#0").stdout
    assert 'colour: "GREEN"' in text
    assert "none             (null)" in text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"no Avro at all", "not in the registry's wire format"),
        (b"", "no bytes"),
        (records.frame(0x7FFFFFFF, b"x"), "the registry has no schema 2147483647"),
    ],
)
def test_a_letter_that_does_not_decode_is_shown_as_bytes_with_the_reason(shared: World, value: bytes, why: str) -> None:
    (raw,) = drop(shared, letter(shared, envelope(shared, reason="malformed"), value=value))
    place = f"{letters_topic(shared)}-1@{raw.offset}"
    shown = answer(shared, "show", place)
    assert shown["event"]["datum"] is None
    assert why in shown["event"]["problem"]
    assert shown["value"] == value.hex()
    assert "value does not decode" in dlq(shared, "show", place).stdout


def test_a_truncated_datum_is_shown_with_its_reason(shared: World) -> None:
    value = shared.encode("Made", {"item_id": "apple", "size": 5, "colour": "GREEN"})[:-1]
    (raw,) = drop(shared, letter(shared, envelope(shared, reason="truncated"), value=value))
    shown = answer(shared, "show", f"{letters_topic(shared)}-1@{raw.offset}")
    assert shown["event"]["problem"].startswith("truncated: ")


def test_a_replay_goes_back_to_the_failed_workload_and_to_nobody_else(world: World) -> None:
    (raw,) = drop(world, letter(world, envelope(world)))
    written = envelope(world)
    found = answer(world, "replay", f"{world.source_topic}-1@7/{world.worker}#0", *CONFIRM)
    (outcome,) = found["outcomes"]
    assert outcome["error"] is None
    (copy,) = world.read(retry_topic(world))
    assert outcome["copy"] == f"{retry_topic(world)}-{copy.partition()}@{copy.offset()}"
    assert (copy.key(), copy.value(), copy.partition()) == (raw.key, raw.value, 1)
    assert records.without_envelope(headers_of(copy)) == OWN
    assert envelope_of(copy) == attrs.evolve(
        written, timestamp=envelope_of(copy).timestamp, replay=1, attempt=0, due=None
    )
    assert world.read(world.source_topic) == []


def test_a_replayed_letter_is_handled(world: World) -> None:
    world.write_handlers(
        """
        @service.handler("$work")
        def work(event: a.Made, context: Context) -> b.Sent:
            return b.Sent(item_id=event.item_id, origin=f"round {context.replay}, attempt {context.attempt}")

        @service.handler("$sink")
        def sink(event: b.Sent) -> None: ...
        """
    )
    drop(world, letter(world, envelope(world)))
    dlq(world, "replay", "--workload", world.worker, *CONFIRM)
    with world.running() as running:
        running.until(lambda: world.outcomes(), "the outcome")
        running.stop()
    assert [(line["offset"], line["outcome"]) for line in world.outcomes()] == [(7, "handled")]
    (sent,) = world.read(world.result_topic)
    assert b"round 1, attempt 1" in (sent.value() or b"")


def test_a_second_replay_of_the_same_letter_sends_a_second_copy(world: World) -> None:
    drop(world, letter(world, envelope(world)))
    for _ in range(2):
        dlq(world, "replay", "--workload", world.worker, *CONFIRM)
    assert [envelope_of(copy).replay for copy in world.read(retry_topic(world))] == [1, 1]
    help_text = " ".join(dlq(world, "replay", "--help").stdout.split())
    assert "Replaying it again sends a second copy" in help_text


def test_what_has_failed_again_is_passed_over_for_its_later_round(world: World) -> None:
    drop(world, letter(world, envelope(world)), letter(world, envelope(world, replay=1)))
    found = answer(world, "replay", "--workload", world.worker, *CONFIRM)
    assert found["chosen"] == [f"{world.source_topic}-1@7/{world.worker}#1"]
    assert [each["why"] for each in found["passed_over"]] == [f"{found['chosen'][0]} stands for it"]
    assert [envelope_of(copy).replay for copy in world.read(retry_topic(world))] == [2]


def test_pointers_and_foreign_records_are_never_sent(world: World) -> None:
    drop(
        world,
        letter(world, attrs.evolve(envelope(world, 1), pointer=True)),
        Raw(b"written by hand", b"k", (), partition=2),
        letter(world, attrs.evolve(envelope(world, 3), group="somebody-else")),
    )
    assert {each["kind"] for each in answer(world, "list", "--letters")} == {"pointer", "foreign"}
    found = answer(world, "replay", "--workload", world.worker, *CONFIRM)
    assert found["chosen"] == found["outcomes"] == []
    assert len(found["passed_over"]) == 3
    assert world.read(retry_topic(world)) == []


def test_a_dry_run_sends_nothing_and_needs_no_confirmation(world: World) -> None:
    drop(world, letter(world, envelope(world)))
    assert "nothing was sent" in dlq(world, "replay", "--workload", world.worker, "--dry-run").stdout
    assert world.read(retry_topic(world)) == []


def test_off_a_terminal_a_replay_has_to_be_confirmed_beforehand(world: World) -> None:
    drop(world, letter(world, envelope(world)))
    refused = dlq(world, "replay", "--workload", world.worker, code=2)
    assert "there is no terminal to ask on" in refused.stderr
    assert "--yes" in refused.stderr
    assert world.read(retry_topic(world)) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("replay", "--yes"), "nothing was chosen"),
        (("replay", "nonsense", "--yes"), "names no letter"),
        (("show", "nonsense"), "names no letter"),
        (("list", "--workload", "nobody"), "no workload is called 'nobody'"),
        (("list", "--team", "nobody"), "no team 'nobody'"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_the_next_step(
    shared: World, arguments: tuple[str, ...], says: str
) -> None:
    refused = dlq(shared, *arguments, code=2)
    assert says in refused.stderr
    assert "next: " in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_id_that_lies_nowhere_sends_nothing_at_all(world: World) -> None:
    drop(world, letter(world, envelope(world)))
    known = f"{world.source_topic}-1@7/{world.worker}#0"
    refused = dlq(world, "replay", known, known.replace("@7", "@8"), *CONFIRM, code=2)
    assert "@8" in refused.stderr
    assert world.read(retry_topic(world)) == []


def test_a_reader_may_look_and_not_replay(world: World) -> None:
    drop(world, letter(world, envelope(world)))
    found = answer(world, "replay", "--workload", world.worker, "--as", f"{world.team}~reader", *CONFIRM, code=2)
    (outcome,) = found["outcomes"]
    assert outcome["copy"] is None
    assert "authorization" in outcome["error"].lower()
    assert world.read(retry_topic(world)) == []


def test_another_principal_may_not_even_look(shared: World) -> None:
    refused = dlq(shared, "list", "--as", shared.writer, code=2)
    assert f"{shared.writer} may not do this" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_thousand_letters_are_counted(world: World) -> None:
    value = world.encode("Made", {"item_id": "apple", "size": 5, "colour": "GREEN"})
    drop(world, *(letter(world, envelope(world, offset), value=value) for offset in range(1000)))
    assert answer(world, "list")["letters"] == 1000
