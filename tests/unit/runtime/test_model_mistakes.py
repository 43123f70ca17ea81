"""Mistakes that are made on purpose in the loop: the model finds each of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.model import mistakes
from tests.model.machine import Machine, machine
from tests.model.workloads import has_threads

pytestmark = pytest.mark.usefixtures("model")


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
    it.handler_ends(0, 0, False)
    it.step(0, 2)
    it.commit_arrives(0)


def hand_over(it: Machine) -> None:
    """Let a process be taken for dead, and another one do its work, and more."""
    it.written("a", ("nothing",), 1)
    it.is_taken_for_dead(0)
    it.join()
    it.step(1, 2)
    for _ in range(2):
        it.handler_ends(1, 0, False)
        it.step(1, 2)
    it.commit_arrives(1)
    it.what_is_committed_is_finished()


def no_time_passes(it: Machine) -> None:
    it.written("a", ("fail", "nothing"), 1)
    it.step(0, 3)
    it.handler_ends(0, 0, False)
    it.step(0, 3)


def the_next_of_a_key_comes(it: Machine) -> None:
    it.written("a", ("fail", "nothing"), 1)
    it.step(0, 4)
    it.time_passes(0.21)
    it.step(0, 2)
    it.handler_ends(0, 0, False)
    it.step(0, 3)
    it.written("a", ("nothing",), 1)
    it.step(0, 4)


def the_group_goes_on_meanwhile(it: Machine) -> None:
    it.step(0, 1)
    it.join()
    it.written("a", ("result",), 1)
    it.will_go_wrong(0, ("delivery", "meanwhile"), 1)
    it.step(0, 1)


def it_is_assigned_anew_while_a_transaction_is_open(it: Machine) -> None:
    it.will_go_wrong(1, ("transaction", "meanwhile"), 3)
    it.written("b", ("fail", "fail", "fail"), 1)
    it.join()
    it.turn(0, 1)
    it.written("a", ("result",), 3)
    it.turn(0, 3)


def a_letter_is_written(it: Machine) -> None:
    it.written("a", ("reject",), 1)
    it.step(0, 3)
    it.handler_ends(0, 0, False)
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


def it_is_paused(it: Machine) -> None:
    it.is_paused(True)
    it.time_passes(0.31)
    it.step(0, 1)
    it.written("a", ("nothing",), 1)
    it.step(0, 2)


def another_comes_in_a_pause(it: Machine) -> None:
    it.is_paused(True)
    it.time_passes(0.31)
    it.step(0, 1)
    it.written("a", ("nothing",), 2)
    it.join()
    it.step(0, 1)
    it.step(1, 2)
    it.step(0, 2)


def one_of_a_key_fails(it: Machine) -> None:
    it.written("a", ("fail", "nothing"), 1)
    it.written("a", ("nothing",), 1)
    it.step(0, 1)
    it.handler_ends(0, 0, False)


def all_of_them_fail(it: Machine) -> None:
    it.written("a", ("nothing",), 30)
    it.outage(True)
    for _ in range(32):
        it.time_passes(0.8)
        it.step(0, 1)
        if has_threads(it.workload):
            it.handler_ends(0, 0, False)
        it.nothing_is_early_or_out_of_turn()
        it.an_outage_sends_no_more_on_than_it_takes_to_see_it()


def a_probe_lingers(it: Machine) -> None:
    it.written("a", ("nothing",), 1)
    it.written("b", ("nothing",), 1)
    it.written("c", ("nothing",), 4)
    it.step(0, 1)
    it.outage(True)
    it.handler_ends(0, 0, False)
    it.handler_ends(0, 0, False)
    for _ in range(2):
        it.step(0, 1)
        it.handler_ends(0, 0, True)
        it.step(0, 1)
        it.threads_are_slow(0, False, False)
        it.time_passes(0.8)
    it.outage(False)
    for _ in range(3):
        it.step(0, 1)
        it.handler_ends(0, 0, False)
        it.nothing_is_early_or_out_of_turn()


SABOTAGE: list[tuple[Callable[[pytest.MonkeyPatch], None], str, Callable[[Machine], None], str]] = [
    (mistakes.commit_before_finish, "at least once", an_answer_fails, "nothing became of it"),
    (mistakes.commit_before_finish, "concurrent, in no order", a_handler_takes_long, "nothing became of it"),
    (mistakes.commit_after_lost, "at least once", a_commit_arrives_late, "goes back"),
    (mistakes.keep_what_is_lost, "concurrent, by partition", a_handler_ends_late, "goes back"),
    (mistakes.forget_when_it_is_due, "at least once", no_time_passes, "is due at"),
    (mistakes.forget_when_it_is_due, "concurrent, by partition", no_time_passes, "is due at"),
    (mistakes.park_nothing, "keyed through tiers", the_next_of_a_key_comes, "is handled before"),
    (mistakes.hold_no_key, "keys held by letters", a_letter_is_written, "holds no key"),
    (mistakes.take_over_without_holds, "keys held by letters", another_takes_over_what_is_held, "is handled before"),
    (mistakes.read_nothing_again, "keys held by letters", a_follower_is_put_off, "stands still"),
    (mistakes.hear_no_pause, "at least once", it_is_paused, "in a pause"),
    (mistakes.hear_no_pause, "concurrent, by key", it_is_paused, "in a pause"),
    (mistakes.give_nothing_back, "at least once", another_comes_in_a_pause, "in a pause"),
    (mistakes.let_lanes_go_on, "keyed through tiers", one_of_a_key_fails, "is handled before"),
    (mistakes.let_probes_go_on, "outages", all_of_them_fail, "has sent"),
    (mistakes.let_probes_go_on, "outages, concurrent", all_of_them_fail, "has sent"),
    (mistakes.take_records_anyway, "outages, exactly once", all_of_them_fail, "is no probe"),
    (mistakes.put_the_same_back, "outages, keyed through tiers", a_probe_lingers, "is handled before"),
    (mistakes.begin_where_the_client_does, "exactly once", it_is_assigned_anew_while_a_transaction_is_open, "Entry"),
    (mistakes.show_a_fresh_membership, "exactly once", the_group_goes_on_meanwhile, "Counter"),
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
    it.check()
    it.end()
