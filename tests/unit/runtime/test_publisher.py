"""Outputs are followed until the brokers have them; what they refuse for good becomes a letter or a pointer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from confluent_kafka import KafkaError, KafkaException

from lockgate import records
from lockgate.ids import derived_event_id
from lockgate.records import Coordinates, Envelope
from lockgate.runtime.channel import Channel
from lockgate.runtime.encoding import Encoded
from lockgate.runtime.offsets import Progress
from lockgate.runtime.publisher import Publisher
from lockgate.runtime.record import Failure, Record
from lockgate.runtime.retries import Retry

LETTERS, TIER_2 = "items.dlq.work", "items.retry.work.2"
FAILURE = Failure("handle", "error", "busy")
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
PROGRESS = Progress(("items", 2))
GONE = KafkaError(KafkaError._MSG_TIMED_OUT)


@attrs.frozen
class Message:
    """Stand in for the client's."""

    topic_: str = "items"
    partition_: int = 2
    offset_: int = 40
    headers_: Any = (("ce_id", b"e1"), ("x", None), ("x", b"\xff"))
    key_: bytes | None = b"k"
    value_: bytes | None = b"\x00\x00\x00\x00\x07datum"

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return self.partition_

    def offset(self) -> int:
        return self.offset_

    def headers(self) -> Any:
        return self.headers_

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def timestamp(self) -> tuple[int, int]:
        return (1, 1_700_000_000_000)


class Client:
    """Stand in for a producer: answers only when it is flushed."""

    def __init__(self, answer: Callable[[str], KafkaError | None] = lambda _: None) -> None:
        self.answer = answer
        self.waiting: list[tuple[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.full = 0

    def produce(
        self, topic: str, value: Any, key: Any, partition: int, *, on_delivery: Any, headers: list[Any]
    ) -> None:
        if self.full:
            self.full -= 1
            raise BufferError
        found = self.answer(topic)
        if found is not None and found.fatal():
            raise KafkaException(found)
        self.waiting.append((topic, on_delivery))
        self.sent.append({"topic": topic, "value": value, "key": key, "partition": partition, "headers": headers})

    def poll(self, _: float) -> int:
        return 0

    def flush(self, _: float) -> int:
        waiting, self.waiting = self.waiting, []
        for topic, done in waiting:
            done(self.answer(topic), None)
        return 0

    def __len__(self) -> int:
        return len(self.waiting)


def publisher(*clients: Client) -> Publisher:
    queue = list(clients)
    return Publisher(Channel(lambda: queue.pop(0)), "work", "items")  # type: ignore[arg-type,return-value]  # a stand-in


def encoded(number: int = 0) -> Encoded:
    return Encoded("mail.Sent", "mail", b"k", b"value%d" % number)


def test_results_carry_derived_ids_and_continue_the_trace() -> None:
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = (("ce_id", b"e1"), ("traceparent", trace), ("tracestate", b"a=b"))
    client = Client()
    one = publisher(client)
    one.results(PROGRESS, Record(Message(headers_=headers), None), 1, [encoded(0), encoded(1)])
    finished, stuck = one.settle()
    assert not stuck
    ids = [derived_event_id("e1", "work", position) for position in (0, 1)]
    assert finished[0].results == [("mail", "mail.Sent", ident) for ident in ids]
    for sent, ident in zip(client.sent, ids, strict=True):
        own = dict(sent["headers"])
        assert (own["ce_id"], own["ce_type"], own["ce_source"]) == (ident.encode(), b"mail.Sent", b"work")
        assert (own["ce_specversion"], own["content-type"]) == (b"1.0", b"application/avro")
        assert own["traceparent"].startswith(b"00-4bf92f3577b34da6a3ce929d0e0e4736-")
        assert own["traceparent"] != trace
        assert own["tracestate"] == b"a=b"
        assert own["ce_time"].endswith(b"Z")


def test_an_input_without_an_id_is_known_by_its_coordinates() -> None:
    client = Client()
    one = publisher(client)
    one.results(PROGRESS, Record(Message(headers_=None), None), 1, [encoded()])
    assert one.settle()[0][0].results[0][2] == derived_event_id("items-2@40", "work", 0)


def test_copies_are_the_record_byte_for_byte_in_the_partition_of_its_number() -> None:
    client = Client()
    one = publisher(client)
    one.retry(PROGRESS, Record(Message(), None), 2, FAILURE, Retry(2, 99))
    one.letter(PROGRESS, Record(Message(offset_=41), None), 0, Failure("read", "malformed", "bad"))
    finished, _ = one.settle()
    assert [(ticket.outcome, ticket.tier) for ticket in finished] == [("retried", 2), ("dead-lettered", None)]
    retry, letter = client.sent
    assert (retry["topic"], letter["topic"]) == (TIER_2, LETTERS)
    for sent in (retry, letter):
        assert (sent["value"], sent["key"], sent["partition"]) == (Message().value(), b"k", 2)
        assert records.without_envelope(sent["headers"]) == list(Message().headers())
    envelope = Envelope.read(retry["headers"])
    assert envelope == Envelope(
        Coordinates("items", 2, 40), "work", 2, 1_700_000_000_000, "CreateTime", "handle", "error", "busy",
        schema_id=7, due=99,
    )  # fmt: skip


def test_a_copy_of_a_copy_keeps_the_first_coordinates_time_and_round() -> None:
    earlier = Envelope(Coordinates("items", 2, 7), "work", 1, 123, "LogAppendTime", "handle", "error", "busy", replay=3)
    message = Message("items.retry.work.1", headers_=records.enclose((("a", b"b"),), earlier))
    client = Client()
    one = publisher(client)
    one.letter(PROGRESS, Record(message, earlier), 2, FAILURE)
    one.settle()
    found = Envelope.read(client.sent[0]["headers"])
    assert found is not None
    assert (found.source, found.timestamp, found.timestamp_type) == (earlier.source, 123, "LogAppendTime")
    assert (found.replay, found.attempt, found.due) == (3, 2, None)
    assert records.without_envelope(client.sent[0]["headers"]) == [("a", b"b")]


def test_a_result_that_is_too_large_becomes_a_letter_of_its_input() -> None:
    client = Client(lambda topic: TOO_LARGE if topic == "mail" else None)
    one = publisher(client)
    one.results(PROGRESS, Record(Message(), None), 1, [encoded()])
    finished, stuck = one.settle()
    assert not stuck
    assert finished[0].outcome == "dead-lettered"
    assert client.sent[-1]["topic"] == LETTERS
    assert client.sent[-1]["value"] == Message().value()
    envelope = Envelope.read(client.sent[-1]["headers"])
    assert envelope is not None
    assert (envelope.stage, envelope.reason, envelope.attempt) == ("publish", "too-large", 1)


@pytest.mark.parametrize("kind", ["letter", "retry"])
def test_a_copy_that_is_too_large_becomes_a_pointer_in_the_dead_letter_topic(kind: str) -> None:
    seen: list[str] = []

    def first_is_too_large(topic: str) -> KafkaError | None:
        seen.append(topic)
        return TOO_LARGE if len(seen) <= 2 else None  # asked when it is sent and when it is flushed

    client = Client(first_is_too_large)
    one = publisher(client)
    if kind == "letter":
        one.letter(PROGRESS, Record(Message(), None), 1, FAILURE)
    else:
        one.retry(PROGRESS, Record(Message(), None), 1, FAILURE, Retry(1, 5))
    finished, stuck = one.settle()
    assert not stuck
    assert (finished[0].outcome, finished[0].tier) == ("dead-lettered", None)
    pointer = client.sent[-1]
    assert (pointer["topic"], pointer["value"], pointer["key"]) == (LETTERS, None, b"k")
    assert records.without_envelope(pointer["headers"]) == []
    envelope = Envelope.read(pointer["headers"])
    assert envelope is not None
    assert envelope.pointer
    assert (envelope.source, envelope.reason) == (Coordinates("items", 2, 40), "error")


def test_what_the_brokers_do_not_take_for_now_is_stuck_and_counts_for_nothing() -> None:
    client = Client(lambda topic: GONE if topic == "mail" else None)
    one = publisher(client)
    one.results(PROGRESS, Record(Message(), None), 1, [encoded()])
    one.letter(PROGRESS, Record(Message(offset_=41), None), 1, FAILURE)
    finished, stuck = one.settle()
    assert [ticket.record.offset for ticket in finished] == [41]
    assert [ticket.record.offset for ticket in stuck] == [40]
    assert one.settle() == ([], [])


def test_a_result_that_failed_for_now_is_not_hidden_by_one_that_is_too_large() -> None:
    answers = iter([None, None, TOO_LARGE, GONE])
    one = publisher(Client(lambda _: next(answers)))
    one.results(PROGRESS, Record(Message(), None), 1, [encoded(0), encoded(1)])
    finished, stuck = one.settle()
    assert not finished
    assert len(stuck) == 1


def test_a_full_queue_is_waited_for() -> None:
    client = Client()
    client.full = 3
    one = publisher(client)
    one.letter(PROGRESS, Record(Message(), None), 1, FAILURE)
    assert len(one.settle()[0]) == 1


def test_after_a_fatal_error_a_new_client_takes_over() -> None:
    broken = Client(lambda _: KafkaError(KafkaError._FATAL, "fenced", fatal=True))
    fresh = Client()
    one = publisher(broken, fresh)
    one.letter(PROGRESS, Record(Message(), None), 1, FAILURE)
    assert len(one.settle()[1]) == 1
    one.letter(PROGRESS, Record(Message(), None), 1, FAILURE)
    assert len(one.settle()[0]) == 1
    assert len(fresh.sent) == 1


def test_a_failure_describes_even_an_exception_that_cannot_be_shown() -> None:
    class Mute(Exception):  # noqa: N818  # it is about what it cannot do
        def __str__(self) -> str:
            raise RuntimeError

    def handler() -> None:
        raise Mute

    def loop() -> Failure:
        try:
            handler()
        except Mute as error:
            return Failure.of("handle", "error", error)
        raise AssertionError

    failure = loop()
    assert failure.message == "Mute"
    assert failure.exception.endswith("Mute")
    assert "in handler" in failure.stack
    assert "in loop" not in failure.stack
