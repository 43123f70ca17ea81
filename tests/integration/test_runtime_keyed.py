"""The order of keys through retries, on the client library's own mock cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from lockgate import Context, Reject
from lockgate.runtime.signals import Stop
from tests.labs import Lab, running_lab
from tests.worlds import eventually

TOPICS = ("items", "items.retry.work.1", "items.retry.work.2", "items.retry.work.parked")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        lab.declare(order="key", concurrency=4, retry_ms=(400, 800))
        lab.make(*TOPICS)
        yield lab


class Remembering:
    """A real producer whose transactions' offsets stay: the mock brokers forget them."""

    def __init__(self, lab: Lab, producer: Any) -> None:
        self._lab = lab
        self._producer = producer
        self._positions: list[TopicPartition] = []

    def send_offsets_to_transaction(self, positions: list[TopicPartition], *arguments: Any) -> None:
        self._producer.send_offsets_to_transaction(positions, *arguments)
        self._positions = positions

    def commit_transaction(self, *arguments: Any) -> None:
        self._producer.commit_transaction(*arguments)
        self._lab.commit(self._positions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def __len__(self) -> int:
        return len(self._producer)


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


def test_turned_off_what_is_parked_is_drained_and_turned_on_again_what_waits_is_found(lab: Lab) -> None:
    calls: list[tuple[str, int, int]] = []
    failing = True

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any], context: Context) -> None:
        calls.append((event["id"], context.offset, context.attempt))
        if failing and context.offset == 0:
            raise RuntimeError("not yet")

    def run(topics: tuple[str, ...], happened: Callable[[], bool], what: str) -> None:
        lab.stop = Stop(3600)
        thread = threading.Thread(target=lab.run, args=(topics,), daemon=True)
        thread.start()
        eventually(happened, what)
        stopped(lab, thread)

    lab.producers = lambda producer: Remembering(lab, producer)
    lab.declare(retry_ms=(60_000, 60_000))
    lab.put("a", "a", "a")
    run(TOPICS, lambda: len(lab.read(TOPICS[3])) == 2, "the followers in the parked topic")
    assert calls == [("a", 0, 1)]

    # its contract says `order: none` now; the parked topic stays subscribed to, being there
    lab.declare(order="none")
    lab.put("a")
    run(TOPICS, lambda: len(calls) == 4, "what was parked, and a later record")
    assert sorted(calls[1:]) == [("a", 1, 1), ("a", 2, 1), ("a", 3, 1)], (
        "the head waits for its time, nothing else does"
    )

    failing = False
    lab.declare(order="key")
    lab.put("a", "b")
    run(TOPICS, lambda: len(calls) > 4 and len(lab.read(TOPICS[3])) == 3, "another key, and one more follower")
    assert calls[4:] == [("b", 5, 1)], "later records of the key wait for the copy that was there before"
