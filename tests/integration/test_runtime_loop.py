"""The loop on the client library's own mock cluster, where brokers can be made to misbehave at will."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from lockgate import Context
from lockgate.contracts.model import OutageSpec
from tests.labs import LETTERS, NOTHING, Lab, running_lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        yield lab


def test_what_is_handled_is_committed(lab: Lab) -> None:
    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        if event["id"] == "c":
            lab.stop.request()

    lab.put("a", "b", "poison", "c")
    lab.run()
    assert lab.committed() == 4
    (letter,) = lab.read(LETTERS)
    assert letter.value() == b""


def test_a_stop_leaves_what_is_behind_the_record_in_hand(lab: Lab) -> None:
    seen = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        seen.append(event["id"])
        if event["id"] == "b":
            lab.stop.request()

    lab.put("a", "b", "c", "d")
    lab.run()
    assert seen == ["a", "b"]
    assert lab.committed() == 2


@pytest.mark.parametrize("leaving", [SystemExit(7), KeyboardInterrupt(), GeneratorExit()])
def test_what_ends_the_process_leaves_the_record_in_hand_uncommitted(lab: Lab, leaving: BaseException) -> None:
    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        if event["id"] == "b":
            raise leaving

    lab.put("a", "b", "c")
    with pytest.raises(type(leaving)):
        lab.run()
    assert lab.committed() == 1


def test_a_record_whose_output_was_not_taken_is_read_again_and_nothing_is_committed_past_it(lab: Lab) -> None:
    calls: list[tuple[str, int]] = []
    lab.failures[0] = 2

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        calls.append((event["id"], lab.committed()))
        return "mail.Sent", event

    lab.put("a", "b", "c")
    lab.stop_when(lambda: lab.committed() == 3)
    lab.run()
    until_taken = calls[: max(index for index, (item, _) in enumerate(calls) if item == "a") + 1]
    assert len(until_taken) > 1
    assert {committed for _, committed in until_taken} <= {NOTHING, 0}
    assert {message.key() for message in lab.read("mail")} == {b"a", b"b", b"c"}


def test_a_letter_that_was_not_taken_is_sent_again_while_other_partitions_go_on(lab: Lab) -> None:
    lab.failures[0] = 1

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None: ...

    lab.put("poison", "a", partition=0)
    lab.put("b", partition=1)
    lab.stop_when(lambda: (lab.committed(0), lab.committed(1)) == (2, 1))
    lab.run()
    letters = lab.read(LETTERS)
    assert [letter.value() for letter in letters] == [b"", b""]  # the first one had arrived, whatever was said


def test_an_outage_stops_the_intake_until_a_probe_succeeds(lab: Lab) -> None:
    lab.declare(outage=OutageSpec(failing=100, of=10, probe_ms=200))
    calls = []
    begun = time.monotonic()

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        calls.append(event["id"])
        if len(calls) <= 12:
            raise ConnectionError("the database is away")

    lab.put(*(f"a{number}" for number in range(60)))
    lab.stop_when(lambda: lab.committed() == 60)
    lab.run()
    assert len(lab.read(LETTERS)) == 9, "what had failed until it was an outage, and none of the others"
    assert calls[9:12] == ["a9", "a9", "a9"], "the tenth stays where it is, and is the probe"
    assert calls[12:] == [f"a{number}" for number in range(9, 60)]
    assert time.monotonic() - begun > 0.6


def test_a_registry_that_is_away_holds_one_partition_back(lab: Lab) -> None:
    seen = []
    lab.registry.away = 1

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any], context: Context) -> None:
        seen.append((context.partition, event["id"]))
        if len(seen) == 4:
            lab.stop.request()

    lab.put("a", "b", partition=0)
    lab.put("c", "d", partition=1)
    lab.run()
    assert sorted(seen) == [(0, "a"), (0, "b"), (1, "c"), (1, "d")]
    assert (lab.committed(0), lab.committed(1)) == (2, 2)
    assert lab.registry.away == 0


def test_a_batch_that_turns_slow_is_put_back_and_taken_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockgate.runtime.loop._BATCH_AT_MOST", 0.05)
    seen = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        seen.append(event["id"])
        time.sleep(0.04)
        if len(seen) == 12:
            lab.stop.request()

    lab.put(*(f"a{number}" for number in range(6)), partition=0)
    lab.put(*(f"b{number}" for number in range(6)), partition=1)
    lab.run()
    for letter in "ab":
        assert [item for item in seen if item[0] == letter] == [f"{letter}{number}" for number in range(6)]
    assert (lab.committed(0), lab.committed(1)) == (6, 6)
