"""The client that writes to brokers in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from lockgate.records import Place
from lockgate.runtime.calls import Overdue
from tests.model.brokers import Brokers, Entry, Transaction
from tests.model.clients import Client, Consumer, Message


class Producer(Client):
    """A client that writes; in transactions, where it has begun one."""

    def __init__(self, brokers: Brokers, moment: Callable[[str], str | None], owner: Callable[[], Any]) -> None:
        super().__init__(brokers, moment)
        self._owner = owner
        self._sent: list[tuple[Place, Entry, Any]] = []
        self._transaction: Transaction | None = None
        self._broken = False

    def __len__(self) -> int:
        return len(self._sent)

    def produce(
        self, topic: str, value: Any, key: Any, partition: int, *, on_delivery: Any, headers: Sequence[Any]
    ) -> None:
        entry = Entry(key, value, list(headers), writer=self._owner())
        self._sent.append(((topic, max(0, partition)), entry, on_delivery))

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        sent, self._sent = self._sent, []
        for place, entry, done in sent:
            fate = self._moment("delivery")
            if fate is not None:
                self.brokers.unsure.add(entry.writer)
            if fate == "fails":
                done(KafkaError(KafkaError._MSG_TIMED_OUT), None)
                self._broken = True
                continue
            if self._transaction is not None:
                entry.state = "open"
                self._transaction.entries.append((place, entry))
            offset = self.brokers.append(place, entry)
            if fate == "is not heard of":  # it was written, and the client does not know
                entry.writer = None
                done(KafkaError(KafkaError._MSG_TIMED_OUT), None)
                self._broken = True
            else:
                done(None, Message(place, offset, entry))
        return 0

    def init_transactions(self, timeout: float) -> None:
        self._moment("init")

    def begin_transaction(self) -> None:
        self._moment("begin")
        assert self._transaction is None
        self._transaction = Transaction()
        self._broken = False
        self.brokers.open.append(self._transaction)

    def send_offsets_to_transaction(
        self, positions: Sequence[TopicPartition], metadata: tuple[Consumer, int], timeout: float
    ) -> None:
        assert self._transaction is not None
        if self._moment("offsets") == "hangs":
            raise Overdue  # as if the call had not come back
        member, generation = metadata
        if member not in self.brokers.members or generation != self.brokers.generation:
            raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True))
        self._transaction.offsets |= {(p.topic, p.partition): (p.offset, p.metadata or "") for p in positions}

    def commit_transaction(self, timeout: float) -> None:
        assert self._transaction is not None
        fate = self._moment("transaction")
        if self._broken:
            raise KafkaException(KafkaError(KafkaError._PURGE_QUEUE, txn_requires_abort=True))
        if fate == "fails":
            raise KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE, txn_requires_abort=True))
        transaction, self._transaction = self._transaction, None
        if fate == "is not heard of":
            self.brokers.decide(transaction, "committed")
            raise KafkaException(KafkaError(KafkaError._FATAL, fatal=True))
        self.brokers.decide(transaction, "committed")
        self._moment("transaction committed")

    def abort_transaction(self, timeout: float) -> None:
        self._moment("abort")
        self.replaced()

    def replaced(self) -> None:
        """End what is open: another client has taken the transactional id, or the brokers wait no longer."""
        if self._transaction is not None:
            transaction, self._transaction = self._transaction, None
            self.brokers.decide(transaction, "aborted")
