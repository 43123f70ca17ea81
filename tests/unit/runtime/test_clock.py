"""The clock that due times are held against, while the machine's own is set."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from lockgate.runtime.clock import SteadyClock


@attrs.define
class Machine:
    """Two clocks, one of which is set now and then."""

    wall: float = 1_000_000.0
    booted: float = 500.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.booted += seconds

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.booted)


@given(st.floats(-1e6, 1e6))
def test_a_machine_whose_clock_is_set_moves_nothing(step: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += step
    machine.pass_by(7)
    assert abs(clock() - 1_000_007) < 1e-6


@given(skew=st.floats(-1e6, 1e6), answer=st.floats(0, 100), delay=st.floats(0, 100))
def test_what_a_broker_has_stamped_corrects_a_clock_that_was_wrong_from_the_start(
    skew: float, answer: float, delay: float
) -> None:
    machine = Machine(wall=1_000_000.0 + skew)
    clock = machine.clock()
    sent, start = machine.booted, 1_000_000.0
    machine.pass_by(answer)
    stamp = int((start + answer) * 1000)
    machine.pass_by(delay)  # until somebody looks at the answer
    clock.heard(stamp, sent)
    error = clock() - (start + answer + delay)
    assert -delay - 0.002 < error < answer + 0.002


@given(answer=st.floats(0, 100), delay=st.floats(0, 100))
def test_a_clock_that_may_be_right_is_left_alone(answer: float, delay: float) -> None:
    machine = Machine()
    clock = machine.clock()
    sent = machine.booted
    machine.pass_by(answer)
    stamp = int(machine.wall * 1000)
    machine.pass_by(delay)
    clock.heard(stamp, sent)
    assert abs(clock() - machine.wall) < 1e-6
