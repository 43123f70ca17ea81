"""Exactly once, on a mock cluster: every way in which a transaction can end, and what the loop makes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from lockgate import Context, Service
from lockgate.contracts.model import OutageSpec
from tests.labs import LETTERS, Lab, running_lab
from tests.worlds import eventually

RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "later", retriable=True)
ABORTABLE = KafkaError(KafkaError.ILLEGAL_GENERATION, "the group has moved on", txn_requires_abort=True)
FATAL = KafkaError(KafkaError._FENCED, "another has the id", fatal=True)


class Recorder:
    """Producers of one lab: what they committed, and the errors that they raise before or after a call."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.sent: list[tuple[str, bytes | None]] = []
        self.committed: list[tuple[str, bytes | None]] = []
        self.begun = self.aborted = self.made = 0
        """Transactions with outputs, aborts, producers."""
        self.positions: list[TopicPartition] = []
        self.errors: dict[str, list[tuple[str, KafkaError]]] = {}
        """By call: `(before or after it, error)`, used up one by one."""
        self.limit = 1 << 30
        """Bytes that a record may have."""

    def wrap(self, producer: Producer) -> Any:
        self.made += 1
        return _Recording(producer, self)


class _Recording:
    def __init__(self, producer: Producer, recorder: Recorder) -> None:
        self._producer = producer
        self._recorder = recorder
        self._refused: list[tuple[Any, KafkaError]] = []
        self._broken = self._spoilt = False

    def produce(self, topic: str, value: Any, key: Any, partition: int, *, on_delivery: Any, headers: Any) -> None:
        if len(value or b"") > self._recorder.limit:
            self._refused.append((on_delivery, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)))
            self._broken = True  # as the client does it: the transaction can only be aborted now
        elif self._spoilt:
            self._refused.append((on_delivery, KafkaError(KafkaError._PURGE_QUEUE)))
        elif self._broken:
            raise KafkaException(KafkaError(KafkaError._STATE, "in an error state", txn_requires_abort=True))
        else:
            self._recorder.begun += not self._recorder.sent
            self._recorder.sent.append((topic, key))
            self._producer.produce(topic, value, key, partition, on_delivery=on_delivery, headers=headers)

    def flush(self, timeout: float) -> int:
        for done, error in self._refused:
            done(error, None)
        self._refused = []
        return self._producer.flush(timeout)

    def begin_transaction(self) -> None:
        self._recorder.sent = []
        self._recorder.positions = []
        self._broken = False
        self._call("begin_transaction")

    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        self._call("send_offsets_to_transaction", *arguments)
        self._recorder.positions = arguments[0]

    def commit_transaction(self, *arguments: Any) -> None:
        self._call("commit_transaction", *arguments)

    def abort_transaction(self, *arguments: Any) -> None:
        self._recorder.aborted += 1
        self._spoilt = self._broken  # as seen with the real one: it purges what the next transaction sends
        self._call("abort_transaction", *arguments)

    def _call(self, name: str, *arguments: Any) -> None:
        # positions alone, of partitions that are empty, go in transactions of their own
        errors = self._recorder.errors.get(name) if self._recorder.sent else None
        when, error = errors.pop(0) if errors else ("", None)
        if when == "before" and error is not None:
            raise KafkaException(error)
        getattr(self._producer, name)(*arguments)
        if name == "commit_transaction":
            self._recorder.committed += self._recorder.sent
            self._recorder.sent = []
            self._recorder.lab.commit(self._recorder.positions)  # the mock brokers forget a transaction's offsets
        if error is not None:
            raise KafkaException(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def __len__(self) -> int:
        return len(self._producer) + len(self._refused)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        lab.declare(exactly_once=True)
        lab.seen = []  # type: ignore[attr-defined]  # by the handler below, for these tests alone

        @lab.service.handler("work", event_type="items.Made")
        def work(event: dict[str, Any], context: Context) -> tuple[str, dict[str, Any]] | None:
            lab.seen.append(event["id"])  # type: ignore[attr-defined]
            if event["id"].startswith("fail"):
                raise ConnectionError("busy")
            return None if event["id"].startswith("quiet") else ("mail.Sent", event)

        yield lab


@pytest.fixture
def recorder(lab: Lab) -> Recorder:
    recorder = Recorder(lab)
    lab.producers = recorder.wrap
    return recorder


def run(lab: Lab, *items: str) -> None:
    """Write items, and run the workload until all of them are committed."""
    lab.put(*items)
    lab.stop_when(lambda: lab.committed() == len(items))
    lab.run()
    assert lab.committed() == len(items)


def test_results_letters_and_offsets_are_committed_together(lab: Lab, recorder: Recorder) -> None:
    run(lab, "a", "poison", "fail", "quiet", "b")
    assert recorder.committed == [("mail", b"a"), (LETTERS, b"poison"), (LETTERS, b"fail"), ("mail", b"b")]
    assert recorder.aborted == 0


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_what_is_retriable_is_asked_again(lab: Lab, recorder: Recorder, call: str) -> None:
    recorder.errors[call] = [("before", RETRIABLE), ("before", RETRIABLE)]
    run(lab, "a", "b")
    assert recorder.committed == [("mail", b"a"), ("mail", b"b")]
    assert recorder.aborted == 0
    assert lab.seen == ["a", "b"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_what_requires_an_abort_gets_one_and_nothing_of_it_counts(lab: Lab, recorder: Recorder, call: str) -> None:
    recorder.errors[call] = [("before", ABORTABLE)]
    run(lab, "a", "quiet", "b")
    assert recorder.committed == [("mail", b"a"), ("mail", b"b")]
    assert (recorder.aborted, recorder.made) == (1, 1)
    # those behind it are in its batch, or come later where the brokers gave one record first
    assert lab.seen in (["a", "quiet", "b"] * 2, ["a", "a", "quiet", "b"])  # type: ignore[attr-defined]


def test_after_a_fatal_error_a_new_producer_goes_on(lab: Lab, recorder: Recorder) -> None:
    recorder.errors["send_offsets_to_transaction"] = [("before", FATAL)]
    run(lab, "a", "b")
    assert recorder.committed == [("mail", b"a"), ("mail", b"b")]
    assert (recorder.aborted, recorder.made) == (0, 2)


def test_an_abort_that_fails_is_left_to_the_next_producer(lab: Lab, recorder: Recorder) -> None:
    recorder.errors["send_offsets_to_transaction"] = [("before", ABORTABLE)]
    recorder.errors["abort_transaction"] = [("before", FATAL)]
    run(lab, "a")
    assert recorder.committed == [("mail", b"a")]
    assert recorder.made == 2


@pytest.mark.parametrize(("when", "runs"), [("after", 1), ("before", 2)])
def test_where_nobody_saw_the_end_of_a_commit_the_groups_offsets_tell(
    lab: Lab, recorder: Recorder, when: str, runs: int
) -> None:
    recorder.errors["commit_transaction"] = [(when, FATAL)]
    run(lab, "a", "b")
    # again only where it was not committed; "b" is in its batch, or comes later where the brokers gave one record first
    assert lab.seen in (["a", "b"] * runs, ["a"] * runs + ["b"])  # type: ignore[attr-defined]
    assert recorder.committed == [("mail", b"a"), ("mail", b"b")]


def test_what_is_too_large_is_found_in_halves_without_running_a_handler_again(lab: Lab, recorder: Recorder) -> None:
    recorder.limit = 100
    large = "l" * 200
    items = ["a", "b", large, "c", "quiet", "d", "e"]
    run(lab, *items)
    assert lab.seen == items  # type: ignore[attr-defined]
    keys = [(topic, (key or b"")[:1]) for topic, key in recorder.committed]
    assert keys == [
        ("mail", b"a"), ("mail", b"b"), (LETTERS, b"l"), ("mail", b"c"), ("mail", b"d"), ("mail", b"e"),
    ]  # fmt: skip


def test_a_batch_that_ends_in_an_outage_is_sent_up_to_the_first_failure_and_no_further(
    lab: Lab, recorder: Recorder
) -> None:
    lab.declare(outage=OutageSpec(failing=80, of=5, probe_ms=50))
    away = threading.Event()
    away.set()
    calls: list[str] = []

    def work(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        calls.append(event["id"])
        if away.is_set() and event["id"] != "a0":
            raise ConnectionError("the database is away")
        return "mail.Sent", event

    lab.service = Service("service")
    lab.service.handler("work", event_type="items.Made")(work)
    items = [f"a{number}" for number in range(20)]
    lab.put(*items)
    thread = threading.Thread(target=lab.run, daemon=True)
    thread.start()
    eventually(lambda: lab.control.looks and lab.loop.outage.probes >= 5, "some probes")
    assert recorder.committed == [("mail", b"a0")], "what went well before it"
    assert lab.committed() == 1
    away.clear()
    eventually(lambda: lab.committed() == 20, "the commit of all")
    lab.stop.request()
    thread.join(30)
    assert recorder.committed == [("mail", item.encode()) for item in items], "each once, in order, and no letters"
    assert calls[:5] == items[:5]
    assert "a5" not in calls[:10], "nothing is taken but the probe"
