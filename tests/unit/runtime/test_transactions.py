"""Transactions whose client does not come back from a call: what they end as, and how often that is borne."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition
from structlog.testing import capture_logs

from lockgate.errors import ClusterError
from lockgate.runtime import transactions as module
from lockgate.runtime.channel import Channel
from lockgate.runtime.patience import Patience
from lockgate.runtime.transactions import Ending, Transactions

POSITIONS = [TopicPartition("items", 0, 7)]


class Client:
    """Stand in for a transactional producer; it does not come back from a call that `hangs` names."""

    def __init__(self, hangs: str, back: threading.Event) -> None:
        self._hangs = hangs
        self._back = back
        self.calls: list[str] = []

    def __len__(self) -> int:
        return 0

    def poll(self, timeout: float) -> None: ...

    def begin_transaction(self) -> None:
        self.calls.append("begin")

    def init_transactions(self, _: float) -> None:
        self._call("init")

    def send_offsets_to_transaction(self, *_: object) -> None:
        self._call("offsets")

    def commit_transaction(self, _: float) -> None:
        self._call("commit")

    def abort_transaction(self, _: float) -> None:
        self._call("abort")

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self._hangs:
            self._back.wait()


class Clients:
    """Make clients, each of which hangs in a call of its own, or in none."""

    def __init__(self, *hangs: str) -> None:
        self._hangs = iter(hangs)
        self.back = threading.Event()
        self.made: list[Client] = []
        self.patience = Patience()
        connect: Any = self._connect
        self.transactions = Transactions(Channel(connect), "work", self.patience, timeout=0.05)

    def run(self) -> Ending:
        return self.transactions.run([], POSITIONS, None)[0]

    def _connect(self) -> Client:
        self.made.append(Client(next(self._hangs, ""), self.back))
        return self.made[-1]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OVERDUE", 0.05)


@pytest.fixture
def hanging(request: pytest.FixtureRequest) -> Iterator[Clients]:
    clients = Clients(*request.param)
    yield clients
    clients.back.set()


def clients(*hangs: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("hanging", [hangs], indirect=True)


@clients("offsets")
def test_where_the_offsets_are_not_taken_nothing_counts_and_a_new_client_goes_on(hanging: Clients) -> None:
    with capture_logs() as lines:
        ending, error = hanging.transactions.run([], POSITIONS, None)
    assert ending is Ending.ABORTED
    assert error is not None
    assert (error.code(), error.str()) == (
        KafkaError._TIMED_OUT,
        "send_offsets_to_transaction has not come back for 0.1 s",
    )
    assert [line["event"] for line in lines] == ["A Kafka client is given up"]
    assert hanging.run() is Ending.COMMITTED
    first, second = hanging.made
    assert first.calls == ["init", "begin", "offsets"], "the client that hangs is not asked anything any more"
    assert second.calls == ["init", "begin", "offsets", "commit"]


@clients("commit")
def test_where_a_commit_is_not_answered_nobody_knows_how_it_ended(hanging: Clients) -> None:
    assert hanging.run() is Ending.UNKNOWN
    assert hanging.made[0].calls == ["init", "begin", "offsets", "commit"]
    assert hanging.run() is Ending.COMMITTED


@clients("init", "init")
def test_a_client_that_hangs_before_its_first_transaction_is_given_up_too(hanging: Clients) -> None:
    assert hanging.transactions.prepare() is not None
    assert hanging.run() is Ending.ABORTED
    assert hanging.run() is Ending.COMMITTED
    assert [client.calls for client in hanging.made[:2]] == [["init"], ["init"]]


@clients("offsets")
def test_a_late_answer_of_a_client_that_was_given_up_changes_nothing(hanging: Clients) -> None:
    assert hanging.run() is Ending.ABORTED
    hanging.back.set()
    assert hanging.run() is Ending.COMMITTED
    assert hanging.made[0].calls == ["init", "begin", "offsets"]


@clients("offsets", "commit", "offsets")
def test_three_clients_given_up_in_a_row_are_the_end_of_the_process(hanging: Clients) -> None:
    for _ in range(2):
        hanging.run()
        hanging.patience.check()
    hanging.run()
    with pytest.raises(ClusterError, match=r"work has given up 3 Kafka clients in a row") as caught:
        hanging.patience.check()
    assert "__consumer_offsets" in (caught.value.next_step or "")
    made = len(hanging.made)
    assert hanging.run() is Ending.ABORTED, "what is settled on the way out"
    assert len(hanging.made) == made
    assert hanging.made[-1].calls == [], "nothing more is asked of any client"


@clients("offsets", "offsets", "", "offsets", "offsets")
def test_a_transaction_that_goes_through_begins_the_count_anew(hanging: Clients) -> None:
    endings = [hanging.run() for _ in range(3)]
    hanging.transactions._renew()  # as after an error of another kind
    endings += [hanging.run() for _ in range(3)]
    assert endings == [Ending.ABORTED, Ending.ABORTED, Ending.COMMITTED] * 2
    hanging.patience.check()
