"""Dead letters without a cluster: what is one, how they are counted, which of them go back."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate import records
from lockgate.contracts.model import Contracts, Domain, EventType, Location, Owner, Service, TopicSpec, Workload
from lockgate.deadletters.box import Box, boxes
from lockgate.deadletters.groups import group, superseded
from lockgate.deadletters.letter import Letter
from lockgate.deadletters.replay import choose, copy_headers
from lockgate.errors import UsageError
from lockgate.records import Coordinates, Envelope, Headers

BOX = Box("orders.dlq.billing", "orders", "billing", "finance", "orders.retry.billing.1")
OWN: Headers = (("ce_id", b"1"), ("x", None), ("x", b"\xff\x00"), ("lockgate.due", b"the writer's own"))


def envelope(offset: int = 7, *, replay: int = 0, reason: str = "error") -> Envelope:
    source = Coordinates("orders", 3, offset)
    return Envelope(source, "billing", 4, 1_700_000_000_000, "CreateTime", "handle", reason, "it broke", replay=replay)


def letter(
    place: int, sent: Envelope | None = None, *, own: Headers = OWN, value: bytes | None = b"v", written: int = 0
) -> Letter:
    headers = own if sent is None else records.enclose(own, sent)
    return Letter(BOX, Coordinates(BOX.topic, 3, place), b"k", value, tuple(headers), written or place)


def test_a_letter_is_called_by_its_identity_and_by_its_place() -> None:
    one = letter(17, envelope(1842))
    assert one.id == "orders-3@1842/billing#0"
    assert one.is_called("orders-3@1842/billing#0")
    assert one.is_called("orders.dlq.billing-3@17")
    assert not one.is_called("orders-3@184")


def test_a_record_without_an_envelope_is_foreign_and_called_by_its_place() -> None:
    one = letter(17)
    assert (one.kind, one.reason, one.id) == ("foreign", "foreign", "orders.dlq.billing-3@17")


@pytest.mark.parametrize(
    "forged",
    [
        attrs.evolve(envelope(), group="somebody-else"),
        attrs.evolve(envelope(), source=Coordinates("another-topic", 3, 7)),
    ],
)
def test_an_envelope_of_another_box_makes_a_record_foreign(forged: Envelope) -> None:
    assert letter(1, forged).kind == "foreign"


def test_a_pointer_is_told_from_a_letter() -> None:
    one = letter(1, envelope(), value=None)
    pointer = letter(1, attrs.evolve(envelope(), pointer=True), value=None)
    assert (one.kind, pointer.kind) == ("letter", "pointer")


def test_letters_are_counted_by_topic_workload_and_reason() -> None:
    groups = group([letter(1, envelope(1)), letter(2, envelope(2)), letter(3, envelope(3, reason="reject")), letter(4)])
    assert [(each.reason, each.letters, each.replayed) for each in groups] == [
        ("error", 2, 0),
        ("foreign", 1, 0),
        ("reject", 1, 0),
    ]
    assert groups[0].example == "orders-3@2/billing#0"
    assert (groups[0].first, groups[0].last) == (1, 2)


def test_a_letter_that_came_back_stands_for_the_earlier_round() -> None:
    first, again = letter(1, envelope(7)), letter(9, envelope(7, replay=1))
    assert superseded([first, again]) == {str(first.place): "orders-3@7/billing#1"}
    assert group([again, first])[0].replayed == 1


def test_of_a_letter_that_was_written_twice_the_later_stands() -> None:
    first, again = letter(1, envelope(7)), letter(2, envelope(7))
    assert superseded([first, again]) == {str(first.place): again.id}
    choice = choose([first, again], ids=[first.id])
    assert choice.chosen == (again,)
    assert [why for _, why in choice.passed_over] == ["it lies here twice; the later copy stands for it"]


def test_a_replay_starts_the_attempts_afresh_in_the_next_round_and_keeps_the_records_own_headers() -> None:
    sent = attrs.evolve(envelope(replay=1), due=99)
    headers = copy_headers(letter(1, sent))
    assert records.without_envelope(headers) == list(OWN)
    assert Envelope.read(headers) == attrs.evolve(sent, replay=2, attempt=0, due=None)


def test_only_what_can_be_sent_back_is_chosen() -> None:
    plain = letter(1, envelope(1))
    pointer = letter(2, attrs.evolve(envelope(2), pointer=True))
    foreign = letter(3)
    died_again, later = letter(4, envelope(4)), letter(5, envelope(4, replay=1))
    choice = choose([plain, pointer, foreign, died_again, later])
    assert choice.chosen == (plain, later)
    assert {each for each, _ in choice.passed_over} == {pointer, foreign, died_again}


def test_a_limit_takes_the_oldest() -> None:
    letters = [letter(place, envelope(place)) for place in (3, 1, 2)]
    assert [each.place.offset for each in choose(letters, limit=2).chosen] == [1, 2]


def test_an_id_that_lies_nowhere_is_said_to_be_unknown() -> None:
    choice = choose([letter(1, envelope(1))], ids=["orders-3@1/billing#0", "orders-3@2/billing#0"])
    assert len(choice.chosen) == 1
    assert choice.unknown == ("orders-3@2/billing#0",)


def test_a_reason_chooses_by_reason() -> None:
    letters = [letter(1, envelope(1)), letter(2, envelope(2, reason="reject"))]
    assert [each.reason for each in choose(letters, reason="reject").chosen] == ["reject"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=20))
def test_whatever_came_back_each_record_is_sent_once_and_in_its_latest_round(rounds: list[tuple[int, int]]) -> None:
    letters = [letter(place, envelope(offset, replay=turn)) for place, (offset, turn) in enumerate(rounds, 1)]
    chosen = {each.envelope.source.offset: each.round for each in choose(letters).chosen if each.envelope}
    assert len(chosen) == len(choose(letters).chosen)
    assert chosen == {offset: max(turn for one, turn in rounds if one == offset) for offset, _ in rounds}


def contracts() -> Contracts:
    at = Location("x", 1)
    event = EventType("orders.Placed", {}, at)
    owner = Owner("Finance", "@finance")
    spec = TopicSpec("orders", 6, 3, 1000)
    names = ("billing", "writer")
    domain = Domain("orders", owner, spec, "id", "FULL", (event,), names[:1], names[1:], at)
    billing = Workload("billing", "billing", ("orders.Placed",), (), (), at)
    writer = Workload("writer", "writer", (), ("orders.Placed",), (), at)
    return Contracts(
        Path(),
        (domain,),
        (
            Service("billing", "billing", owner, (billing,), at),
            Service("writer", "writer", Owner("Sales", "@s"), (writer,), at),
        ),
    )


def test_only_workloads_that_read_have_a_box() -> None:
    assert boxes(contracts()) == (BOX,)
    assert (BOX.reader, BOX.replayer, BOX.way_back) == ("finance~reader", "finance~replayer", "orders.retry.billing.1")


def test_a_team_is_known_by_its_name_in_any_case() -> None:
    assert boxes(contracts(), team="Finance") == (BOX,)


@pytest.mark.parametrize(
    ("team", "workload", "says"),
    [
        ("sales", None, "no team 'sales'"),
        (None, "biling", "no workload is called 'biling'"),
        (None, "writer", "reads no topic"),
    ],
)
def test_a_selection_that_can_hold_nothing_is_a_usage_error(team: str | None, workload: str | None, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        boxes(contracts(), team=team, workload=workload)
    assert caught.value.next_step
