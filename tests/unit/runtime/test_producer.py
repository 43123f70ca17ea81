"""The producer of programs: what it checks before it sends, and how it tells what became of an event."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from lockgate import Delivery, DeliveryError, EventError, Producer, Service, UsageError
from lockgate.contracts.derive import derive, message_limit
from lockgate.records import record_size
from lockgate.runtime.clients import OnError
from lockgate.runtime.encoding import SubjectSource
from lockgate.testing import Kit, MemoryRegistry
from tests.projects import PROJECT, Files, changed, write_project

PEA = ("garden.Planted", {"bed": "b-1", "plant": "PEA", "price": {"cents": 5}})


class Message:
    def __init__(self, topic: str, offset: int) -> None:
        self._topic, self._offset = topic, offset

    def headers(self) -> None:
        """Give none, as the client in its delivery reports."""

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset


class Client:
    """A client whose brokers answer when they are told to, and whose queue has room for some records only."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.answering = True
        self.error: KafkaError | None = None
        self.unprepared: KafkaError | None = None
        self.waiting: list[tuple[str, Callable[..., None]]] = []
        self.taken: list[tuple[bytes | None, bytes | None]] = []
        self.pollers: set[str] = set()
        self.transactional_id: str | None = None
        self.steps: list[str] = []
        self.verdicts: list[KafkaError] = []
        self._lock = threading.Lock()

    def produce(self, topic: str, value: Any, key: Any, *, on_delivery: Any, **_: Any) -> None:
        with self._lock:
            if len(self.waiting) >= self.room:
                raise BufferError
            self.waiting.append((topic, on_delivery))
            self.taken.append((key, value))

    def poll(self, timeout: float) -> int:
        self.pollers.add(threading.current_thread().name)
        if timeout and not self.answering:
            threading.Event().wait(0.005)
        return self._answer() if self.answering else 0

    def flush(self, timeout: float) -> int:
        self.poll(timeout)
        return len(self.waiting)

    def init_transactions(self, _: float) -> None:
        self.steps.append("init")
        if self.unprepared is not None:
            raise KafkaException(self.unprepared)

    def begin_transaction(self) -> None:
        self.steps.append("begin")

    def commit_transaction(self, _: float) -> None:
        self.steps.append("commit")
        if self.verdicts:
            raise KafkaException(self.verdicts.pop(0))

    def abort_transaction(self, _: float) -> None:
        self.steps.append("abort")
        self._answer(KafkaError(KafkaError._PURGE_QUEUE))

    def purge(self) -> None:
        self._answer(KafkaError(KafkaError._PURGE_QUEUE))

    def _answer(self, error: KafkaError | None = None) -> int:
        with self._lock:
            answered, self.waiting = self.waiting, []
        error = error or self.error  # read after what it is the answer to: a test sets it before it sends
        for number, (topic, on_delivery) in enumerate(answered):
            on_delivery(error, Message(topic, number))
        return len(answered)


class Links:
    def __init__(self, client: Client, registry: SubjectSource) -> None:
        self.client = client
        self.registry = registry
        self.closed = 0
        self.connected = 0

    def connect(self, on_error: OnError, transactional_id: str | None) -> Any:
        self.connected += 1
        self.on_error = on_error
        self.client.transactional_id = transactional_id
        return self.client

    def close(self) -> None:
        self.closed += 1


class Bench:
    def __init__(self, root: Path, files: Files = PROJECT) -> None:
        kit = Kit(write_project(root, files))
        self.client = Client()
        self.links = Links(self.client, MemoryRegistry.of(kit.contracts))
        self.producer = Producer("gardener", root=root, links=self.links)
        self.limit = message_limit(kit.contracts.domain_of("garden.Planted"))
        topics = {topic.name: topic for topic in derive(kit.contracts).topics}
        assert topics["garden"].config["max.message.bytes"] == str(self.limit)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def watered(bed: str) -> tuple[str, dict[str, Any]]:
    return "garden.Watered", {"bed": bed}


def test_a_future_tells_where_an_event_lies_though_nobody_polls(bench: Bench) -> None:
    future = bench.producer.submit(PEA, event_id="e-1")
    delivery = future.result(5)
    assert (delivery.event_type, delivery.event_id, delivery.error) == ("garden.Planted", "e-1", None)
    assert str(delivery.place) == "garden-0@0"
    bench.producer.close()


def test_a_future_raises_what_the_brokers_say_and_flush_does_not_say_it_again(bench: Bench) -> None:
    bench.client.error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(DeliveryError, match=r"garden\.Planted \S+ to garden: .*authorization failed") as caught:
        bench.producer.submit(PEA).result(5)
    assert caught.value.next_step is not None
    bench.producer.flush()
    bench.producer.close()


def test_a_future_cannot_be_cancelled_because_the_event_is_on_its_way(bench: Bench) -> None:
    bench.client.answering = False
    future = bench.producer.submit(PEA)
    assert not future.cancel()
    bench.client.answering = True
    assert future.result(5).place is not None
    bench.producer.close()


def test_a_coroutine_waits_for_the_brokers_and_lets_the_event_loop_go_on(bench: Bench) -> None:
    bench.client.room, bench.client.answering = 2, False
    turns = 0

    async def other() -> None:
        nonlocal turns
        while turns < 20:
            turns += 1
            await asyncio.sleep(0.001)
        bench.client.answering = True

    async def program() -> list[Delivery]:
        first, *_ = await asyncio.gather(
            asyncio.gather(*(bench.producer.asend(watered(f"b-{n}")) for n in range(6))), other()
        )
        return first

    deliveries = asyncio.run(asyncio.wait_for(program(), 10))
    assert len({delivery.event_id for delivery in deliveries}) == 6
    assert turns == 20
    bench.producer.close()


def test_a_coroutine_raises_what_the_brokers_say(bench: Bench) -> None:
    bench.client.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    with pytest.raises(DeliveryError, match="timed out"):
        asyncio.run(bench.producer.asend(PEA))
    bench.producer.close()


def test_a_full_queue_is_waited_for_in_order(bench: Bench) -> None:
    bench.client.room = 3
    for number in range(20):
        bench.producer.send(watered(f"b-{number}"))
    bench.producer.close()
    assert [key for key, _ in bench.client.taken] == [f"b-{number}".encode() for number in range(20)]


def test_many_threads_may_wait_for_their_futures_at_once(bench: Bench) -> None:
    bench.client.room = 5
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: bench.producer.submit(watered(f"b-{n}")).result(10), range(200)))
    assert len({delivery.event_id for delivery in found}) == 200
    bench.producer.close()


def test_close_gives_up_what_has_no_answer_in_time_and_says_so(bench: Bench) -> None:
    bench.client.answering = False
    waiting = bench.producer.submit(watered("b-0"))
    bench.producer.send(watered("b-1"))
    with pytest.raises(DeliveryError, match="1 event was not taken"):
        bench.producer.close(timeout=0.05)
    with pytest.raises(DeliveryError):
        waiting.result(0)
    assert bench.links.closed == 1
    bench.producer.close()
    assert bench.links.closed == 1


def test_flush_tells_which_events_were_not_taken(bench: Bench) -> None:
    bench.client.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    ident = bench.producer.send(PEA)
    dead = bench.producer.send_tombstone("garden", "b-1")
    with pytest.raises(DeliveryError) as caught:
        bench.producer.flush()
    assert "2 events were not taken" in caught.value.message
    assert f"garden.Planted {ident} to garden" in caught.value.message
    assert f"tombstone {dead} to garden" in caught.value.message
    bench.producer.flush()
    bench.producer.close()


def test_an_event_without_an_answer_is_told_with_the_login_that_was_refused(bench: Bench) -> None:
    bench.links.on_error(KafkaError(KafkaError._AUTHENTICATION, "invalid credentials"))
    bench.links.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    bench.client.error = KafkaError(KafkaError._MSG_TIMED_OUT)
    with pytest.raises(DeliveryError, match="refused to authenticate gardener: invalid credentials") as caught:
        bench.producer.submit(PEA).result(5)
    assert "LOCKGATE_PASSWORD" in (caught.value.next_step or "")
    bench.client.error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    with pytest.raises(DeliveryError, match="too large"):
        bench.producer.submit(PEA).result(5)
    bench.producer.close()


def test_a_closed_producer_takes_nothing_more(bench: Bench) -> None:
    bench.producer.close()
    with pytest.raises(UsageError, match="closed"):
        bench.producer.send(PEA)
    with pytest.raises(UsageError, match="closed"):
        asyncio.run(bench.producer.asend(PEA))


def test_close_leaves_no_thread_behind(bench: Bench) -> None:
    bench.producer.submit(PEA).result(5)
    bench.producer.close()
    assert "poll gardener" not in {thread.name for thread in threading.enumerate()}


def test_an_event_over_the_limit_of_its_topic_is_refused_before_anything_is_sent(bench: Bench) -> None:
    with pytest.raises(EventError, match=f"at most {bench.limit:,} bytes, which garden takes, got 1,2"):
        bench.producer.send(watered("b" * 600_000))  # as the key and in the value
    with pytest.raises(EventError, match="at most"):
        bench.producer.send(PEA, headers={"own": b"x" * bench.limit})
    with pytest.raises(EventError, match="at most"):
        bench.producer.submit(PEA, event_id="e" * bench.limit)
    with pytest.raises(EventError, match="at most"):
        bench.producer.send_tombstone("garden", "k" * bench.limit)
    assert bench.client.taken == []
    bench.producer.close()


def test_an_event_as_large_as_the_topic_takes_is_sent(bench: Bench) -> None:
    def size_with(filler: int) -> int | None:
        try:
            bench.producer.send(PEA, headers={"own": b"x" * filler}, event_id="e")
        except EventError:
            return None
        return filler

    low, high = 0, bench.limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_with(middle) is not None else (low, middle)
    key, value = bench.client.taken[-1]
    assert bench.limit - 600 < low + len(key or b"") + len(value or b"") <= bench.limit
    bench.producer.close()


@pytest.mark.parametrize(
    ("key", "value", "headers", "size"),
    [
        (b"k", b"v", (), 61 + 1 + 3 + 2 + 2 + 1),
        (None, None, (), 61 + 1 + 3 + 1 + 1 + 1),
        (b"k", b"v" * 64, (("h", b""),), 61 + 2 + 3 + 2 + 2 + 64 + 1 + 2 + 1),
    ],
)
def test_a_record_takes_as_many_bytes_as_the_message_format_says(
    key: bytes | None, value: bytes | None, headers: Any, size: int
) -> None:
    assert record_size(key, value, headers) == size


def test_a_program_under_test_writes_what_the_kit_reads(tmp_path: Path) -> None:
    kit = Kit(write_project(tmp_path))
    service = Service("garden-service")
    seen: list[str] = []

    @service.handler("garden-service", event_type="garden.Planted")
    def plant(event: dict[str, Any]) -> None:
        seen.append(event["bed"])

    with kit.producer("gardener") as producer:
        future = producer.submit(PEA)
        producer.send_tombstone("garden", "b-1")
    outcome = kit.run("garden-service", service=service)
    assert (seen, outcome.skipped) == (["b-1"], 1)
    assert str(future.result().place).startswith("garden-")


@pytest.fixture
def atomic(tmp_path: Path) -> Bench:
    name = "services/garden/service.yaml"
    return Bench(tmp_path, {**PROJECT, **changed(name, "garden.Watered]}", "garden.Watered], exactly_once: true}")})


def test_a_transaction_commits_what_was_sent_in_its_block_once_the_brokers_have_it(atomic: Bench) -> None:
    assert (atomic.client.transactional_id or "").startswith("gardener~")
    for _ in range(2):
        with atomic.producer.transaction():
            atomic.producer.send(PEA)
            assert "commit" not in atomic.client.steps[-1:]
    assert atomic.client.steps == ["init", "begin", "commit", "begin", "commit"]
    atomic.producer.close()


def test_a_transaction_that_cannot_begin_is_told_with_the_login_that_was_refused(atomic: Bench) -> None:
    atomic.links.on_error(KafkaError(KafkaError._AUTHENTICATION, "invalid credentials"))
    atomic.client.unprepared = KafkaError(KafkaError._TIMED_OUT)
    with pytest.raises(DeliveryError, match="take a transactional id: the brokers refused to authenticate gardener"):
        atomic.producer.transaction().__enter__()
    atomic.producer.close()


def test_a_block_that_raises_aborts_and_what_it_sent_is_no_failure_of_the_next(atomic: Bench) -> None:
    atomic.client.answering = False

    def program() -> None:
        with atomic.producer.transaction():
            atomic.producer.send(PEA)
            raise LookupError("the program's")

    with pytest.raises(LookupError):
        program()
    assert atomic.client.steps == ["init", "begin", "abort"]
    atomic.client.answering = True
    with atomic.producer.transaction():
        atomic.producer.send(PEA)
    atomic.producer.close()


@pytest.mark.parametrize("way", ["send", "callback", "submit"])
def test_an_event_that_the_brokers_do_not_take_aborts_the_transaction(atomic: Bench, way: str) -> None:
    atomic.client.error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)

    def program() -> None:
        with atomic.producer.transaction():
            if way == "submit":
                atomic.producer.submit(PEA)
            else:
                atomic.producer.send(PEA, on_delivery=(lambda _: None) if way == "callback" else None)

    with pytest.raises(DeliveryError, match="too large"):
        program()
    assert atomic.client.steps == ["init", "begin", "abort"]
    atomic.client.error = None
    with atomic.producer.transaction():
        atomic.producer.send(PEA)
    assert atomic.client.steps[3:] == ["init", "begin", "commit"]  # by a new client
    assert atomic.links.connected == 2
    atomic.producer.close()


def test_a_commit_is_asked_for_again_or_aborted_as_its_error_says(atomic: Bench) -> None:
    atomic.client.verdicts = [KafkaError(KafkaError._TIMED_OUT, "slow", retriable=True)]
    with atomic.producer.transaction():
        atomic.producer.send(PEA)
    assert atomic.client.steps == ["init", "begin", "commit", "commit"]
    atomic.client.verdicts = [KafkaError(KafkaError.TRANSACTION_COORDINATOR_FENCED, "lost", txn_requires_abort=True)]
    with pytest.raises(DeliveryError, match="which was aborted"), atomic.producer.transaction():
        atomic.producer.send(PEA)
    assert atomic.client.steps[-2:] == ["commit", "abort"]
    atomic.producer.close()


def test_transactions_are_where_the_contract_says_so_and_one_at_a_time(atomic: Bench, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gardener writes in transactions"):
        atomic.producer.send(PEA)
    with atomic.producer.transaction(), pytest.raises(UsageError, match="open already"), atomic.producer.transaction():
        pass
    atomic.producer.close()
    plain = Bench(tmp_path / "plain")
    with pytest.raises(UsageError, match="without transactions"), plain.producer.transaction():
        pass
    plain.producer.close()
