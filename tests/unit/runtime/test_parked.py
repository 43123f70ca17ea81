"""The parked topic as it is read: what is put off, what holds a key, releases, and room in a commit's note."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import pytest

from lockgate.records import Coordinates, Envelope, Place, enclose
from lockgate.runtime.keys import Action, Ident, marker
from lockgate.runtime.lanes import Job, Share
from lockgate.runtime.logs import logger_for
from lockgate.runtime.offsets import Progress
from lockgate.runtime.parked import ParkedTopic
from lockgate.runtime.takeover import Number

PLACE: Place = ("items.retry.work.parked", 0)
KEY = b"a"


@attrs.frozen
class Message:
    """A record of the parked topic."""

    at: int
    named: bytes
    envelope: Envelope

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes:
        return self.named

    def value(self) -> bytes | None:
        return None

    def topic(self) -> str:
        return PLACE[0]

    def partition(self) -> int:
        return PLACE[1]

    def headers(self) -> list[tuple[str, bytes | None]]:
        return enclose((), self.envelope)


class Intake:
    """Remembers where the partition is to be read from."""

    def __init__(self) -> None:
        self.sought: int | None = None

    def now(self) -> float:
        return 0.0

    def hold_back(self, place: Place, offset: int, until: float) -> None:
        assert place == PLACE
        assert until >= 0
        self.sought = offset


class Publisher:
    """Remembers what was sent to the end."""

    def __init__(self) -> None:
        self.moved_from: list[int] = []

    def moved(self, progress: Progress, record: Any) -> Any:
        assert progress.is_held(record.offset)
        self.moved_from.append(record.offset)
        return object()


class Lane:
    """One parked partition of a workload that holds keys."""

    def __init__(self, *, holding: bool = True) -> None:
        self.intake, self.publisher = Intake(), Publisher()
        self.number = Number(2, holding=holding)
        self.progress = Progress(PLACE)
        self.progress.exact = True
        self.share = Share(self.progress)
        self.records: list[Message] = []
        self.done: list[Action[Job]] = []
        intake: Any = self.intake
        publisher: Any = self.publisher
        self.topic = ParkedTopic(PLACE[0], intake, publisher, set(), logger_for("work"), holding=holding)

    def write(self, source: int, key: bytes = KEY, replay: int = 0, **fields: Any) -> int:
        where = Coordinates("items", 0, source)
        envelope = Envelope(where, "work", 1, 0, "CreateTime", "handle", "error", "it broke", replay=replay)
        self.records.append(Message(len(self.records) * 2, key, attrs.evolve(envelope, **fields)))  # behind a marker
        return self.records[-1].at

    def read(self, offsets: Iterable[int] | None = None) -> list[Ident]:
        """Read records, all of them where none are named, and go on where the partition was sought to."""
        found = []
        wanted = [record.at for record in self.records] if offsets is None else list(offsets)
        for record in self.records:
            if record.at not in wanted:
                continue
            self.intake.sought = None
            ident = self.topic.take(record, self.share, self.number, record.envelope, waiting=0, act=self.done.extend)
            if self.intake.sought is not None:
                break  # the rest of the batch is dropped
            if ident is not None:
                found.append(ident)
                self.progress.hold(record.at)
                self.progress.read_to(record.at + 1)
        return found


def test_a_marker_holds_its_key_and_what_is_behind_it_is_put_off_until_a_release_was_read() -> None:
    lane = Lane()
    lane.write(5, held=1)
    first, second = lane.write(6), lane.write(7)
    free = lane.write(8, b"b")
    assert lane.read() == [(8, 0, 0)], "another key goes on"
    assert [lane.number.keys.put_off_at(offset) for offset in (first, second)] == [(6, 0, 0), (7, 0, 0)]
    assert lane.progress.committable() == 0
    release = lane.write(5, releases=True)
    assert lane.read([release]) == []
    assert lane.number.keys.held == 0
    assert not lane.progress.is_held(0)
    assert not lane.progress.is_held(release)
    assert lane.progress.is_held(first)
    lane.number.at_end = True
    lane.topic.go_back(lane.number, 0)
    assert lane.intake.sought == first
    assert lane.read([first])[0] == (6, 0, 0)
    assert free not in lane.publisher.moved_from


def test_a_release_that_names_no_hold_changes_nothing_and_one_before_its_marker_waits_for_it() -> None:
    lane = Lane()
    stale = lane.write(4, releases=True)
    lane.write(5, held=1)
    assert lane.read() == []
    assert not lane.progress.is_held(stale)
    assert lane.number.keys.held == 1
    lane.number.keys.moved(KEY, marker(5, 0))  # the marker is on its way to the end
    release, again = lane.write(5, releases=True), lane.write(5, held=1)
    assert lane.read([release]) == []
    assert lane.number.keys.held == 1
    assert lane.progress.is_held(release)
    assert lane.read([again]) == []
    assert lane.number.keys.held == 0
    assert not lane.progress.is_held(release)
    assert not lane.progress.is_held(again)


def test_where_dead_letters_hold_no_keys_any_more_markers_are_finished_as_they_are_read() -> None:
    lane = Lane(holding=False)
    lane.write(5, held=1)
    lane.write(6)
    assert lane.read() == [(6, 0, 0)]
    assert lane.number.keys.held == 0
    assert not lane.progress.is_held(0)


def test_a_full_note_is_emptied_by_sending_what_was_put_off_to_the_end_in_the_order_in_which_it_lies() -> None:
    lane = Lane()
    lane.write(0, held=1)
    for number in range(1, 1000):
        lane.write(number)
        lane.write(10_000 + number, b"free-%d" % number)
    handled = 0
    for record in list(lane.records):
        for ident in lane.read([record.at]):
            handled += 1
            lane.progress.finish(record.at)
            lane.number.keys.finish(record.named, ident)
        assert lane.progress.runs <= 256
        assert len(lane.progress.note()) <= 4096
        if lane.intake.sought is not None:
            break
    assert lane.intake.sought == 0, "it is read again from the first that was put off"
    reached = record.at
    lane.read()
    moved = lane.publisher.moved_from
    assert moved == sorted(moved)
    assert len(moved) == 257
    assert handled == 255, "of as many keys as lie between those"
    for offset in moved:  # the transaction is committed
        lane.progress.finish(offset)
    assert lane.progress.runs == 0
    assert lane.read([reached]) == [(10_256, 0, 0)], "there is room again"
    assert lane.number.keys.held == 1, "the marker is on its way, and holds on"


@pytest.mark.parametrize("jobs", [127, 128])
def test_no_more_than_a_window_is_in_hand(jobs: int) -> None:
    lane = Lane()
    offset = lane.write(1)
    lane.share.jobs = jobs
    assert lane.read() == ([(1, 0, 0)] if jobs < 128 else [])
    assert lane.intake.sought == (offset if jobs == 128 else None)
    assert lane.progress.was_read(offset) is (jobs < 128)
