"""The client waits for an absent group coordinator without a bound; whoever uses it does not."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lockgate.connection import Settings
from lockgate.errors import ClusterError
from lockgate.runtime import transactions as module
from lockgate.runtime.channel import Channel
from lockgate.runtime.clients import connect_consumer, connect_producer
from lockgate.runtime.patience import Patience
from lockgate.runtime.transactions import Ending, Transactions
from tests.mocks import MockBrokers

TRANSACTIONS, GROUP = 1, 2
"""Which broker coordinates what."""


@pytest.fixture
def brokers() -> Iterator[MockBrokers]:
    with MockBrokers.running() as running:
        yield running


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OVERDUE", 0.5)


def quiet(*_: object) -> None: ...


class Workload:
    """What writes in transactions, and the consumer for which it does."""

    def __init__(self, brokers: MockBrokers) -> None:
        brokers.make("items")
        brokers.coordinate("transaction", "work~1", TRANSACTIONS)
        brokers.coordinate("group", "work", GROUP)
        settings = Settings(brokers.servers, kafka={"log_level": "0", "reconnect.backoff.max.ms": "200"})
        self.consumer: Consumer = connect_consumer(settings, "work", quiet)
        self.consumer.subscribe(["items"])
        self.clients: list[Any] = []
        self.patience = Patience()

        self.error: KafkaError | None = None
        self._settings = settings
        self.transactions = Transactions(Channel(self.connect), "work", self.patience, timeout=1.0)

    def connect(self) -> Any:
        self.clients.append(connect_producer(self._settings, "work", quiet, "work~1"))
        return self.clients[-1]

    def run(self) -> Ending:
        metadata = self.consumer.consumer_group_metadata()
        ending, self.error = self.transactions.run([], [TopicPartition("items", 0, 1)], metadata)
        return ending


def test_a_transaction_ends_although_the_client_hangs_and_the_next_goes_through_when_the_coordinator_is_back(
    brokers: MockBrokers,
) -> None:
    workload = Workload(brokers)
    assert workload.run() is Ending.COMMITTED, workload.error
    brokers.down(GROUP)
    began = time.monotonic()
    assert workload.run() is Ending.ABORTED
    assert time.monotonic() - began < 5
    assert len(workload.clients) == 2
    brokers.up(GROUP)
    assert workload.run() is Ending.COMMITTED, workload.error
    workload.patience.check()
    workload.consumer.close()


def test_a_group_coordinator_that_stays_away_ends_the_process_after_three_clients(brokers: MockBrokers) -> None:
    workload = Workload(brokers)
    assert workload.run() is Ending.COMMITTED, workload.error
    brokers.down(GROUP)
    assert [workload.run() for _ in range(4)] == [Ending.ABORTED] * 4
    assert len(workload.clients) == 4, "the last one was not asked for anything"
    with pytest.raises(ClusterError, match="given up 3 Kafka clients in a row"):
        workload.patience.check()
    workload.consumer.close()


def test_calls_that_are_said_to_keep_to_their_time_do(brokers: MockBrokers) -> None:
    """So a client is left alone only where it hangs in a call: any other one can be destroyed."""
    workload = Workload(brokers)
    assert workload.run() is Ending.COMMITTED, workload.error
    first, second = workload.clients.pop(), workload.connect()
    second.init_transactions(10)
    second.begin_transaction()
    positions = [TopicPartition("items", 0, 1)]
    second.send_offsets_to_transaction(positions, workload.consumer.consumer_group_metadata(), 10)
    brokers.down(TRANSACTIONS)
    third = workload.connect()
    for call in (second.commit_transaction, third.init_transactions):
        began = time.monotonic()
        with pytest.raises(KafkaException) as caught:
            call(0.5)
        assert caught.value.args[0].code() == KafkaError._TIMED_OUT
        assert time.monotonic() - began < 3, call.__name__
    workload.clients.clear()
    del workload.transactions, call, caught
    began = time.monotonic()
    del first, second, third
    assert time.monotonic() - began < 3, "the destruction of clients"
    workload.consumer.close()


def test_a_process_with_a_client_that_hangs_ends_at_once() -> None:
    program = """
    from lockgate.runtime import transactions as module
    from tests.integration.test_runtime_hanging import GROUP, Workload
    from tests.mocks import MockBrokers
    module._OVERDUE = 0.5
    brokers = MockBrokers(3)
    workload = Workload(brokers)
    print(workload.run().value)
    brokers.down(GROUP)
    print(workload.run().value, flush=True)
    workload.clients.clear()
    workload.consumer.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout.splitlines()[:1], done.returncode) == (["committed"], 0), done.stderr
    assert "aborted" in done.stdout
