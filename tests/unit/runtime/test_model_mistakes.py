"""Mistakes that are made on purpose in the loop: the model finds each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from lockgate.runtime.commits import Commits
from lockgate.runtime.concurrent import ConcurrentLoop
from lockgate.runtime.decoding import Decoding
from lockgate.runtime.intake import Intake
from lockgate.runtime.keys import Keys
from lockgate.runtime.offsets import Offsets, Progress
from lockgate.runtime.parked import ParkedTopic
from lockgate.runtime.publisher import Publisher
from tests.model.brokers import Brokers
from tests.model.machine import Machine, machine

pytestmark = pytest.mark.usefixtures("model")


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


class Fresh:
    """The membership as it is when it is shown, not as it was when the records were taken."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers

    def __iter__(self) -> Iterator[Any]:
        return iter((self._brokers.members[0], self._brokers.generation))


def show_a_fresh_membership(patch: pytest.MonkeyPatch) -> None:
    fresh = property(lambda self: Fresh(self.consumer.brokers), nothing)
    patch.setattr(Intake, "metadata", fresh, raising=False)


def an_answer_fails(it: Machine) -> None:
    it.written("a", ("fail", "nothing"), 1)
    it.will_go_wrong(0, ("delivery", "fails"), 1)
    it.step(0, 3)


def a_handler_takes_long(it: Machine) -> None:
    it.written("a", ("result",), 1)
    it.step(0, 2)
    it.commit_arrives(0)


def a_commit_arrives_late(it: Machine) -> None:
    it.written("a", ("nothing",), 1)
    it.step(0, 1)
    hand_over(it)
    it.step(0, 2)
    it.step(1, 2)
    it.commit_arrives(0)


def a_handler_ends_late(it: Machine) -> None:
    it.written("a", ("nothing",), 1)
    it.step(0, 2)
    hand_over(it)
    it.step(0, 1)
    it.step(1, 2)
    it.handler_ends(0, 0)
    it.step(0, 2)
    it.commit_arrives(0)


def hand_over(it: Machine) -> None:
    """Let a process be taken for dead, and another one do its work, and more."""
    it.written("a", ("nothing",), 1)
    it.is_taken_for_dead(0)
    it.join()
    it.step(1, 2)
    for _ in range(2):
        it.handler_ends(1, 0)
        it.step(1, 2)
    it.commit_arrives(1)
    it.what_is_committed_is_finished()


def no_time_passes(it: Machine) -> None:
    it.written("a", ("fail", "nothing"), 1)
    it.step(0, 3)
    it.handler_ends(0, 0)
    it.step(0, 3)


def the_next_of_a_key_comes(it: Machine) -> None:
    it.written("a", ("fail", "nothing"), 1)
    it.step(0, 4)
    it.time_passes(0.21)
    it.step(0, 2)
    it.handler_ends(0, 0)
    it.step(0, 3)
    it.written("a", ("nothing",), 1)
    it.step(0, 4)


def the_group_goes_on_meanwhile(it: Machine) -> None:
    it.step(0, 1)
    it.join()
    it.written("a", ("result",), 1)
    it.will_go_wrong(0, ("delivery", "meanwhile"), 1)
    it.step(0, 1)


def a_letter_is_written(it: Machine) -> None:
    it.written("a", ("reject",), 1)
    it.step(0, 3)
    it.handler_ends(0, 0)
    it.step(0, 2)
    it.a_letter_holds_its_key_until_it_is_released()


def another_takes_over_what_is_held(it: Machine) -> None:
    a_letter_is_written(it)
    it.leaves(0)
    it.join()
    it.step(0, 1)
    it.written("a", ("nothing",), 1)
    it.step(0, 1)


def a_follower_is_put_off(it: Machine) -> None:
    a_letter_is_written(it)
    it.written("a", ("nothing",), 1)
    it.step(0, 4)
    it.is_released(0)
    it.step(0, 2)


SABOTAGE: list[tuple[Callable[[pytest.MonkeyPatch], None], str, Callable[[Machine], None], str]] = [
    (commit_before_finish, "at least once", an_answer_fails, "nothing became of it"),
    (commit_before_finish, "concurrent, in no order", a_handler_takes_long, "nothing became of it"),
    (commit_after_lost, "at least once", a_commit_arrives_late, "goes back"),
    (keep_what_is_lost, "concurrent, by partition", a_handler_ends_late, "goes back"),
    (forget_when_it_is_due, "at least once", no_time_passes, "is due at"),
    (forget_when_it_is_due, "concurrent, by partition", no_time_passes, "is due at"),
    (park_nothing, "keyed through tiers", the_next_of_a_key_comes, "is handled before"),
    (hold_no_key, "keys held by letters", a_letter_is_written, "holds no key"),
    (take_over_without_holds, "keys held by letters", another_takes_over_what_is_held, "is handled before"),
    (read_nothing_again, "keys held by letters", a_follower_is_put_off, "stands still"),
    (show_a_fresh_membership, "exactly once", the_group_goes_on_meanwhile, "Counter"),
]


@pytest.mark.parametrize(
    ("sabotage", "mode", "happens", "said"), SABOTAGE, ids=[f"{what.__name__}-{mode}" for what, mode, *_ in SABOTAGE]
)
def test_broken_on_purpose_it_is_found(
    sabotage: Callable[[pytest.MonkeyPatch], None],
    mode: str,
    happens: Callable[[Machine], None],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One interleaving that a mistake cannot survive: nothing is found in it without the mistake."""
    run(machine(mode)(), happens)
    sabotage(monkeypatch)
    with pytest.raises(AssertionError, match=said):
        run(machine(mode)(), happens)


def run(it: Machine, happens: Callable[[Machine], None]) -> None:
    happens(it)
    it.nothing_is_early_or_out_of_turn()
    it.what_is_committed_is_finished()
    it.teardown()
