"""The circuit breaker as a state machine: it opens on an outage alone, probes one by one, and gets on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lockgate.contracts.model import OutageSpec
from lockgate.runtime.outage import Outage, State

SPEC = OutageSpec(failing=80, of=5, probe_ms=1000)


class _Breaker(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.states: list[State] = []
        self.outage = Outage(SPEC, lambda: self.now, self.states.append)
        self.window: list[bool] = []
        self.opened_at = 0.0
        self.number = 0

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.outage.limit() > 0)
    @rule(count=st.integers(1, 8))
    def handled(self, count: int) -> None:
        count = min(count, self.outage.limit())
        before = self.outage.state
        self.outage.succeeded(count)
        self.window = (self.window + [True] * count)[-SPEC.of :] if before == "closed" else []
        assert self.outage.state == "closed", "one success is enough"

    @precondition(lambda self: self.outage.limit() > 0)
    @rule()
    def fails(self) -> None:
        before = self.outage.state
        self.number += 1
        stays = self.outage.failed(self.number)
        if before == "half-open":
            assert stays
            self.opened_at = self.now
            return
        self.window = [*self.window, False][-SPEC.of :]
        outage = len(self.window) == SPEC.of and self.window.count(False) >= 4
        assert stays is outage, "only what belongs to an outage stays"
        if outage:
            self.opened_at = self.now
            assert self.outage.opened > 0

    @invariant()
    def nothing_is_taken_too_early(self) -> None:
        if self.outage.state == "open":
            limit = self.outage.limit()
            assert limit == (0 if self.now < self.opened_at + self.outage.wait else 1)
            assert 1 <= self.outage.wait <= 12

    @invariant()
    def the_states_follow_each_other(self) -> None:
        steps = list(zip(["closed", *self.states], self.states, strict=False))
        allowed = {("closed", "open"), ("open", "half-open"), ("half-open", "open"), ("half-open", "closed")}
        assert set(steps) <= allowed


TestBreaker = _Breaker.TestCase


@given(st.lists(st.booleans(), max_size=200))
def test_retries_are_not_flooded_and_occasional_failures_never_open_it(outcomes: list[bool]) -> None:
    outage = Outage(OutageSpec(failing=100, of=20, probe_ms=1000), lambda: 0.0)
    sent = 0
    for good in outcomes:
        if outage.limit() == 0:
            break
        if good:
            outage.succeeded(1)
        elif not outage.failed(object()):
            sent += 1
    longest = max((len(run) for run in "".join("g" if good else "f" for good in outcomes).split("g")), default=0)
    assert (outage.state == "open") is (longest >= 20)


def test_a_row_of_poison_gets_on_one_by_one() -> None:
    now = 0.0
    outage = Outage(SPEC, lambda: now)
    while not outage.failed("first"):
        pass
    stayed = 0
    while True:
        now += 60
        assert outage.limit() == 1
        if not outage.failed("poison"):
            break
        stayed += 1
    assert stayed == 9, "then it goes on to its retry topic"
    assert outage.state == "open", "and the next one is the next probe"
