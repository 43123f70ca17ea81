"""The books that `scripts/faults` and `scripts/soak` keep see each kind of harm: recorded ones, spoilt on purpose."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.books import (
    AT_LEAST_ONCE,
    CONCURRENT,
    EXACTLY_ONCE,
    HOLDING,
    ORDER_KEY,
    Copy,
    Outcome,
    Verdict,
    balance,
)

DELAY = 200
WRITTEN = 40
MODES = [AT_LEAST_ONCE, EXACTLY_ONCE, ORDER_KEY, CONCURRENT, HOLDING]


def begun(number: int) -> int:
    return 1000 * number


def key(number: int) -> str:
    return f"key-{number % 4}"


COPIES = [Copy(number, begun(number), key(number)) for number in range(3, WRITTEN, 10)]
OUTCOMES = [
    Outcome(
        number,
        attempt=2 if number % 10 == 3 else 1,
        handled=begun(number) + (DELAY if number % 10 == 3 else 0),
        key=key(number),
        is_letter=number % 10 == 7,
    )
    for number in range(WRITTEN)
]
RELEASED = {number: begun(number) + 1 for number in range(7, WRITTEN, 10)}


def verdict(
    outcomes: list[Outcome] = OUTCOMES, copies: list[Copy] = COPIES, released: dict[int, int] | None = None
) -> Verdict:
    return balance(WRITTEN, outcomes, copies, DELAY, released)


@pytest.mark.parametrize("mode", MODES)
def test_books_that_balance_break_nothing(mode: str) -> None:
    assert verdict() == Verdict(WRITTEN, lost=0, duplicated=0, disordered=0, early=0)
    assert verdict(released=RELEASED).broken(mode) == []


@pytest.mark.parametrize("mode", MODES)
@given(gone=st.sets(st.integers(0, WRITTEN - 1), min_size=1))
def test_a_record_without_an_outcome_is_lost_in_every_mode(mode: str, gone: set[int]) -> None:
    found = verdict([outcome for outcome in OUTCOMES if outcome.number not in gone])
    assert found.lost == len(gone)
    assert found.missing == tuple(sorted(gone)[:10])
    assert found.broken(mode) == ["lost"]


@given(again=st.sets(st.integers(0, WRITTEN - 1), min_size=1))
def test_a_second_outcome_is_a_duplicate_which_breaks_exactly_once_alone(again: set[int]) -> None:
    found = verdict(OUTCOMES + [OUTCOMES[number] for number in again])
    assert (found.lost, found.duplicated, found.disordered) == (0, len(again), 0)
    assert found.broken(EXACTLY_ONCE) == ["duplicated"]
    assert (
        found.broken(AT_LEAST_ONCE)
        == found.broken(ORDER_KEY)
        == found.broken(CONCURRENT)
        == found.broken(HOLDING)
        == []
    )


@given(st.sampled_from([one.number for one in OUTCOMES if not one.is_letter and one.number < WRITTEN - 10]))
def test_a_result_behind_a_later_one_of_its_key_is_out_of_order(number: int) -> None:
    moved = [outcome for outcome in OUTCOMES if outcome.number != number] + [OUTCOMES[number]]
    found = verdict(moved)
    assert (found.lost, found.duplicated, found.disordered) == (0, 0, 1)
    assert found.broken(ORDER_KEY) == found.broken(HOLDING) == ["disordered"]
    assert found.broken(CONCURRENT) == []


@given(st.sampled_from([one for one in OUTCOMES if one.number < WRITTEN - 10]))
def test_a_record_that_is_handled_behind_a_later_one_of_its_key_is_out_of_order(late: Outcome) -> None:
    found = verdict([attrs.evolve(one, handled=begun(WRITTEN)) if one == late else one for one in OUTCOMES])
    assert (found.lost, found.duplicated, found.disordered) == (0, 0, 1)


@given(st.sampled_from([number for number in RELEASED if number < WRITTEN - 10]))
def test_a_key_that_goes_on_before_its_dead_letter_is_released_is_out_of_order(letter: int) -> None:
    next_of_its_key = letter + 4
    assert verdict(released=RELEASED | {letter: begun(next_of_its_key)}).disordered == 0
    assert verdict(released=RELEASED | {letter: begun(next_of_its_key) + 1}).disordered == 1


def test_a_key_whose_dead_letter_nobody_released_has_to_stand_still() -> None:
    unreleased = {number: at for number, at in RELEASED.items() if number != 7}
    assert verdict(released=unreleased).disordered == 1
    still = [one for one in OUTCOMES if one.key != key(7) or one.number <= 7]
    copies = [copy for copy in COPIES if copy.key != key(7) or copy.number <= 7]
    assert verdict(still, copies, unreleased).disordered == 0


def test_a_record_that_fails_before_its_key_is_released_is_out_of_order_though_its_retry_is_not() -> None:
    hasty = [attrs.evolve(copy, failed=begun(7)) if copy.number == 23 else copy for copy in COPIES]
    assert verdict(copies=hasty, released=RELEASED).disordered == 1


def test_a_second_attempt_before_its_time_is_early_in_every_mode() -> None:
    hasty = [
        attrs.evolve(outcome, handled=outcome.handled - 1) if outcome.attempt > 1 else outcome for outcome in OUTCOMES
    ]
    found = verdict(hasty)
    assert found.early == len(COPIES)
    assert found.broken(AT_LEAST_ONCE) == ["early"]


def test_a_second_attempt_without_a_copy_that_waited_is_early() -> None:
    assert verdict(copies=COPIES[1:]).early == 1


def test_of_several_copies_the_first_one_counts() -> None:
    assert verdict(copies=[*COPIES, *(attrs.evolve(copy, failed=copy.failed + 50) for copy in COPIES)]).early == 0
