"""Pausing, whatever the loop: nothing is taken, what is in hand ends and is committed, and what waited comes later."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lockgate import Context
from tests.labs import LETTERS, Lab, running_lab, started, stopped
from tests.worlds import eventually

pytestmark = pytest.mark.timeout(40)

TOPICS = ("items", "items.retry.work.1", "items.retry.work.2", "items.retry.work.parked")
LOOPS: dict[str, dict[str, Any]] = {
    "flat": {},
    "exactly-once": {"exactly_once": True},
    "concurrent": {"concurrency": 4, "order": "none"},
    "keys": {"concurrency": 4, "order": "key"},
}


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with running_lab() as lab:
        lab.declare(retry_ms=(300, 300), **LOOPS[request.param])
        lab.make(*TOPICS, "mail", LETTERS)
        yield lab


EVERY = pytest.mark.parametrize("lab", LOOPS, indirect=True)
SEVERAL = pytest.mark.parametrize("lab", ["concurrent", "keys"], indirect=True)


def topics(lab: Lab) -> tuple[str, ...]:
    return TOPICS if lab.workload.parks else TOPICS[:3]


def looked(lab: Lab, times: int = 4) -> None:
    """Wait until the loop has asked so many times more whether it is paused, before it might take a record."""
    reached = lab.control.looks + times
    eventually(lambda: lab.control.looks >= reached, "further looks at the control topic")


@EVERY
def test_a_process_that_starts_paused_takes_nothing_and_goes_on_later(lab: Lab) -> None:
    seen: list[str] = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        seen.append(event["id"])
        return "mail.Sent", event

    lab.put("a")
    lab.control.paused = True
    thread = started(lab, topics(lab))
    # not asked of the client: it lets one thread in at a time, and the loop's, which polls, leaves no gap for another
    eventually(lambda: lab.control.looks and len([*lab.intake.offsets]) == 4 * len(topics(lab)), "the assignment")
    looked(lab)
    lab.put("b", partition=1)
    looked(lab, 2)
    assert seen == []
    assert thread.is_alive(), "what ends partitions that are empty ends nothing else"
    lab.control.paused = False
    eventually(lambda: sorted(seen) == ["a", "b"], "the records that waited")
    lab.put("c", partition=2)
    eventually(lambda: len(lab.read("mail")) == 3, "all results")
    stopped(lab, thread)
    assert sorted(seen) == ["a", "b", "c"]


@EVERY
def test_records_that_wait_for_their_retry_wait_on_and_are_not_forgotten(lab: Lab) -> None:
    calls: list[tuple[str, int]] = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any], context: Context) -> None:
        calls.append((event["id"], context.attempt))
        if context.offset == 0 and context.attempt < 3:
            lab.control.paused = context.attempt == 1
            raise RuntimeError("not yet")

    lab.put("a")
    thread = started(lab, topics(lab))
    eventually(lambda: len(lab.read(TOPICS[1])) == 1, "the copy in its tier, although paused")
    lab.put("a")
    written = lab.read(TOPICS[1])[0].timestamp()[1]
    eventually(lambda: time.time() * 1000 > written + 500, "the copy's due time")
    looked(lab)
    assert calls == [("a", 1)]
    lab.control.paused = False
    eventually(lambda: ("a", 3) in calls and calls.count(("a", 1)) == 2, "both records' ends")
    stopped(lab, thread)
    assert [call for call in calls if call[1] > 1] == [("a", 2), ("a", 3)]
    if lab.workload.parks:
        assert calls == [("a", 1), ("a", 2), ("a", 3), ("a", 1)], "the second one waited for the first"


@SEVERAL
def test_what_is_in_hand_ends_and_is_committed_while_paused(lab: Lab) -> None:
    begun: list[str] = []
    gate = threading.Event()

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        begun.append(event["id"])
        gate.wait(30)
        return "mail.Sent", event

    lab.put(*"abcdef")
    thread = started(lab, topics(lab))
    eventually(lambda: len(begun) == 4, "as many handlers as may run")
    lab.control.paused = True
    looked(lab, 2)
    lab.put("later")
    gate.set()
    eventually(lambda: len(lab.read("mail")) == 6, "the results of what was in hand")
    if not lab.workload.parks:  # the mock brokers forget a transaction's offsets
        eventually(lambda: lab.committed() == 6, "its commit")
    looked(lab)
    assert sorted(begun) == list("abcdef")
    lab.control.paused = False
    eventually(lambda: "later" in begun, "what was not taken")
    stopped(lab, thread)
    assert sorted(begun) == [*"abcdef", "later"]
