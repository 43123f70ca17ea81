"""Mistakes that could be made in the loop, to see whether the model finds them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import attrs
import pytest

from lockgate.runtime.commits import Commits
from lockgate.runtime.concurrent import ConcurrentLoop
from lockgate.runtime.control import Control
from lockgate.runtime.decoding import Decoding
from lockgate.runtime.intake import Intake
from lockgate.runtime.keys import Keys
from lockgate.runtime.lanes import Job, Lanes
from lockgate.runtime.offsets import Offsets, Progress
from lockgate.runtime.outage import Outage
from lockgate.runtime.parked import ParkedTopic
from lockgate.runtime.publisher import Publisher
from lockgate.runtime.starts import Starts
from tests.model.brokers import Brokers


def nothing(*_: Any) -> None:
    """Be left out."""


def commit_before_finish(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Progress, "hold", nothing)


def commit_after_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Commits, "settle", nothing)


def keep_what_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ConcurrentLoop, "lost", nothing)
    patch.setattr(Offsets, "forget", nothing)


def forget_when_it_is_due(patch: pytest.MonkeyPatch) -> None:
    envelope = Decoding.envelope

    def undue(self: Decoding, message: Any) -> Any:
        found = envelope(self, message)
        return found and attrs.evolve(found, due=None)

    patch.setattr(Decoding, "envelope", undue)


def park_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Keys, "take", lambda _, __, ___, item: [("run", item)])


def hold_no_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Publisher, "_hold", nothing)


def take_over_without_holds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Keys, "found_held", nothing)


def read_nothing_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ParkedTopic, "go_back", nothing)


def hear_no_pause(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Control, "paused", False)


def give_nothing_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Intake, "put_back", nothing)


def put_the_same_back(patch: pytest.MonkeyPatch) -> None:
    def anew(self: Job) -> Job:
        self.error = None
        return self

    patch.setattr(Job, "anew", anew)


def let_lanes_go_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lanes, "_stops_at", lambda *_: False)


def let_probes_go_on(patch: pytest.MonkeyPatch) -> None:
    failed = Outage.failed

    def goes_on(self: Outage, record: Hashable) -> bool:
        was = self.state
        return failed(self, record) and was == "closed"

    patch.setattr(Outage, "failed", goes_on)


def take_records_anyway(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outage, "limit", lambda _: 1000)


def begin_where_the_client_does(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Starts, "firsts", lambda *_: {})


class Fresh:
    """The membership as it is when it is shown, not as it was when the records were taken."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers

    def __iter__(self) -> Iterator[Any]:
        return iter((self._brokers.members[0], self._brokers.generation))


def show_a_fresh_membership(patch: pytest.MonkeyPatch) -> None:
    fresh = property(lambda self: Fresh(self.consumer.brokers), nothing)
    patch.setattr(Intake, "metadata", fresh, raising=False)
