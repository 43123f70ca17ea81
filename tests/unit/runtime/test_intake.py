"""What an intake does while it takes no records: nothing that the brokers tell only once may get lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from confluent_kafka import Consumer as RealConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from lockgate.runtime.intake import Intake
from lockgate.runtime.patience import Patience
from tests.messages import Placed
from tests.worlds import eventually

ITEMS = ("items", 0)


class Message(Placed):
    """Stand in for what a poll returns."""

    def __init__(self, place: tuple[str, int], offset: int, error: KafkaError | None = None) -> None:
        super().__init__(place, offset)
        self._error = error

    def error(self) -> KafkaError | None:
        return self._error


class Consumer:
    """Stand in for a client that has partitions, and one message."""

    def __init__(self, message: Message) -> None:
        self.next: Message | None = message
        self.sought: list[tuple[str, int, int]] = []
        self.assigned: set[tuple[str, int]] = set()
        self.paused: set[tuple[str, int]] = set()
        """As with the real client, it outlasts an assignment."""

    def poll(self, _: float) -> Message | None:
        message, self.next = self.next, None
        return message

    def consumer_group_metadata(self) -> str:
        return "the membership"

    def assignment(self) -> list[Any]:
        return [TopicPartition(*place) for place in self.assigned]

    def pause(self, partitions: list[Any]) -> None:
        self.paused |= {(entry.topic, entry.partition) for entry in partitions}

    def resume(self, partitions: list[Any]) -> None:
        self.paused -= {(entry.topic, entry.partition) for entry in partitions}

    def seek(self, partition: Any) -> None:
        self.sought.append((partition.topic, partition.partition, partition.offset))


def intake(message: Message) -> tuple[Intake, Consumer]:
    consumer: Any = Consumer(message)
    return Intake("work", lambda: consumer, Patience()), consumer


def test_the_end_of_a_partition_is_passed_on_with_the_membership_to_commit_it_under() -> None:
    end = Message(("items", 0), 3, KafkaError(KafkaError._PARTITION_EOF))
    standing, _ = intake(end)
    assert standing.take(0) == [end]
    assert standing.metadata == "the membership"


def test_a_record_is_put_back() -> None:
    standing, consumer = intake(Message(("items", 0), 3))
    assert standing.take(0) == []
    assert consumer.sought == [("items", 0, 3)]


def test_the_end_of_a_partition_counts_although_the_rest_of_its_batch_is_put_back() -> None:
    standing, consumer = intake(Message(("items", 0), 3))
    for number in range(2):
        standing.offsets.assign(("items", number))
    ends = [Message(("items", number), 5, KafkaError(KafkaError._PARTITION_EOF)) for number in range(2)]
    standing.put_back([ends[1], Message(("items", 0), 3), ends[0]])
    assert consumer.sought == [("items", 0, 3)]
    assert standing.offsets.of(("items", 1)).committable() == 5, "the client tells it once"
    assert standing.offsets.of(("items", 0)).committable() is None, "it comes again, behind the record"


def test_a_partition_that_goes_while_a_handler_is_slow_does_not_come_back_standing_still() -> None:
    slow, consumer = intake(Message(("items", 0), 3, KafkaError(KafkaError._PARTITION_EOF)))
    consumer.assigned = {("items", 0), ("items", 1)}
    slow.keepalive._steer()  # what its thread does while a batch takes long
    assert consumer.paused == consumer.assigned
    slow._on_lost(cast("RealConsumer", consumer), [TopicPartition("items", 0)])
    assert consumer.paused == {("items", 1)}


class Serving(Consumer):
    """A client that lets one thread in at a time, also while it calls back, as the real one does."""

    def __init__(self) -> None:
        super().__init__(Message(ITEMS, 3))
        self.next = None
        self.assigned = {ITEMS}
        self.takes_back: Callable[[list[TopicPartition]], None] | None = None
        self.rebalances = threading.Event()
        self._lock = threading.Lock()

    def poll(self, _: float) -> Message | None:
        with self._lock:
            if self.takes_back is not None and self.assigned:
                self.rebalances.set()
                self.takes_back([TopicPartition(*ITEMS)])
                self.assigned = set()
        return None

    def seek(self, partition: Any) -> None:
        with self._lock:
            if not self.assigned:
                raise KafkaException(KafkaError(KafkaError._STATE))
            super().seek(partition)

    def committed(self, partitions: list[Any], _: float) -> list[Any]:
        with self._lock:
            return [Answer(ITEMS, 7) for _ in partitions]


class Answer(TopicPartition):
    error = None

    def __init__(self, place: tuple[str, int], offset: int) -> None:
        super().__init__(*place, offset)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Intake, Serving]]:
    """Give an intake with a batch in hand for so long that its keep-alive polls."""
    monkeypatch.setattr("lockgate.runtime.keepalive._TAKES_LONG", 0.0)
    consumer: Any = Serving()
    one = Intake("work", lambda: consumer, Patience())
    one.offsets.assign(ITEMS)
    one.keepalive.busy()
    eventually(lambda: consumer.paused, "the keep-alive")
    yield one, consumer
    one.keepalive.close()


def rebalance(one: Intake, consumer: Serving) -> None:
    """Let the group take the partition back, within the keep-alive's poll."""
    consumer.takes_back = lambda partitions: one._on_revoke(cast("RealConsumer", consumer), partitions)
    assert consumer.rebalances.wait(10)


def test_going_back_waits_for_no_rebalance_that_waits_for_the_batch(slow: tuple[Intake, Serving]) -> None:
    one, consumer = slow
    progress = one.offsets.of(ITEMS)
    rebalance(one, consumer)
    began = time.monotonic()
    one.go_back(progress, 3, 0.0)
    one.settled()
    assert time.monotonic() - began < 10
    assert not consumer.assigned, "the rebalance has come to its end"
    assert consumer.sought == [], "the partition is another's"


def test_what_was_gone_back_to_while_the_keep_alive_polls_is_done_when_the_batch_is_settled(
    slow: tuple[Intake, Serving],
) -> None:
    one, consumer = slow
    one.go_back(one.offsets.of(ITEMS), 3, float("inf"))
    assert consumer.sought == []
    one.settled()
    assert consumer.sought == [(*ITEMS, 3)]
    assert consumer.paused == {ITEMS}, "it waits"


def test_nothing_that_was_put_off_outlives_the_next_take() -> None:
    end = Message(ITEMS, 9, KafkaError(KafkaError._PARTITION_EOF))
    one, consumer = intake(end)
    one.offsets.assign(ITEMS)
    with one.keepalive._lock:  # as while it looks whether a batch is in hand
        one.go_back(one.offsets.of(ITEMS), 3, float("inf"))
    assert consumer.sought == []
    one.take(0)
    assert consumer.sought == [(*ITEMS, 3)]


def test_asking_what_was_committed_waits_for_no_rebalance_either(slow: tuple[Intake, Serving]) -> None:
    one, consumer = slow
    rebalance(one, consumer)
    began = time.monotonic()
    assert one.committed_in([ITEMS]) == {ITEMS: 7}
    assert time.monotonic() - began < 10


class Beginning(Consumer):
    """Stand in for a client that begins with the first record there is, and whose group has committed more."""

    def __init__(self, committed: list[int | KafkaError]) -> None:
        super().__init__(Message(ITEMS, 0))
        self._committed = committed

    def consume(self, _: int, __: float) -> list[Message]:
        message = self.poll(0)
        return [] if message is None else [message]

    def committed(self, partitions: list[Any], _: float) -> list[Any]:
        answer = self._committed.pop(0)
        if isinstance(answer, KafkaError):
            raise KafkaException(answer)
        return [Answer(ITEMS, answer) for _ in partitions]


def assigned(*committed: int | KafkaError) -> tuple[Intake, Beginning]:
    consumer: Any = Beginning(list(committed))
    one = Intake("work", lambda: consumer, Patience())
    one._on_assign(consumer, [TopicPartition(*ITEMS)])
    return one, consumer


def test_a_partition_that_the_client_begins_anew_goes_on_at_the_committed_offset() -> None:
    one, consumer = assigned(7, 7)
    assert one.take(10) == []
    assert consumer.sought == [(*ITEMS, 7)]
    consumer.next = Message(ITEMS, 7)
    assert [message.offset() for message in one.take(10)] == [7]


def test_it_waits_where_nobody_says_what_was_committed_and_is_asked_for_once() -> None:
    one, consumer = assigned(KafkaError(KafkaError._TIMED_OUT), 0)
    assert one.take(10) == []
    assert consumer.sought == [(*ITEMS, 0)]
    assert consumer.paused == {ITEMS}
    consumer.next = Message(ITEMS, 0)
    assert [message.offset() for message in one.take(10)] == [0]
    consumer.next = Message(ITEMS, 1)
    assert [message.offset() for message in one.take(10)] == [1], "nobody is asked again"


def test_where_nothing_was_committed_the_first_record_is_the_first() -> None:
    one, consumer = assigned(-1001)
    assert [message.offset() for message in one.take(10)] == [0]
    assert consumer.sought == []


def test_a_partition_whose_end_comes_first_is_not_looked_at_any_more() -> None:
    one, consumer = assigned()
    consumer.next = Message(ITEMS, 7, KafkaError(KafkaError._PARTITION_EOF))
    one.take(10)
    consumer.next = Message(ITEMS, 7)
    assert [message.offset() for message in one.take(10)] == [7], "nobody is asked"
