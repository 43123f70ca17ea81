"""The kit for users' tests: the real loop, in this process, on a clock that stands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from lockgate import Context, EventError, HandlerError, Reject, Service, Tombstone, UsageError
from lockgate.errors import PoisonReason
from lockgate.testing import Kit
from tests.projects import PROJECT, changed, write_project

COOK = "kitchen-service.garden"
PEA = {"bed": "b-1", "plant": "PEA", "price": {"cents": 5}}


@pytest.fixture
def garden(tmp_path: Path) -> Kit:
    return Kit(write_project(tmp_path))


class Cook:
    """A service whose one workload does as it is told."""

    def __init__(self) -> None:
        self.service = Service("kitchen-service")
        self.seen: list[Context] = []
        self.troubles: list[Exception] = []

        @self.service.handler(COOK, event_type="garden.Planted")
        def cook(event: Mapping[str, Any], context: Context) -> tuple[str, dict[str, Any]]:
            self.seen.append(context)
            if self.troubles:
                raise self.troubles.pop(0)
            return "kitchen.Cooked", {"dish": event["bed"]}

        @self.service.handler(COOK, event_type="garden.Watered")
        def water(event: Mapping[str, Any]) -> None: ...

        @self.service.handler("kitchen-service", event_type="kitchen.Cooked")
        def serve(event: Mapping[str, Any], context: Context) -> None:
            self.seen.append(context)


@pytest.fixture
def cook() -> Cook:
    return Cook()


def test_what_a_handler_returns_is_published_and_what_it_has_read_is_committed(garden: Kit, cook: Cook) -> None:
    sent = garden.send(("garden.Planted", PEA), headers={"from": b"test"})
    outcome = garden.run(COOK, service=cook.service)
    assert outcome.results == [("kitchen.Cooked", {"dish": "b-1"})]
    (published,) = outcome.published
    assert (published.topic, published.key) == ("kitchen", b"b-1")
    assert (outcome.handled, outcome.committed["garden"]) == (1, 1)
    (context,) = cook.seen
    assert (context.event_id, context.attempt, ("from", b"test") in context.headers) == (sent.event_id, 1, True)
    assert context.timestamp == garden.now


def test_a_second_run_handles_nothing_again(garden: Kit, cook: Cook) -> None:
    garden.send(("garden.Planted", PEA))
    garden.run(COOK, service=cook.service)
    again = garden.run(COOK, service=cook.service)
    assert (again.handled, again.results, len(cook.seen)) == (0, [], 1)


def test_one_workload_reads_what_another_has_published(garden: Kit, cook: Cook) -> None:
    garden.send(("garden.Planted", PEA))
    (published,) = garden.run(COOK, service=cook.service).published
    assert garden.run("kitchen-service", service=cook.service).handled == 1
    assert cook.seen[-1].event_id == published.event_id


def test_a_failure_walks_the_tiers_as_the_clock_moves_and_is_never_early(garden: Kit, cook: Cook) -> None:
    sent = garden.send(("garden.Planted", PEA))
    cook.troubles = [RuntimeError("one"), RuntimeError("two"), RuntimeError("three")]
    (first,) = garden.run(COOK, service=cook.service).retries
    assert (first.tier, first.delay, first.error) == (1, timedelta(seconds=1), "one")
    assert (first.exception, first.event_id, first.source) == ("builtins.RuntimeError", sent.event_id, sent.place)
    garden.advance(milliseconds=999)
    assert garden.run(COOK, service=cook.service).retries == ()
    garden.advance(milliseconds=1)
    (second,) = garden.run(COOK, service=cook.service).retries
    assert (second.tier, second.delay, second.attempt) == (2, timedelta(minutes=1), 2)
    garden.advance(minutes=1)
    outcome = garden.run(COOK, service=cook.service)
    (letter,) = outcome.dead_letters
    assert (letter.stage, letter.reason, letter.error, letter.attempt) == ("handle", "error", "three", 3)
    assert (letter.source, letter.key, letter.value) == (sent.place, sent.key, sent.value)
    assert [context.attempt for context in cook.seen] == [1, 2, 3]


def test_a_retry_that_goes_well_leaves_nothing_behind(garden: Kit, cook: Cook) -> None:
    garden.send(("garden.Planted", PEA))
    cook.troubles = [RuntimeError("once")]
    garden.run(COOK, service=cook.service)
    garden.advance(seconds=1)
    outcome = garden.run(COOK, service=cook.service)
    assert (outcome.handled, len(outcome.results), outcome.dead_letters) == (1, 1, ())
    garden.advance(hours=1)
    assert garden.run(COOK, service=cook.service).handled == 0


def test_a_rejection_is_dead_lettered_at_once(garden: Kit, cook: Cook) -> None:
    garden.send(("garden.Planted", PEA))
    cook.troubles = [Reject("not in season")]
    outcome = garden.run(COOK, service=cook.service)
    assert [(letter.reason, letter.error) for letter in outcome.dead_letters] == [("reject", "not in season")]
    assert outcome.retries == ()


@pytest.mark.parametrize("reason", get_args(PoisonReason))
def test_poison_of_every_kind_is_dead_lettered_for_its_reason(garden: Kit, cook: Cook, reason: PoisonReason) -> None:
    sent = garden.send_poison(reason, "garden.Planted")
    garden.send(("garden.Planted", PEA))
    outcome = garden.run(COOK, service=cook.service)
    (letter,) = outcome.dead_letters
    assert (letter.stage, letter.reason, letter.value, letter.attempt) == ("read", reason, sent.value, 0)
    assert outcome.handled == 1


def test_a_tombstone_without_a_handler_is_skipped_and_with_one_is_handled(garden: Kit, cook: Cook) -> None:
    garden.send_tombstone("garden", "b-1")
    assert garden.run(COOK, service=cook.service).skipped == 1
    gone: list[str] = []

    @cook.service.handler(COOK)
    def wither(event: Tombstone) -> None:
        gone.append(event.key)

    garden.send_tombstone("garden", "b-2")
    garden.run(COOK, service=cook.service)
    assert gone == ["b-2"]


def test_each_kit_sees_its_own_records_only(garden: Kit, cook: Cook, tmp_path: Path) -> None:
    garden.send(("garden.Planted", PEA))
    cook.troubles = [RuntimeError("left waiting")]
    garden.run(COOK, service=cook.service)
    garden.send(("garden.Planted", PEA))
    other = Kit(tmp_path)
    other.advance(hours=1)
    assert other.run(COOK, service=cook.service).handled == 0


def test_an_async_handler_runs_too(garden: Kit) -> None:
    service = Service("kitchen-service")

    @service.handler(COOK, event_type="garden.Planted")
    async def cook(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return "kitchen.Cooked", {"dish": event["bed"]}

    @service.handler(COOK, event_type="garden.Watered")
    def water(event: Mapping[str, Any]) -> None: ...

    @service.handler("kitchen-service", event_type="kitchen.Cooked")
    def serve(event: Mapping[str, Any]) -> None: ...

    garden.send(("garden.Planted", PEA))
    assert garden.run(COOK, service=service).results == [("kitchen.Cooked", {"dish": "b-1"})]


def test_what_ends_the_process_ends_the_test(garden: Kit, cook: Cook) -> None:
    garden.send(("garden.Planted", PEA))
    cook.troubles = [SystemExit(3)]  # type: ignore[list-item]  # no Exception, which is the point
    with pytest.raises(SystemExit):
        garden.run(COOK, service=cook.service)
    assert garden.run(COOK, service=cook.service).handled == 1


def test_mistakes_are_told_as_a_running_service_tells_them(garden: Kit, cook: Cook) -> None:
    with pytest.raises(EventError, match="plant"):
        garden.send(("garden.Planted", {**PEA, "plant": "OAK"}))
    with pytest.raises(UsageError, match=r"garden\.Plucked"):
        garden.send(("garden.Plucked", PEA))
    with pytest.raises(UsageError, match="index-out-of-range"):
        garden.send_poison("index-out-of-range", "garden.Watered")
    with pytest.raises(UsageError, match="consumes nothing"):
        garden.run("gardener", service=cook.service)
    with pytest.raises(HandlerError, match=r"no handler for garden\.Planted"):
        garden.run(COOK, service=Service("kitchen-service"))
    with pytest.raises(ValueError, match="time goes on"):
        garden.advance(seconds=-1)


@pytest.mark.parametrize("order", ["partition", "key", "none"])
def test_a_workload_that_handles_several_records_at_once_runs_to_its_end(tmp_path: Path, order: str) -> None:
    name = "services/kitchen/service.yaml"
    files = {**PROJECT, **changed(name, "    retry: [1s, 1m]\n", f"    concurrency: 4\n    order: {order}\n")}
    kit = Kit(write_project(tmp_path, files))
    service = Service("kitchen-service")

    @service.handler(COOK, event_type="garden.Planted")
    def cook(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        if event["bed"] == "b-7":
            raise RuntimeError("no pot is large enough")
        return "kitchen.Cooked", {"dish": event["bed"]}

    @service.handler(COOK, event_type="garden.Watered")
    async def water(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return "kitchen.Cooked", {"dish": event["bed"]}

    @service.handler("kitchen-service", event_type="kitchen.Cooked")
    def serve(event: Mapping[str, Any]) -> None: ...

    for number in range(20):
        kit.send(("garden.Planted", {**PEA, "bed": f"b-{number}"}))
    outcome = kit.run(COOK, service=service)
    assert {result["dish"] for _, result in outcome.results} == {f"b-{n}" for n in range(20) if n != 7}
    assert [letter.error for letter in outcome.dead_letters] == ["no pot is large enough"]
    assert outcome.committed["garden"] == 20
