"""What `scripts/soak` says about memory: of series that were made up."""

from __future__ import annotations

import random

import pytest

from tests.memory import Series, growth


def series(minutes: float, leak: float, *, warm_up: float = 8.0, step: float = 0.0) -> Series:
    """Return a sample a second: it warms up in two minutes, and leaks so many MiB a minute; `step` comes half-way."""
    dice = random.Random(f"{minutes} {leak}")
    found = []
    for second in range(round(minutes * 60)):
        size = 55 + warm_up * min(1, second / 120) + leak * second / 60 + dice.gauss(0, 0.3)
        found.append((1_700_000_000.0 + second, size + (step if second > minutes * 30 else 0)))
    return found


def test_memory_that_settles_is_flat() -> None:
    assert growth(series(20, leak=0.0))["flat"] is True


@pytest.mark.parametrize("leak", [0.3, 0.5, 2.0])
def test_a_slow_leak_is_seen_after_minutes(leak: float) -> None:
    found = growth(series(20, leak=leak))
    assert found["flat"] is False
    assert found["slope_mib_per_minute"] == pytest.approx(leak, rel=0.25)


def test_a_step_that_stays_is_seen() -> None:
    assert growth(series(20, leak=0.0, step=10))["flat"] is False


def test_single_samples_that_are_off_do_not_count() -> None:
    memory = series(20, leak=0.0)
    memory[-1] = (memory[-1][0], 500.0)
    assert growth(memory)["flat"] is True
    assert growth(memory)["peak_mib"] == 500.0


def test_a_minute_says_nothing_about_a_slope_and_a_few_samples_nothing_at_all() -> None:
    assert growth(series(1, leak=0.5, warm_up=1.0))["flat"] is True
    assert growth(series(0.3, leak=0.0))["flat"] is None
