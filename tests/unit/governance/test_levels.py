"""Compatibility levels: what two of them promise together, and who is upgraded first."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from lockgate.avro.compatibility import check
from lockgate.contracts.model import Compatibility
from lockgate.governance.levels import is_weaker, order, stricter

LEVELS: tuple[Compatibility, ...] = get_args(Compatibility)
PAIRS = list(itertools.product(LEVELS, LEVELS))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_levels_together_promise_what_either_does_and_no_less(one: Compatibility, other: Compatibility) -> None:
    both = stricter(one, other)
    assert both == stricter(other, one)
    assert not is_weaker(both, one)
    assert not is_weaker(both, other)
    # the least of those: whatever is at least as strict as either is at least as strict as both
    for level in LEVELS:
        if not is_weaker(level, one) and not is_weaker(level, other):
            assert not is_weaker(level, both)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("BACKWARD", "FORWARD", "FULL"),
        ("BACKWARD_TRANSITIVE", "FORWARD", "FULL_TRANSITIVE"),
        ("NONE", "FORWARD", "FORWARD"),
        ("FULL", "BACKWARD_TRANSITIVE", "FULL_TRANSITIVE"),
        ("NONE", "NONE", "NONE"),
    ],
)
def test_levels_join(one: Compatibility, other: Compatibility, both: Compatibility) -> None:
    assert stricter(one, other) == both


def field(**more: object) -> dict[str, object]:
    fields = [{"name": "id", "type": "string"}, *([{"name": "x", "type": "int"} | more] if more else [])]
    return {"type": "record", "name": "E", "namespace": "n", "fields": fields}


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_what_either_level_forbids_both_forbid(one: Compatibility, other: Compatibility) -> None:
    """Ask the checker itself: a required field is added, one is taken away, and what breaks only an older version."""
    histories = [
        [field(), field(doc="")],
        [field(doc=""), field()],
        [field(), field(default=0), field(doc="")],
        [field(doc=""), field(default=0), field()],
    ]
    for *history, candidate in histories:

        def forbids(level: str, history: list[dict[str, object]] = history, new: object = candidate) -> bool:
            return any(found.kind == "breaking" for found in check(history, new, level))

        if forbids(one) or forbids(other):
            assert forbids(stricter(one, other))


def test_who_is_upgraded_first_follows_from_who_reads_what() -> None:
    assert order(backward=True, forward=True) == "any"
    assert order(backward=True, forward=False) == "consumers-first"
    assert order(backward=False, forward=True) == "producers-first"
    assert order(backward=False, forward=False) == "none"
