"""The whole loop against brokers in memory: any interleaving of what clients, brokers, handlers and time may do."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import machine
from tests.model.workloads import MODES

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
COMMON = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), stateful_step_count=30, print_blob=False
)
USUAL = settings(COMMON, max_examples=int(os.environ.get("EXAMPLES", "3000")) if LONG else 100, derandomize=not LONG)

pytestmark = [pytest.mark.usefixtures("model"), *([pytest.mark.timeout(0)] if LONG else [])]


@pytest.mark.parametrize("mode", MODES)
def test_whatever_happens_nothing_is_lost_early_or_out_of_order(mode: str) -> None:
    run_state_machine_as_test(machine(mode), settings=USUAL)


def test_a_stop_waits_for_handlers_that_hang_no_longer_than_its_grace() -> None:
    it = machine("concurrent, by partition")()
    it.written("a", ("result",), 1)
    it.step(0, 2)
    it.handlers_hang(0, True)
    it.leaves(0)
    assert not it.owners
    it.teardown()


def test_a_process_that_is_killed_while_it_leaves_does_nothing_more() -> None:
    it = machine("keyed through tiers")()
    it.step(0, 1)
    it.will_go_wrong(0, ("offsets", "crash"), 1)
    it.written("a", ("result",), 1)
    it.join()
    it.step(0, 1)
    it.leaves(0)
    assert len(it.owners) == 1
    it.teardown()
