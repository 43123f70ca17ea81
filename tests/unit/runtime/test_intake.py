"""What an intake does while it takes no records: nothing that the brokers tell only once may get lost."""

from __future__ import annotations

from typing import Any, cast

from confluent_kafka import Consumer as RealConsumer
from confluent_kafka import KafkaError, TopicPartition

from lockgate.runtime.intake import Intake
from lockgate.runtime.patience import Patience
from tests.messages import Placed


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


def test_a_partition_that_goes_while_a_handler_is_slow_does_not_come_back_standing_still() -> None:
    slow, consumer = intake(Message(("items", 0), 3, KafkaError(KafkaError._PARTITION_EOF)))
    consumer.assigned = {("items", 0), ("items", 1)}
    slow.keepalive._steer()  # what its thread does while a batch takes long
    assert consumer.paused == consumer.assigned
    slow._on_lost(cast("RealConsumer", consumer), [TopicPartition("items", 0)])
    assert consumer.paused == {("items", 1)}
