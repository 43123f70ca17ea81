"""Several records at once, on the client library's own mock cluster: nothing lost, in the order that was asked for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from lockgate.runtime.intake import Intake
from tests.labs import LETTERS, NOTHING, Lab, running_lab, started, stopped
from tests.worlds import eventually

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        yield lab


class Watch:
    """Handlers that tell what runs at once, and end when they are told to."""

    def __init__(self, lab: Lab, *, asynchronous: bool) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.most: Counter[str] = Counter()
        """The most that ran at once, by the first letter of their names, and in all under the empty name."""
        self.gates: dict[str, threading.Event] = {}
        """What has to be opened before a handler of that name ends."""
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()

        async def task(event: dict[str, Any]) -> None:
            self._begin(event["id"])
            while (gate := self.gates.get(event["id"])) is not None and not gate.is_set():
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.005)
            self._end(event["id"])

        def thread(event: dict[str, Any]) -> None:
            self._begin(event["id"])
            if (gate := self.gates.get(event["id"])) is not None:
                gate.wait(30)
            time.sleep(0.005)
            self._end(event["id"])

        lab.service.handler("work", event_type="items.Made")(task if asynchronous else thread)

    def open(self) -> None:
        """Let all handlers end."""
        for gate in self.gates.values():
            gate.set()

    def _begin(self, item: str) -> None:
        with self._lock:
            self.begun.append(item)
            for name in ("", item[0]):
                self._now[name] += 1
                self.most[name] = max(self.most[name], self._now[name])

    def _end(self, item: str) -> None:
        with self._lock:
            self.ended.append(item)
            self._now.subtract(("", item[0]))


BOTH = pytest.mark.parametrize("watch", ["threads", "tasks"], indirect=True)


@pytest.fixture
def watch(request: pytest.FixtureRequest, lab: Lab) -> Watch:
    return Watch(lab, asynchronous=getattr(request, "param", "tasks") == "tasks")


@BOTH
def test_so_many_are_handled_at_once_and_what_is_unfinished_is_not_committed(lab: Lab, watch: Watch) -> None:
    lab.declare(concurrency=4, order="none")
    watch.gates["a0"] = threading.Event()
    lab.put(*(f"a{number}" for number in range(30)), "poison")
    thread = started(lab)
    eventually(lambda: len(watch.ended) == 29 and len(lab.read(LETTERS)) == 1, "all but the first")
    time.sleep(0.5)  # a commit would have gone out by now
    assert lab.committed() in (NOTHING, 0)
    watch.gates["a0"].set()
    eventually(lambda: lab.committed() == 31, "the commit of all")
    stopped(lab, thread)
    assert sorted(watch.begun) == sorted(f"a{number}" for number in range(30))
    assert watch.most[""] == 4


def test_records_of_a_key_keep_their_order_and_keys_do_not_wait_for_each_other(lab: Lab, watch: Watch) -> None:
    lab.declare(concurrency=8, order="key")
    items = [f"{'abcd'[number % 4]}" for number in range(40)]
    watch.gates["a"] = threading.Event()
    lab.put(*items)
    thread = started(lab)
    eventually(lambda: len(watch.ended) == 30, "the other keys")
    assert watch.begun.count("a") == 1
    watch.gates["a"].set()
    eventually(lambda: lab.committed() == 40, "the commit of all")
    stopped(lab, thread)
    assert {watch.most[letter] for letter in "abcd"} == {1}
    assert watch.most[""] > 1


def test_records_of_a_partition_keep_their_order_and_partitions_do_not_wait_for_each_other(
    lab: Lab, watch: Watch
) -> None:
    lab.declare(concurrency=8, order="partition")
    for partition, letter in enumerate("abcd"):
        lab.put(*(f"{letter}{number}" for number in range(8)), partition=partition)
    watch.gates["a3"] = threading.Event()
    thread = started(lab)
    eventually(lambda: len(watch.ended) == 3 + 24, "the other partitions")
    watch.gates["a3"].set()
    eventually(lambda: [lab.committed(partition) for partition in range(4)] == [8] * 4, "the commit of all")
    stopped(lab, thread)
    for letter in "abcd":
        assert [item for item in watch.begun if item[0] == letter] == [f"{letter}{number}" for number in range(8)]


def test_a_partition_with_much_in_hand_leaves_room_for_the_others(
    lab: Lab, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockgate.runtime.concurrent._IN_HAND", 20)
    monkeypatch.setattr("lockgate.runtime.concurrent._BATCH", 5)
    monkeypatch.setattr("lockgate.runtime.concurrent._FULL", 0.05)
    lab.declare(concurrency=2, order="key")
    watch.gates["a"] = threading.Event()
    lab.put(*["a"] * 100, partition=0)
    thread = started(lab)
    eventually(lambda: watch.begun, "the first record")
    lab.put(*["b"] * 100, partition=1)
    eventually(lambda: lab.committed(1) == 100, "the other partition")
    assert watch.begun.count("a") == 1
    watch.gates["a"].set()
    eventually(lambda: lab.committed(0) == 100, "the first partition")
    stopped(lab, thread)
    assert Counter(watch.begun) == {"a": 100, "b": 100}


def test_a_stop_lets_handlers_end_and_begins_none(lab: Lab, watch: Watch) -> None:
    lab.declare(concurrency=2, order="none")
    items = [f"a{number}" for number in range(10)]
    watch.gates |= {item: threading.Event() for item in items}
    lab.put(*items)
    thread = started(lab)
    eventually(lambda: len(watch.begun) == 2, "the first two")
    lab.stop.request()
    time.sleep(0.2)
    watch.open()
    thread.join(30)
    assert watch.begun == watch.ended == ["a0", "a1"]
    assert lab.committed() == 2


def test_records_whose_outputs_were_not_taken_are_read_again(lab: Lab) -> None:
    lab.declare(concurrency=4, order="none")
    lab.failures[0] = 3

    @lab.service.handler("work", event_type="items.Made")
    async def work(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return "mail.Sent", event

    lab.put(*(f"a{number}" for number in range(10)))
    lab.stop_when(lambda: lab.committed() == 10)
    lab.run()
    assert {message.key() for message in lab.read("mail")} == {f"a{number}".encode() for number in range(10)}


@pytest.mark.parametrize(("leaving", "asynchronous"), [(SystemExit(7), True), (KeyboardInterrupt(), False)])
def test_what_ends_the_process_leaves_the_record_uncommitted(
    lab: Lab, leaving: BaseException, asynchronous: bool
) -> None:
    lab.declare(concurrency=2, order="partition")

    async def task(event: dict[str, Any]) -> None:
        thread(event)

    def thread(event: dict[str, Any]) -> None:
        if event["id"] == "b":
            raise leaving

    lab.service.handler("work", event_type="items.Made")(task if asynchronous else thread)
    lab.put("a", "b", "c")
    with pytest.raises(type(leaving)):
        lab.run()
    assert lab.committed() == 1


def test_partitions_are_given_back_when_their_handlers_have_ended_and_none_is_begun(
    lab: Lab, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mock cluster takes no commits during a rebalance, as real brokers do: the intake is told of one instead."""
    lab.declare(concurrency=4, order="partition")
    for partition, letter in enumerate("abcd"):
        lab.put(*(f"{letter}{number}" for number in range(3)), partition=partition)
        watch.gates[f"{letter}1"] = threading.Event()
    revoking = threading.Event()
    seen: list[tuple[int, int, list[int]]] = []
    take = Intake.take

    def taken(intake: Any, *arguments: Any) -> list[Any]:
        if revoking.is_set():
            revoking.clear()
            threading.Timer(0.3, watch.open).start()
            intake._on_revoke(None, [TopicPartition("items", partition) for partition in range(4)])
            committed = [lab.committed(partition) for partition in range(4)]
            seen.append((len(watch.begun), len(watch.ended), committed))
        return take(intake, *arguments)

    monkeypatch.setattr(Intake, "take", taken)
    thread = started(lab)
    eventually(lambda: len(watch.begun) == 8, "the second records")
    revoking.set()
    eventually(lambda: seen, "the revocation")
    stopped(lab, thread)
    assert seen == [(8, 8, [2] * 4)]
    assert len(watch.begun) == 8
