"""Clients of brokers in memory: every call is a moment at which something may happen to the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from lockgate.control import ControlState
from lockgate.records import Place
from tests.messages import Placed
from tests.model.brokers import Brokers, Entry

NOTHING = -1001
"""What the client says where nothing was committed."""


class Crash(BaseException):
    """The end of a process, in the midst of a call."""


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


class Client:
    """What both clients share: a call is a moment at which something may happen, and none when the process is dead."""

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
        self._asked: set[Place] = set()
        """Partitions whose committed offset was asked for while a transaction that moves it was open."""
        self._handlers: tuple[Any, Any, Any] = (None, None, None)
        self._subscribed = False
        self.reader: ControlReader | None = None
        """Who has heard whether records are to be taken at all."""
        self.astray: set[tuple[Place, int]] = set()
        """Records that were given although none were to be taken, and that were not given back."""

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
            # as librdkafka 2.16 does: what is asked for again behind a rebalance is taken for "nothing was committed"
            self.assigned = {place: 0 if place in self._asked else None for place in places}
            self._asked.clear()
            self._ends.clear()
            self._handlers[0](self, self._entries(places))

    def _drop(self, which: int) -> None:
        if self.assigned:
            self._handlers[which](self, self._entries(list(self.assigned)))
            self.assigned = {}
            self.astray.clear()

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
                    self._asked.add(place)
                    continue
                self._asked.discard(place)
                position = max(0, self.brokers.committed.get(place, (0, ""))[0])
            log, stable = self.brokers.logs.get(place, []), self.brokers.stable(place)
            while position < stable and log[position].state != "committed":
                position += 1
            self.assigned[place] = position
            if position < stable:
                self.assigned[place] = position + 1
                if self.reader is not None and self.reader.paused:
                    self.astray.add((place, position))
                return Message(place, position, log[position])
            if self._ends.get(place) != position:
                self._ends[place] = position
                return Message(place, position, None)
        return None

    def seek(self, entry: TopicPartition) -> None:
        place = (entry.topic, entry.partition)
        assert place in self.assigned, "the client refuses it"
        self.assigned[place] = entry.offset
        self.astray = {(there, offset) for there, offset in self.astray if there != place or offset < entry.offset}
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
        self._moment("close")
        if self._subscribed:
            self._drop(1 if self in self.brokers.members else 2)
            self.brokers.remove(self)


class ControlReader(Client):
    """The client that reads what operators ask of a workload."""

    def __init__(self, brokers: Brokers, moment: Callable[[str], str | None]) -> None:
        super().__init__(brokers, moment)
        self._position = 0
        self._at_end = False
        self.paused = False
        """What was heard last."""

    def assign(self, entries: Sequence[TopicPartition]) -> None:
        pass

    def poll(self, timeout: float) -> Message | None:
        place = self.brokers.control, 0
        log = self.brokers.logs.get(place, [])
        if self._position < len(log):
            self._position += 1
            self._at_end = False
            said = ControlState.decode(log[self._position - 1].value)
            self.paused = said is not None and said.paused
            return Message(place, self._position - 1, log[self._position - 1])
        if self._at_end:
            return None
        self._at_end = True
        return Message(place, self._position, None)

    def close(self) -> None:
        pass
