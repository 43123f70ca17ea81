"""The parked topic, read by the loop that keeps the order of keys: copies, what holds keys, and releases.

A copy whose turn is far is put off: only its offset is kept, and it is read again when its turn comes. So keys that
wait for long, or are held, cost others nothing. docs/decisions/0031-holding-keys.md tells why so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lockgate.records import Envelope, key_fingerprint
from lockgate.runtime.channel import Ticket
from lockgate.runtime.intake import Intake
from lockgate.runtime.keys import Action, Ident, marker
from lockgate.runtime.lanes import Job, Share
from lockgate.runtime.publisher import Publisher
from lockgate.runtime.record import Record
from lockgate.runtime.takeover import Number

__all__ = ["LOOK_AGAIN_MS", "ParkedTopic"]

LOOK_AGAIN_MS = 200
_WINDOW = 128
"""Records that are in hand of one parked partition at most."""
_MOST_RUNS = 256
"""Runs of unfinished records at which a commit's note is full (4 KiB): before any more is read there has to be room."""
_MOST_MOVES = 500
"""Copies that are on their way to the partition's end at most."""

Act = Callable[[list[Action[Job]]], None]


class ParkedTopic:
    """See to the records of a workload's parked topic that need no handler yet, or none at all."""

    def __init__(
        self, topic: str, intake: Intake, publisher: Publisher, parked: set[Ticket], log: Any, *, holding: bool
    ) -> None:
        self._topic = topic
        self._intake = intake
        self._publisher = publisher
        self._log = log
        self._parked = parked  # what is no outcome of its record
        self._holding = holding

    def take(
        self, message: Any, share: Share, number: Number, envelope: Envelope, *, waiting: int, act: Act
    ) -> Ident | None:
        """Return by what a copy is known that is to be handled soon; None where a record was seen to.

        `waiting` tells how many records wait for a transaction; `act` does what a release leads to.
        """
        progress, keys, key, offset = share.progress, number.keys, message.key(), message.offset()
        number.at_end = False
        if number.is_finished(share.place, offset):
            number.last = offset
            progress.read_to(offset + 1)
            return None
        if 0 <= number.moving <= offset:
            number.moving = -1
        seen = keys.put_off_at(offset)
        if seen is None and not progress.was_read(offset):
            if progress.runs >= _MOST_RUNS:
                self._make_room(number, share, offset)
                return None
            progress.follows(offset, number.last)
        number.last = offset
        if seen is None and progress.was_read(offset):
            return None  # it is finished, or in hand
        if envelope.releases or (envelope.held is not None and seen is None):
            progress.hold(offset)
            progress.read_to(offset + 1)
            self._hear(number, share, offset, key, envelope, act)
            return None
        ident = keys.admit(key, envelope.source.offset, envelope.replay, tiered=False) if seen is None else seen
        if envelope.held is None and keys.is_near(key, ident):
            if share.jobs < _WINDOW:
                if seen is not None:
                    progress.finish(offset)  # the loop holds it again, if anything is to be done with it
                return ident
            self._intake.hold_back(share.place, offset, self._intake.now() + LOOK_AGAIN_MS)
            number.last = -1
        elif seen is None:
            progress.hold(offset)
            progress.read_to(offset + 1)
            keys.put_off(key, ident, offset)
        elif number.moving >= 0:
            if waiting >= _MOST_MOVES:
                self._intake.hold_back(share.place, offset, self._intake.now() + LOOK_AGAIN_MS)
            else:
                self._parked.add(self._publisher.moved(progress, Record(message, envelope)))
                keys.moved(key, ident)
        return None

    def go_back(self, number: Number, partition: int) -> None:
        """Read again what was put off and whose turn has come, if nothing else is left to be read."""
        if number.at_end and (position := number.keys.again()) is not None:
            number.at_end = False
            self._intake.hold_back((self._topic, partition), position, self._intake.now())

    def _hear(self, number: Number, share: Share, offset: int, key: bytes, envelope: Envelope, act: Act) -> None:
        """Note a release, or the marker of a hold."""
        progress, keys, source = share.progress, number.keys, envelope.source
        hold = marker(source.offset, envelope.replay)
        where = {"topic": source.topic, "partition": source.partition, "offset": source.offset}
        if envelope.held is not None and not (self._holding and keys.lies(key, hold, offset)):
            progress.finish(offset)
            if not self._holding:
                self._log.info("Let a key go on: dead letters hold none any more", **where, key=key_fingerprint(key))
            return
        if envelope.releases:
            if not keys.is_held(key, hold):
                progress.finish(offset)
                self._log.warning("A release names a dead letter that holds no key", **where, key=key_fingerprint(key))
                return
            earlier = number.releases.get((key, hold))
            if earlier is not None:
                progress.finish(earlier)
            number.releases[key, hold] = offset
        marker_at, release_at = keys.place_of(key, hold), number.releases.get((key, hold))
        if marker_at is None or release_at is None:
            return  # one of them is still to be read
        del number.releases[key, hold]
        progress.finish(marker_at)
        progress.finish(release_at)
        actions = keys.finish(key, hold)
        self._log.info("Released a key", **where, key=key_fingerprint(key), held_keys=keys.held)
        act(actions)

    def _make_room(self, number: Number, share: Share, offset: int) -> None:
        """Wait for room in the commit's note; where what was put off takes it, send that to the partition's end.

        There it lies in one run.
        """
        first = number.keys.first_put_off()
        until = self._intake.now()
        if first is None or number.moving >= 0:
            self._intake.hold_back(share.place, offset, until + LOOK_AGAIN_MS)
            return
        number.moving = offset
        self._intake.hold_back(share.place, first, until)
