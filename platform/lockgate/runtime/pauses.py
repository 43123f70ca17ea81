"""Why partitions stand still, each for one reason or several; one goes on when no reason is left."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Consumer, TopicPartition

from lockgate.records import Place
from lockgate.runtime.waiting import Waiting

__all__ = ["Pauses"]


class Pauses:
    """Pause and resume a consumer's partitions: those that wait, those with enough in hand, all while none is taken.

    A pause drops what the client has fetched ahead; what is resumed goes on behind the last message that was delivered.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._waiting = Waiting()
        self._throttled: set[Place] = set()
        self._standing: set[Place] = set()
        self.all = False
        """Whether every partition stands still, those that come, too."""

    def __contains__(self, place: object) -> bool:
        return place in self._waiting or place in self._throttled or place in self._standing

    @property
    def waiting(self) -> int:
        """Return how many partitions wait for a time."""
        return len(self._waiting)

    def is_waiting(self, place: Place) -> bool:
        """Tell whether a partition waits for a time."""
        return place in self._waiting

    def timeout(self, now: float, at_most: float) -> float:
        """Return for how many seconds a poll may block: until the nearest time that is waited for, `at_most` else."""
        return self._waiting.timeout(now, at_most)

    def wait(self, place: Place, until: float) -> None:
        """Let a partition wait until a time (milliseconds since the epoch)."""
        self._waiting.wait(place, until)
        self._consumer.pause([TopicPartition(*place)])

    def end_waiting(self, now: float) -> None:
        """Let the partitions go on whose time has come."""
        self._resume(self._waiting.ready(now))

    def throttle(self, places: Iterable[Place]) -> None:
        """Let partitions stand still until they are released."""
        fresh = [place for place in places if place not in self._throttled]
        self._throttled.update(fresh)
        if fresh:
            self._consumer.pause([TopicPartition(*place) for place in fresh])

    def release(self, places: Iterable[Place]) -> None:
        """Let partitions go on that were throttled."""
        throttled = [place for place in places if place in self._throttled]
        self._throttled.difference_update(throttled)
        self._resume(throttled)

    def stand(self) -> None:
        """Let all partitions stand still that are assigned now."""
        self.all = True
        new = [entry for entry in self._consumer.assignment() if (entry.topic, entry.partition) not in self._standing]
        if new:
            self._consumer.pause(new)
            self._standing.update((entry.topic, entry.partition) for entry in new)

    def go_on(self) -> None:
        """Let them go on."""
        self.all = False
        standing, self._standing = self._standing, set()
        self._resume(standing)

    def forget(self, place: Place, *, paused: bool) -> None:
        """Drop a partition that goes; `paused` tells whether it stands still for yet another reason.

        The client keeps it paused beyond the assignment: it would stand still when it comes back.
        """
        if paused or place in self:
            self._waiting.forget(place)
            self._throttled.discard(place)
            self._standing.discard(place)
            self._consumer.resume([TopicPartition(*place)])

    def _resume(self, places: Iterable[Place]) -> None:
        free = [TopicPartition(*place) for place in places if place not in self]
        if free:
            self._consumer.resume(free)
