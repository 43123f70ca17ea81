"""Poison made from contracts: every kind is what it says, to the decoder itself."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from lockgate.avro.codec import Decoder
from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts, EventType
from lockgate.deadletters.box import boxes
from lockgate.deadletters.letter import Letter
from lockgate.demo.poison import Poison, check_letters, poison_for, writer_of
from lockgate.errors import PoisonError, PoisonReason
from lockgate.records import Coordinates, Envelope, Headers, enclose
from lockgate.testing.poison import variants
from tests.projects import write_project

ID, FOREIGN = 7, 8


@pytest.fixture
def contracts(tmp_path: Path) -> Contracts:
    return load(write_project(tmp_path))


def planted(contracts: Contracts) -> EventType:
    return contracts.events["garden.Planted"]


def test_every_kind_but_one_can_be_made(contracts: Contracts) -> None:
    made = {reason for reason, _, _ in variants(planted(contracts), "bed", ID, foreign_id=FOREIGN)}
    # a writer's schema that does not resolve to the reader's cannot be registered past the compatibility check
    assert made == set(get_args(PoisonReason)) - {"schema-mismatch"}


@pytest.mark.parametrize("seed", range(20))
def test_what_fails_in_the_decoder_fails_for_the_reason_it_was_made_for(contracts: Contracts, seed: int) -> None:
    event = planted(contracts)
    decoder = Decoder(event.schema, event.schema)
    for reason, _, value in variants(event, "bed", ID, foreign_id=FOREIGN, seed=seed):
        if reason in ("truncated", "trailing-bytes", "malformed", "index-out-of-range"):
            with pytest.raises(PoisonError) as caught:
                decoder.decode(value)
            assert caught.value.reason == reason
        elif reason == "key-mismatch":
            decoder.decode(value)


def test_an_event_without_an_index_gives_no_index_out_of_range(contracts: Contracts) -> None:
    watered = contracts.events["garden.Watered"]
    assert "index-out-of-range" not in {reason for reason, _, _ in variants(watered, "bed", ID, foreign_id=None)}


def test_a_world_of_one_domain_has_no_foreign_schema(contracts: Contracts) -> None:
    assert "foreign-schema-id" not in {
        reason for reason, _, _ in variants(planted(contracts), "bed", ID, foreign_id=None)
    }


def test_every_domain_that_is_read_gets_poison_of_each_event_type(contracts: Contracts) -> None:
    ids = {name: number for number, name in enumerate(contracts.events, 1)}
    made = poison_for(contracts, ids, rounds=2)
    assert {each.event_type for each in made} == set(contracts.events)
    assert len(made) == 2 * len(poison_for(contracts, ids))


def test_a_program_that_reads_nothing_writes_it_where_there_is_one(contracts: Contracts) -> None:
    writers = {domain.name: writer_of(contracts, domain) for domain in contracts.domains}
    assert writers == {"garden": "gardener", "kitchen": "kitchen-service.garden"}


def poison(reason: PoisonReason, event_type: str = "garden.Watered") -> Poison:
    return Poison(reason, "garden", event_type, b"k", b"v", Coordinates("garden", 0, 3))


def test_a_workload_skips_what_pretends_to_be_a_type_it_does_not_consume(contracts: Contracts) -> None:
    # garden-service consumes Planted alone
    reader = contracts.workload("garden-service")
    assert not poison("truncated").is_poison_to(reader)
    assert poison("truncated", "garden.Planted").is_poison_to(reader)
    assert poison("unknown-schema-id").is_poison_to(reader)


def letters(contracts: Contracts, sent: Poison, *, reason: str, value: bytes, headers: Headers) -> list[Letter]:
    assert sent.place is not None
    return [
        Letter(
            box,
            Coordinates(box.topic, 0, 0),
            sent.key,
            value,
            enclose(headers, Envelope(sent.place, box.workload, 0, 0, "CreateTime", "read", reason, "")),
            0,
        )
        for box in boxes(contracts)
        if box.source == "garden"
    ]


OWN: Headers = (("x-demo", b"poison"), ("x-raw", b"\xff\x00\xfe"), ("x-none", None), ("x-demo", b"again"))


def test_letters_that_are_what_was_sent_are_not_wrong(contracts: Contracts) -> None:
    sent = poison("empty-value")
    found = check_letters(contracts, [sent], letters(contracts, sent, reason="empty-value", value=b"v", headers=OWN))
    assert (found.sent, found.letters, found.wrong) == (1, 2, ())


@pytest.mark.parametrize(
    ("reason", "value", "headers", "says"),
    [
        ("malformed", b"v", OWN, "its letter says malformed"),
        ("empty-value", b"w", OWN, "key or value are not those that were sent"),
        ("empty-value", b"v", OWN[:-1], "the headers are not those that were sent"),
        ("empty-value", b"v", (*OWN, OWN[0]), "the headers are not those that were sent"),
    ],
)
def test_a_letter_that_differs_is_wrong(
    contracts: Contracts, reason: str, value: bytes, headers: Headers, says: str
) -> None:
    sent = poison("empty-value")
    found = check_letters(contracts, [sent], letters(contracts, sent, reason=reason, value=value, headers=headers))
    assert len(found.wrong) == 2
    assert all(says in fault for fault in found.wrong)


def test_a_letter_that_is_not_there_is_wrong(contracts: Contracts) -> None:
    assert len(check_letters(contracts, [poison("empty-value")], []).wrong) == 2
