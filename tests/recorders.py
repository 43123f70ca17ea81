"""Producers in transactions, watched, and made to fail as real ones do."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from tests.labs import Lab

__all__ = ["ABORTABLE", "FATAL", "RETRIABLE", "Recorder"]

RETRIABLE = KafkaError(KafkaError._TIMED_OUT, "later", retriable=True)
ABORTABLE = KafkaError(KafkaError.ILLEGAL_GENERATION, "the group has moved on", txn_requires_abort=True)
FATAL = KafkaError(KafkaError._FENCED, "another has the id", fatal=True)


class _Acknowledged:
    """Stand in for a message that the brokers have, or have not."""

    def timestamp(self) -> tuple[int, int]:
        return 0, 0


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
        self.holding = False
        """Whether outputs reach the brokers with the commit: mock brokers show those of aborted transactions, too."""

    def wrap(self, producer: Producer) -> Any:
        self.made += 1
        return _Recording(producer, self)


class _Recording:
    def __init__(self, producer: Producer, recorder: Recorder) -> None:
        self._producer = producer
        self._recorder = recorder
        self._refused: list[tuple[Any, KafkaError | None]] = []
        self._broken = self._spoilt = False
        self._held: list[tuple[Any, ...]] = []

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
            if self._recorder.holding:
                self._held.append((topic, value, key, partition, headers))
                self._refused.append((on_delivery, None))
                return
            self._producer.produce(topic, value, key, partition, on_delivery=on_delivery, headers=headers)

    def flush(self, timeout: float) -> int:
        for done, error in self._refused:
            done(error, _Acknowledged())
        self._refused = []
        return self._producer.flush(timeout)

    def begin_transaction(self) -> None:
        self._recorder.sent = []
        self._recorder.positions = []
        self._broken = False
        self._held = []
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
        if name == "commit_transaction":
            held, self._held = self._held, []
            for topic, value, key, partition, headers in held:
                self._producer.produce(topic, value, key, partition, on_delivery=lambda *_: None, headers=headers)
            self._producer.flush()
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
