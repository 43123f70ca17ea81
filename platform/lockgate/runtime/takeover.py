"""Taking over a partition number: what its retry partitions hold is known before a record of its domain topic is taken.

docs/decisions/0022-order-by-key.md tells why.
"""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, TopicPartition

from lockgate.notes import Finished
from lockgate.records import Envelope, Place
from lockgate.runtime.keys import Ident, Keys
from lockgate.runtime.lanes import Job

__all__ = ["Number"]

_MOST_COPIES = 100_000
"""Copies in retry topics, of the keys of one partition number, at which nothing more is taken from the domain topic."""
_ANSWER = 10.0


class Number:
    """Hold what belongs to one partition number: its keys, and how far its retry partitions were looked through.

    `expected` is how many retry partitions it has; `holding` says whether dead letters hold their keys.
    """

    def __init__(self, expected: int, *, holding: bool = False) -> None:
        self.keys: Keys[Job] = Keys(_MOST_COPIES)
        self.main: Place | None = None
        self.last = -1
        """The record of the parked partition that was read last."""
        self.at_end = False
        """Whether nothing is behind that one."""
        self.full = False
        """Whether it was told that nothing more is taken from the domain topic."""
        self.moving = -1
        """Up to where what was put off is being sent to the parked partition's end; -1: nothing is."""
        self.releases: dict[tuple[bytes, Ident], int] = {}
        """Releases whose holds' markers were not read yet, and where they lie."""
        self._holding = holding
        self.ready = False
        """Whether all copies are known, so that records are handled."""
        self._expected = expected
        self._retries: set[Place] = set()
        self._open: set[Place] = set()  # those that were not read to their end yet
        self._starts: dict[Place, int] = {}
        self._finished: dict[Place, Finished] | None = None  # what the committed notes say; None: nobody was asked yet

    @property
    def missing(self) -> int:
        """Return how many of its retry partitions are not this process's (yet)."""
        return self._expected - len(self._retries)

    def add(self, place: Place) -> None:
        """Note a retry partition that is this process's now."""
        self._retries.add(place)
        self._open.add(place)

    def ask(self, consumer: Consumer) -> bool:
        """Ask, once, what the committed notes say; tell whether there is an answer. Raise KafkaException for none."""
        if self._finished is None:
            answers = consumer.committed([TopicPartition(*place) for place in self._retries], _ANSWER)
            if any(answer.error is not None for answer in answers):
                return False
            self._finished = {
                (answer.topic, answer.partition): Finished(answer.offset, answer.metadata or "")
                for answer in answers
                if answer.offset >= 0
            }
        return True

    def is_finished(self, place: Place, offset: int) -> bool:
        """Tell whether a copy was finished when the last notes were committed."""
        known = self._finished.get(place) if self._finished is not None else None
        return known is not None and offset in known

    def look_at(self, place: Place, offset: int, key: bytes | None, envelope: Envelope | None, *, tiered: bool) -> None:
        """Note a copy that is there; it is read again."""
        self._starts.setdefault(place, offset)
        if not key or envelope is None or envelope.releases or self.is_finished(place, offset):
            return
        if envelope.held is None:
            self.keys.found(key, envelope.source.offset, envelope.replay, tiered=tiered)
        elif self._holding:
            self.keys.found_held(key, envelope.source.offset, envelope.replay)

    def is_looking_at(self, place: Place) -> bool:
        """Tell whether a place is a retry partition that is looked through."""
        return not self.ready and place in self._retries

    def ended(self, place: Place) -> bool:
        """Note that a retry partition was read to its end; tell whether anything was there."""
        self._open.discard(place)
        return place in self._starts

    def first(self, place: Place) -> int | None:
        """Return the first offset that was found in a retry partition, or None for none."""
        return self._starts.get(place)

    def go_live(self) -> Mapping[Place, int]:
        """Be ready, if all retry partitions are held and were read; return the offsets to begin with, then."""
        if self.ready or self._open or self.main is None or self.missing:
            return {}
        self.ready = True
        return self._starts
