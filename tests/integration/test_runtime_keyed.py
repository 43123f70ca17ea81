"""The order of keys through retries, on the client library's own mock cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lockgate import Context, Reject
from tests.labs import Lab, running_lab
from tests.worlds import eventually

TOPICS = ("items", "items.retry.work.1", "items.retry.work.2", "items.retry.work.parked")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        lab.declare(order="key", concurrency=4, retry_ms=(400, 800))
        lab.make(*TOPICS)
        yield lab


def started(lab: Lab) -> threading.Thread:
    thread = threading.Thread(target=lab.run, args=(TOPICS,), daemon=True)
    thread.start()
    return thread


def stopped(lab: Lab, thread: threading.Thread) -> None:
    lab.stop.request()
    thread.join(30)
    assert not thread.is_alive()


def test_later_records_of_a_key_wait_for_the_retries_of_its_first_and_other_keys_do_not(lab: Lab) -> None:
    calls: list[tuple[str, int, int]] = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any], context: Context) -> tuple[str, dict[str, Any]]:
        calls.append((event["id"], context.offset, context.attempt))
        if event["id"] == "a" and context.offset == 0 and context.attempt < 3:
            raise RuntimeError("not yet")
        if event["id"] == "a" and context.offset == 2 and context.attempt == 1:
            raise RuntimeError("a follower fails, too")
        if event["id"] == "a" and context.offset == 4:
            raise Reject("never")
        return "mail.Sent", event

    lab.put("a", "b", "a", "b", "a", "b", "a")
    thread = started(lab)
    eventually(lambda: ("a", 0, 2) in calls, "the first retry")
    lab.put("a", "b")
    eventually(lambda: ("a", 7, 1) in calls, "the last record")
    lab.put("a")
    eventually(lambda: ("a", 9, 1) in calls, "a record after the key is free")
    stopped(lab, thread)

    own = [call[1:] for call in calls if call[0] == "a"]
    assert own == [(0, 1), (0, 2), (0, 3), (2, 1), (2, 2), (4, 1), (6, 1), (7, 1), (9, 1)]
    others = [call[1:] for call in calls if call[0] == "b"]
    assert others == [(1, 1), (3, 1), (5, 1), (8, 1)]
    assert calls.index(("b", 3, 1)) < calls.index(("a", 0, 3)), "other keys flow"
    parked = lab.read(TOPICS[3])
    assert [message.key() for message in parked] == [b"a"] * len(parked)
    assert len(parked) >= 3
    sent = [message.key() for message in lab.read("mail")]
    assert (sent.count(b"a"), sent.count(b"b")) == (5, 4)
