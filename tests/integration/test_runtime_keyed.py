"""The order of keys through retries, on the client library's own mock cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from lockgate import Context, Reject, Tombstone
from lockgate.contracts.model import Order
from lockgate.runtime.signals import Stop
from tests.labs import LETTERS, Lab, running_lab, started, stopped
from tests.recorders import ABORTABLE, FATAL, Recorder
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
    thread = started(lab, TOPICS)
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
        thread = started(lab, topics)
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


def test_a_dead_letter_holds_its_key_until_it_is_released_and_other_keys_flow(lab: Lab) -> None:
    calls: list[tuple[str, int, int]] = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any], context: Context) -> None:
        calls.append((event["id"], context.offset, context.replay))
        if event["id"] == "a" and context.offset in (0, 3):
            raise Reject("never")

    lab.producers = lambda producer: Remembering(lab, producer)
    lab.declare(on_dead_letter="hold")
    lab.put("a", "b", "a", "a", "a", "b")
    thread = started(lab, TOPICS)
    eventually(lambda: ("b", 5, 0) in calls and len(lab.read(TOPICS[3])) == 4, "a hold, and three parked followers")
    stopped(lab, thread)
    assert calls.count(("a", 0, 0)) == 1
    assert {call[:2] for call in calls} == {("a", 0), ("b", 1), ("b", 5)}

    lab.stop = Stop(3600)
    lab.put("a", "b")
    thread = started(lab, TOPICS)
    eventually(lambda: ("b", 7, 0) in calls, "another key, after a restart")
    eventually(lambda: len(lab.read(TOPICS[3])) == 5, "one more follower")
    assert ("a", 2, 0) not in calls
    lab.release("a", 0)
    eventually(lambda: ("a", 3, 0) in calls, "the followers, up to the next dead letter")
    eventually(lambda: len(lab.read(LETTERS)) == 2, "the second dead letter")
    lab.put("b")
    eventually(lambda: ("b", 8, 0) in calls, "another key")
    assert [call[1] for call in calls if call[0] == "a"] == [0, 2, 3]
    lab.replay("a", 3)
    lab.release("a", 3)
    eventually(lambda: ("a", 6, 0) in calls or (("a", 3, 1) in calls and len(lab.read(LETTERS)) == 3), "the replay")
    assert [call for call in calls if call[0] == "a"][3:] == [("a", 3, 1)], "what is replayed goes before its followers"
    lab.release("a", 3, 1)
    eventually(lambda: ("a", 6, 0) in calls, "all followers")
    stopped(lab, thread)
    assert [call for call in calls if call[0] == "a"][4:] == [("a", 4, 0), ("a", 6, 0)]


@pytest.mark.parametrize("order", ["key", "none", "partition"])
def test_keys_are_let_go_where_the_contract_holds_them_no_more(lab: Lab, order: Order) -> None:
    calls: list[tuple[str, int]] = []
    tombstones: list[Tombstone] = []

    @lab.service.handler("work")
    def erased(event: Tombstone) -> None:
        tombstones.append(event)

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any], context: Context) -> None:
        calls.append((event["id"], context.offset))
        if context.offset == 0:
            raise Reject("never")

    lab.producers = lambda producer: Remembering(lab, producer)
    lab.declare(on_dead_letter="hold")
    lab.put("a", "a", "poison", "poison", "a")
    thread = started(lab, TOPICS)
    eventually(lambda: len(lab.read(TOPICS[3])) == 5, "two holds, and three parked followers")
    stopped(lab, thread)
    assert calls == [("a", 0)]
    assert [letter.key() for letter in lab.read(LETTERS)] == [b"a", b"poison"]

    lab.declare(on_dead_letter="continue", order=order, concurrency=1)
    lab.stop = Stop(3600)
    thread = started(lab, TOPICS)
    eventually(lambda: ("a", 4) in calls and len(lab.read(LETTERS)) == 3, "the followers, and the second poison")
    stopped(lab, thread)
    assert sorted(calls) == [("a", 0), ("a", 1), ("a", 4)]
    assert not tombstones, "what has held a key is no event"


class Book:
    """What handlers of a lab were called with, and what they give."""

    def __init__(self, lab: Lab) -> None:
        self.calls: list[tuple[str, int, int]] = []

        def work(event: dict[str, Any], context: Context) -> tuple[str, dict[str, Any]] | None:
            self.calls.append((event["id"], context.offset, context.attempt))
            if event["id"] == "a" and context.offset == 0 and context.attempt == 1:
                raise RuntimeError("not yet")
            return None if event["id"] == "quiet" else ("mail.Sent", event)

        lab.service.handler("work", event_type="items.Made")(work)

    def of(self, key: str) -> list[tuple[int, int]]:
        """Return offset and attempt of the calls with a key."""
        return [call[1:] for call in self.calls if call[0] == key]


TROUBLES: dict[str, list[tuple[str, str, KafkaError]]] = {
    "refused-again-and-again": [("send_offsets_to_transaction", "before", ABORTABLE)] * 3,
    "fenced-before-the-commit": [("send_offsets_to_transaction", "before", FATAL)],
    "no-end-again-and-again": [("commit_transaction", when, FATAL) for when in ("after", "before", "after")],
}


@pytest.mark.parametrize("troubles", TROUBLES.values(), ids=TROUBLES)
def test_whatever_becomes_of_a_transaction_nothing_is_lost_and_keys_keep_their_order(
    lab: Lab, troubles: list[tuple[str, str, KafkaError]]
) -> None:
    recorder, book = Recorder(lab), Book(lab)
    lab.producers, recorder.holding = recorder.wrap, True
    for call, when, error in troubles:
        recorder.errors.setdefault(call, []).append((when, error))
    lab.put("a", "b", "a", "quiet", "a", "b")
    thread = started(lab, TOPICS)
    eventually(lambda: lab.committed() == 6, "the commit of all", patience=20, why=lambda: str(book.calls))
    eventually(lambda: {offset for offset, _ in book.of("a")} == {0, 2, 4}, "the key that had to wait")
    lab.put("a", "b")
    eventually(lambda: lab.committed() == 8, "the commit of later ones", patience=20, why=lambda: str(book.calls))
    stopped(lab, thread)
    assert not any(recorder.errors.values()), "all of it happened"
    for key, offsets in {"a": [0, 2, 4, 6], "b": [1, 5, 7]}.items():
        good = [offset for offset, attempt in book.of(key) if (key, offset, attempt) != ("a", 0, 1)]
        assert list(dict.fromkeys(good)) == offsets, "in order"
    sent = [entry for entry in recorder.committed if entry[0] == "mail"]
    assert (sent.count(("mail", b"a")), sent.count(("mail", b"b"))) == (4, 3), "each result once"
    assert LETTERS not in {topic for topic, _ in recorder.committed}


def test_nothing_is_taken_while_transactions_do_not_go_through(lab: Lab) -> None:
    recorder, book = Recorder(lab), Book(lab)
    lab.producers, recorder.holding = recorder.wrap, True
    recorder.errors["send_offsets_to_transaction"] = [("before", ABORTABLE)] * 3
    lab.put("a", "b")
    thread = started(lab, TOPICS)
    eventually(lambda: recorder.aborted >= 1, "an abort")
    lab.put(*(f"c{number}" for number in range(50)))
    eventually(lambda: recorder.aborted >= 2, "another abort")
    assert not any(call[0].startswith("c") for call in book.calls)
    eventually(lambda: lab.committed() == 52, "the commit of all")
    stopped(lab, thread)
