"""A group, its topics and its clients in memory: every step is the test's, so that it can choose their order.

It stands in for brokers where interleavings are explored, and proves nothing about real ones. What it does is what was
seen of Kafka: read_committed and the last stable offset, markers that take offsets, eager rebalances, commits that are
taken from any member of the generation, and transactions that are refused once the group has moved on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from lockgate.records import Envelope, Place
from tests.messages import Placed

NOTHING = -1001
"""What the client says where nothing was committed."""


class Crash(BaseException):
    """The end of a process, in the midst of a call."""


@attrs.define(eq=False)
class Entry:
    """One offset of a log: a record, or the marker of a transaction."""

    key: bytes | None = None
    value: bytes | None = None
    headers: list[Any] = attrs.field(factory=list)
    state: str = "committed"
    """`open`, `committed`, `aborted` or `marker`."""
    writer: Any = None
    """Who knows that it is there, and under which membership it was written."""
    envelope: Envelope | None = None


class Message(Placed):
    """What a client gives: a record, or the end of a partition."""

    def __init__(self, place: Place, offset: int, entry: Entry | None) -> None:
        super().__init__(place, offset)
        self._entry = entry

    def key(self) -> bytes | None:
        return None if self._entry is None else self._entry.key

    def value(self) -> bytes | None:
        return None if self._entry is None else self._entry.value

    def headers(self) -> list[Any]:
        return [] if self._entry is None else self._entry.headers

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def error(self) -> KafkaError | None:
        return KafkaError(KafkaError._PARTITION_EOF) if self._entry is None else None


@attrs.frozen
class Answer:
    """What a client answers about a partition."""

    topic: str
    partition: int
    offset: int = NOTHING
    metadata: str = ""
    error: KafkaError | None = None


@attrs.define(eq=False)
class Transaction:
    """What was written and not decided yet."""

    entries: list[tuple[Place, Entry]] = attrs.field(factory=list)
    offsets: dict[Place, tuple[int, str]] = attrs.field(factory=dict)


class Brokers:
    """Hold topics and one group."""

    def __init__(self, topics: Sequence[str], partitions: int) -> None:
        self.logs: dict[Place, list[Entry]] = {}
        self.subscribed = [(topic, number) for number in range(partitions) for topic in topics]
        self.partitions = partitions
        self.committed: dict[Place, tuple[int, str]] = {}
        self.generation = 0
        self.members: list[Consumer] = []
        self.waiting: set[Consumer] = set()
        """Members that have not joined the rebalance under way."""
        self.rebalancing = False
        self.open: list[Transaction] = []

    def append(self, place: Place, entry: Entry) -> int:
        log = self.logs.setdefault(place, [])
        entry.envelope = Envelope.read(entry.headers)
        log.append(entry)
        return len(log) - 1

    def stable(self, place: Place) -> int:
        """Return the last stable offset."""
        log = self.logs.get(place, [])
        return next((offset for offset, entry in enumerate(log) if entry.state == "open"), len(log))

    def end(self, place: Place) -> int:
        return len(self.logs.get(place, []))

    def visible(self, topic: str) -> list[tuple[Place, int, Entry]]:
        """Return what those see who read committed."""
        return [
            (place, offset, entry)
            for place, log in self.logs.items()
            if place[0] == topic
            for offset, entry in enumerate(log)
            if entry.state == "committed"
        ]

    def decide(self, transaction: Transaction, state: str) -> None:
        """Commit or abort."""
        for _, entry in transaction.entries:
            entry.state = state
        for place in {place for place, _ in transaction.entries}:
            self.logs[place].append(Entry(state="marker"))
        if state == "committed":
            self.committed |= transaction.offsets
        self.open.remove(transaction)

    def unsettled(self, place: Place) -> bool:
        """Tell whether an open transaction has an offset of a partition."""
        return any(place in transaction.offsets for transaction in self.open)

    # ---- the group

    def rebalance(self) -> None:
        self.rebalancing = True
        self.waiting = set(self.members)

    def join(self, member: Consumer) -> None:
        if member not in self.members:
            self.members.append(member)
            self.rebalance()

    def joined(self, member: Consumer) -> None:
        self.waiting.discard(member)
        if self.rebalancing and not self.waiting:
            self.rebalancing = False
            self.generation += 1
            for index, each in enumerate(self.members):
                mine = [p for p in self.subscribed if p[1] % len(self.members) == index]
                each.coming = (self.generation, mine)

    def remove(self, member: Consumer) -> None:
        """Take a member for dead, or let it go."""
        if member in self.members:
            self.members.remove(member)
            self.rebalance()
            if not self.members:
                self.rebalancing = False


class Client:
    """What both clients share: every call is a moment at which something may happen."""

    def __init__(self, brokers: Brokers, moment: Callable[[str], str | None]) -> None:
        self.brokers = brokers
        self._moment = moment


class Consumer(Client):
    """A member of the group."""

    def __init__(self, brokers: Brokers, moment: Callable[[str], str | None]) -> None:
        super().__init__(brokers, moment)
        self.coming: tuple[int, list[Place]] | None = None
        self.generation = -1
        self.assigned: dict[Place, int | None] = {}
        """Where each is read from next; None: that is not known yet."""
        self.paused: set[Place] = set()
        self._ends: dict[Place, int] = {}
        self._handlers: tuple[Any, Any, Any] = (None, None, None)
        self._subscribed = False

    def subscribe(self, topics: Sequence[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self._handlers = (on_assign, on_revoke, on_lost)
        self._subscribed = True

    def _entries(self, places: Sequence[Place]) -> list[TopicPartition]:
        return [TopicPartition(*place) for place in places]

    def _serve(self) -> None:
        """See to the group."""
        brokers = self.brokers
        if self not in brokers.members:
            self._drop(2)
            self.coming, self.generation = None, -1
            brokers.join(self)
        if brokers.rebalancing and self in brokers.waiting:
            self._drop(1)
            if self in brokers.members:  # what was done meanwhile may have taken long
                brokers.joined(self)
        if self.coming is not None and not brokers.rebalancing:
            self.generation, places = self.coming
            self.coming = None
            self.assigned = dict.fromkeys(places)
            self._ends.clear()
            self._handlers[0](self, self._entries(places))

    def _drop(self, which: int) -> None:
        if self.assigned:
            self._handlers[which](self, self._entries(list(self.assigned)))
            self.assigned = {}

    def consume(self, at_most: int, timeout: float) -> list[Message]:
        self._moment("poll")
        self._serve()
        found: list[Message] = []
        while len(found) < at_most and (message := self._next()) is not None:
            found.append(message)
        return found

    def poll(self, timeout: float) -> Message | None:
        self._moment("poll")
        self._serve()
        return self._next()

    def _next(self) -> Message | None:
        for place, position in self.assigned.items():
            if place in self.paused:
                continue
            if position is None:
                if self.brokers.unsettled(place):
                    continue
                position = max(0, self.brokers.committed.get(place, (0, ""))[0])
            log, stable = self.brokers.logs.get(place, []), self.brokers.stable(place)
            while position < stable and log[position].state != "committed":
                position += 1
            self.assigned[place] = position
            if position < stable:
                self.assigned[place] = position + 1
                return Message(place, position, log[position])
            if self._ends.get(place) != position:
                self._ends[place] = position
                return Message(place, position, None)
        return None

    def seek(self, entry: TopicPartition) -> None:
        place = (entry.topic, entry.partition)
        assert place in self.assigned, "the client refuses it"
        self.assigned[place] = entry.offset
        self._ends.pop(place, None)

    def pause(self, entries: Sequence[TopicPartition]) -> None:
        self.paused |= {(entry.topic, entry.partition) for entry in entries}

    def resume(self, entries: Sequence[TopicPartition]) -> None:
        self.paused -= {(entry.topic, entry.partition) for entry in entries}

    def assignment(self) -> list[TopicPartition]:
        return self._entries(list(self.assigned))

    def consumer_group_metadata(self) -> tuple[Consumer, int]:
        return self, self.generation

    def get_watermark_offsets(self, entry: TopicPartition, cached: bool) -> tuple[int, int]:
        return 0, self.brokers.end((entry.topic, entry.partition))

    def committed(self, entries: Sequence[TopicPartition], timeout: float) -> list[Answer]:
        self._moment("committed")
        found = []
        for entry in entries:
            place = (entry.topic, entry.partition)
            if self.brokers.unsettled(place):
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            offset, metadata = self.brokers.committed.get(place, (NOTHING, ""))
            found.append(Answer(*place, offset, metadata))
        return found

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool) -> list[Answer]:
        assert not asynchronous
        if self._moment("commit") == "fails":
            raise KafkaException(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE))
        if self not in self.brokers.members:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
        if self.generation < 0 and self.coming is None:
            raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION))
        # with the membership of now: that is what makes a late commit dangerous
        self.brokers.committed |= {(one.topic, one.partition): (one.offset, one.metadata or "") for one in offsets}
        self._moment("committed it")
        return [Answer(one.topic, one.partition, one.offset) for one in offsets]

    def close(self) -> None:
        if self._subscribed:
            self._drop(1 if self in self.brokers.members else 2)
            self.brokers.remove(self)


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
        assert self._transaction is None
        self._transaction = Transaction()
        self._broken = False
        self.brokers.open.append(self._transaction)

    def send_offsets_to_transaction(
        self, positions: Sequence[TopicPartition], metadata: tuple[Consumer, int], timeout: float
    ) -> None:
        assert self._transaction is not None
        self._moment("offsets")
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
        if self._transaction is not None:
            transaction, self._transaction = self._transaction, None
            self.brokers.decide(transaction, "aborted")

    def replaced(self) -> None:
        """End what is open: another client has taken the transactional id."""
        self.abort_transaction(0)


def by_source(entries: Sequence[tuple[Place, int, Entry]]) -> Mapping[tuple[int, int], list[Entry]]:
    """Return copies by the record of the domain topic that they are copies of."""
    found: dict[tuple[int, int], list[Entry]] = {}
    for _, _, entry in entries:
        if entry.envelope is not None:
            found.setdefault((entry.envelope.source.partition, entry.envelope.source.offset), []).append(entry)
    return found
