"""The whole loop against brokers in memory: any interleaving of what clients, brokers, handlers and time may do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from zlib import crc32

import pytest

from tests.model.happenings import Happening, row, smallest
from tests.model.machine import Machine, machine
from tests.model.workloads import MODES

ROWS = int(os.environ.get("ROWS", "150"))
FROM = int(os.environ.get("FROM", "0"))

pytestmark = [pytest.mark.usefixtures("model"), pytest.mark.timeout(0 if "ROWS" in os.environ else 300)]


@pytest.mark.parametrize("mode", MODES)
def test_whatever_happens_nothing_is_lost_early_or_out_of_order(mode: str) -> None:
    kind, first = machine(mode), crc32(mode.encode()) + FROM
    for number in range(first, first + ROWS):
        happenings = row(kind, number)
        if why_not(kind, happenings):
            found = smallest(happenings, lambda smaller: why_not(kind, smaller) is not None)
            error = why_not(kind, found)
            said = "\n".join(f"    {one}" for one in found)
            raise AssertionError(
                f"FROM={number - first + FROM} ROWS=1:\n    it = machine({mode!r})()\n{said}"
            ) from error


def why_not(kind: type[Machine], happenings: Sequence[Happening]) -> Exception | None:
    """Return what does not hold."""
    try:
        kind().go_through(happenings)
    except Exception as error:
        return error
    return None


def test_a_stop_waits_for_handlers_that_hang_no_longer_than_its_grace() -> None:
    it = machine("concurrent, by partition")()
    it.written("a", ("result",), 1)
    it.step(0, 2)
    it.threads_are_slow(0, True, False)
    it.leaves(0)
    assert not it.owners
    it.end()


def test_a_process_that_is_killed_while_it_leaves_does_nothing_more() -> None:
    it = machine("keyed through tiers")()
    it.step(0, 1)
    it.will_go_wrong(0, ("offsets", "crash"), 1)
    it.written("a", ("result",), 1)
    it.join()
    it.step(0, 1)
    it.leaves(0)
    assert len(it.owners) == 1
    it.end()


def test_what_comes_with_a_new_assignment_is_not_taken_for_what_was_held_back_of_the_old_one() -> None:
    it = machine("outages, keyed through tiers")()
    it.written("a", ("fail", "fail", "fail"), 1)
    it.turn(1, 1)
    it.join()
    it.will_go_wrong(0, ("transaction", "is not heard of"), 1)
    it.written("b", ("fail", "nothing"), 2)
    it.turn(1, 1)
    it.written("c", ("fail", "nothing"), 2)
    it.turn(0, 1)
    it.check()
    it.end()
