"""The clients of a loop under test: real ones, with the waiting taken out and the end of the work noticed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from lockgate.errors import ClusterError
from lockgate.records import Place
from lockgate.runtime.signals import Stop
from lockgate.testing.clock import Clock

__all__ = ["Ends", "IdleStop", "Member", "Writer"]

_SLICE = 0.01
"""Seconds that one poll may block: so soon it is seen that the last record in hand has its outcome."""
_STUCK = 20.0
"""Seconds without an outcome after which a record in hand is believed to have none: the kit then says which."""
_PATIENCE = 60.0
"""Seconds that a run may take: a handler that never returns is told from one that is slow."""


class IdleStop(Stop):
    """A stop that is requested when nothing is left to do, and never ends the process."""

    def request(self) -> None:
        """Ask for an orderly end."""
        self.requested = True


class Ends:
    """Know how far each partition has been written, from the brokers' acknowledgements."""

    def __init__(self) -> None:
        self._ends: dict[Place, int] = {}

    def reached(self, place: Place, offset: int) -> bool:
        """Tell whether nothing that was acknowledged lies at or behind an offset."""
        return self._ends.get(place, 0) <= offset

    def wrote(self, place: Place, offset: int) -> None:
        """Note that the brokers have a record."""
        if offset >= self._ends.get(place, 0):
            self._ends[place] = offset + 1


class Member:
    """Stand for the one member of a group: the consumer is real, but its partitions are assigned by hand.

    So nobody waits for a group to form. The stop is requested once every partition is either read to its end, with all
    that was written meanwhile, or paused until later, and every record that was taken has its outcome: a loop may have
    records in hand that it handles beside polling. `outcomes` returns how many there have been.
    """

    def __init__(
        self,
        client: Consumer,
        starts: Mapping[Place, int],
        ends: Ends,
        stop: IdleStop,
        outcomes: Callable[[], int],
    ) -> None:
        self._client: Any = client
        self._starts = starts
        self._ends = ends
        self._stop = stop
        self._assigned: dict[Place, int | None] = {}  # where its end was seen, if it was
        self._paused: set[Place] = set()
        self._joining: Callable[[], None] | None = None
        self._leaving: Callable[[], None] | None = None
        self._deadline = time.monotonic() + _PATIENCE
        self._outcomes = outcomes
        self._before = outcomes()
        self._taken: dict[Place, set[int]] = {}
        self._quiet_since = (time.monotonic(), self._before)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[..., None] | None = None,
        on_revoke: Callable[..., None] | None = None,
        on_lost: Callable[..., None] | None = None,  # noqa: ARG002  # nothing is ever lost to another member
    ) -> None:
        """Take every partition of the topics with the next poll."""
        mine = [place for place in self._starts if place[0] in topics]

        def join() -> None:
            if on_assign is not None:
                on_assign(self, _entries(mine))
            if not self._assigned:  # as the client does where the callback has left it to it
                self.assign(_entries(mine))

        def leave() -> None:
            if on_revoke is not None:
                on_revoke(self, _entries(list(self._assigned)))

        self._joining, self._leaving = join, leave

    def assign(self, entries: Sequence[TopicPartition]) -> None:
        """Read partitions from the offsets given, or else from where the group has come to."""
        placed = []
        for entry in entries:
            place = (entry.topic, entry.partition)
            self._assigned[place] = None
            placed.append(TopicPartition(*place, entry.offset if entry.offset >= 0 else self._starts[place]))
        self._client.assign(placed)

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Any]:
        """Return messages; none, and request the stop, where nothing is left to do."""
        if self._idle():
            return []
        return [self._seen(message) for message in self._client.consume(num_messages, timeout)]

    def poll(self, timeout: float = -1) -> Any:
        """Return a message, or None."""
        if self._idle():
            return None
        message = self._client.poll(_SLICE if timeout < 0 else min(timeout, _SLICE))
        return None if message is None else self._seen(message)

    def seek(self, entry: TopicPartition) -> None:
        """Go elsewhere in a partition: it is not at its end any more."""
        place = (entry.topic, entry.partition)
        self._assigned[place] = None
        self._taken[place] = {offset for offset in self._taken.get(place, ()) if offset < entry.offset}
        self._client.seek(entry)

    def pause(self, entries: Sequence[TopicPartition]) -> None:
        """Let partitions wait."""
        self._paused |= {(entry.topic, entry.partition) for entry in entries}
        self._client.pause(list(entries))

    def resume(self, entries: Sequence[TopicPartition]) -> None:
        """Let partitions go on."""
        self._paused -= {(entry.topic, entry.partition) for entry in entries}
        self._client.resume(list(entries))

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool = True) -> list[TopicPartition] | None:
        """Commit at once, either way: the brokers are in this process."""
        answers: list[TopicPartition] = self._client.commit(offsets=list(offsets), asynchronous=False)
        return None if asynchronous else answers

    def close(self) -> None:
        """Give the partitions back; the client stays for the next run."""
        if self._assigned and self._leaving is not None:
            self._leaving()
        if self._paused:
            self.resume(_entries(list(self._paused)))
        self._client.unassign()
        self._assigned.clear()

    def _idle(self) -> bool:
        if self._joining is not None:
            joining, self._joining = self._joining, None
            joining()
        if time.monotonic() > self._deadline:
            left = [f"{topic}-{partition}" for topic, partition in self._assigned if not self._done((topic, partition))]
            raise ClusterError(f"after {_PATIENCE:g} s the run has not come to the end of {', '.join(left)}")
        if all(map(self._done, self._assigned)) and self._settled():
            self._stop.request()
        return self._stop.requested

    def _settled(self) -> bool:
        """Tell whether nothing that was taken is in hand any more, or whether nothing becomes of it."""
        outcomes = self._outcomes()
        if outcomes - self._before >= sum(map(len, self._taken.values())):
            return True
        if outcomes != self._quiet_since[1]:
            self._quiet_since = (time.monotonic(), outcomes)
        return time.monotonic() - self._quiet_since[0] > _STUCK

    def _done(self, place: Place) -> bool:
        end = self._assigned[place]
        return place in self._paused or (end is not None and self._ends.reached(place, end))

    def _seen(self, message: Any) -> Any:
        error, place = message.error(), (message.topic(), message.partition())
        if error is None:
            self._taken.setdefault(place, set()).add(message.offset())
        elif error.code() == KafkaError._PARTITION_EOF:
            self._assigned[place] = message.offset()
        return message


class Writer:
    """Stand for the producer of a workload: what the brokers acknowledge is noted, and stamped with the kit's time."""

    def __init__(self, client: Producer, ends: Ends, clock: Clock) -> None:
        self._client: Any = client
        self._ends = ends
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def __len__(self) -> int:
        return len(self._client)

    def produce(self, topic: str, *arguments: Any, on_delivery: Callable[..., None] | None = None, **more: Any) -> None:
        """Send a record."""

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is None:
                self._ends.wrote((message.topic(), message.partition()), message.offset())
            if on_delivery is not None:
                on_delivery(error, message)

        more.setdefault("timestamp", self._clock.ms)
        self._client.produce(topic, *arguments, on_delivery=delivered, **more)


def _entries(places: Sequence[Place]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]
