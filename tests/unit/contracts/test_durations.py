"""Durations as contracts write them: a whole number and one unit, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.contracts.fields import duration_ms

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("10s", 10_000), ("1m", 60_000), ("12h", 43_200_000), ("7d", 604_800_000), ("007s", 7_000)],
)
def test_a_number_and_a_unit_are_a_duration(text: str, milliseconds: int) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "s",
        "10 s",
        " 10s",
        "10s ",
        "10s\n",
        "1.5s",
        "-1s",
        "+1s",
        "1e3s",
        "10S",
        "1w",
        "1h30m",
        "0s",
        "\N{ARABIC-INDIC DIGIT ONE}s",
        "1_0s",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert duration_ms(text) is None


def test_a_duration_is_at_most_a_hundred_years() -> None:
    assert duration_ms("36500d") == 36_500 * UNITS_MS["d"]
    assert duration_ms("36501d") is None
    assert duration_ms("9" * 5_000 + "d") is None


@settings(deadline=None)
@given(st.integers(1, 36_500), st.sampled_from(sorted(UNITS_MS)))
def test_a_unit_is_what_the_number_is_multiplied_with(number: int, unit: str) -> None:
    assert duration_ms(f"{number}{unit}") == number * UNITS_MS[unit]


@settings(deadline=None)
@given(st.text(max_size=8))
def test_no_text_is_too_strange_to_answer(text: str) -> None:
    found = duration_ms(text)
    assert found is None or found > 0
