"""Records of one lane are handled one after the other; lanes get their turns; what is closed does not begin."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lockgate.runtime.decoding import SKIP
from lockgate.runtime.lanes import Job, Lanes, Share
from lockgate.runtime.offsets import Progress


class _Message:
    """As much of a message as a job looks at."""

    def __init__(self, number: int) -> None:
        self.number = number

    def value(self) -> bytes:
        return b"value"


class _Machine(RuleBasedStateMachine):
    """Lanes against a model that remembers what was added."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.shares = [Share(Progress(("items", number))) for number in range(2)]
        self.waiting: list[Job] = []
        self.running: list[Job] = []
        self.last: dict[Any, int] = {}
        self.number = 0

    @rule(lanes=st.lists(st.sampled_from(["a", "b", None]), max_size=4), partition=st.integers(0, 1))
    def add(self, lanes: list[str | None], partition: int) -> None:
        share = self.shares[partition]
        jobs = []
        for lane in lanes:
            self.number += 1
            own = None if lane is None else (partition, lane)
            jobs.append(Job(_Message(self.number), None, None, SKIP, share, own))
        self.lanes.add(jobs)
        self.waiting += [job for job in jobs if not share.closed]

    @rule()
    def take(self) -> None:
        job = self.lanes.take()
        busy = {other.lane for other in self.running if other.lane is not None}
        if job is None:
            assert all(other.lane in busy for other in self.waiting), "a lane has nothing at work, and gets no turn"
            return
        assert not job.share.closed
        assert job.lane not in busy
        if job.lane is not None:
            assert job.message.number > self.last.get(job.lane, 0)
            self.last[job.lane] = job.message.number
        self.waiting.remove(job)
        self.running.append(job)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        job = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.lanes.done(job)

    @rule(partition=st.integers(0, 1))
    def close_and_begin_anew(self, partition: int) -> None:
        self.lanes.close(self.shares[partition])
        self.waiting = [job for job in self.waiting if job.share is not self.shares[partition]]
        self.shares[partition] = Share(Progress(("items", partition)))

    @invariant()
    def counts(self) -> None:
        for share in self.shares:
            assert share.running == sum(job.share is share for job in self.running)

    def teardown(self) -> None:
        for job in self.running:
            self.lanes.done(job)
        while (left := self.lanes.take()) is not None:
            self.waiting.remove(left)
            self.lanes.done(left)
        assert not self.waiting
        assert not self.lanes._behind  # nothing is kept of lanes that are empty


TestLanes = _Machine.TestCase
