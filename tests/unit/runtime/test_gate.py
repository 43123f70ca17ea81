"""The breaker where several records are handled at once: the loop's own steps, handlers that end whenever they like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lockgate.contracts.model import Domain, Location, Order, OutageSpec, Owner, TopicSpec, Workload
from lockgate.errors import Reject
from lockgate.records import Place
from lockgate.runtime import concurrent
from lockgate.runtime.concurrent import ConcurrentLoop
from lockgate.runtime.dispatch import Table
from lockgate.runtime.gate import Gate
from lockgate.runtime.lanes import Job, Lanes
from lockgate.runtime.offsets import Offsets, Progress
from lockgate.runtime.parts import Parts
from lockgate.runtime.patience import Patience
from lockgate.runtime.signals import Stop
from tests.messages import Placed

SPEC = OutageSpec(failing=75, of=4, probe_ms=1000)
SIZE = 3
PLACES: list[Place] = [("items", 0), ("items", 1)]
HEAD = b"\0\0\0\0\1"
AWAY = ConnectionError("the database is away")


class Message(Placed):
    """Stand in for a record; its value names its key."""

    def __init__(self, place: Place, offset: int, key: str) -> None:
        super().__init__(place, offset)
        self._key = key

    def key(self) -> bytes:
        return self._key.encode()

    def value(self) -> bytes:
        return HEAD + self.key()

    def error(self) -> None:
        return None

    def headers(self) -> list[Any]:
        return []


class Brokers:
    """Stand in for all that is outside a loop: what there is to take, what was sent, what was committed."""

    def __init__(self) -> None:
        self.log: dict[Place, list[str]] = {place: [] for place in PLACES}
        self.position = dict.fromkeys(PLACES, 0)
        self.committed = dict.fromkeys(PLACES, 0)
        self.offsets = Offsets()
        self.blocked: set[Place] = set()
        self.throttled: set[Place] = set()
        self.polls = 0
        self.taken: list[Message] = []

    # ---- an intake

    def observe(self, _: Any) -> None:
        """Nothing comes or goes but by the rules below."""

    def take(self, at_most: int, idle: float) -> list[Message]:  # noqa: ARG002  # as the loop calls it
        self.polls += 1
        batch: list[Message] = []
        for progress in self.offsets:
            place = progress.place
            if place not in self.throttled:
                first = self.position[place]
                keys = self.log[place][first : first + at_most - len(batch)]
                batch += [Message(place, first + number, key) for number, key in enumerate(keys)]
                self.position[place] += len(keys)
        self.taken += batch
        return batch

    def throttle(self, places: Iterable[Place]) -> None:
        self.throttled |= set(places)

    def release(self, places: Iterable[Place]) -> None:
        self.throttled -= set(places)

    # ---- a settlement

    def commit(self) -> None:
        for progress in self.offsets:
            self.committed[progress.place] = max(self.committed[progress.place], progress.committable() or 0)


class Sent:
    """Stand in for outcomes: note what goes to a retry topic or is dead-lettered, and call it finished."""

    noting = False

    def __init__(self) -> None:
        self.counts = {"handled": 0, "skipped": 0, "retried": 0, "dead-lettered": 0}
        self.failed_ones: list[tuple[Message, Exception]] = []
        self.seen: Callable[[Any, Message, Exception], None] = lambda *_: None

    def failed(self, progress: Any, message: Message, _: Any, error: Exception, stage: str) -> None:
        assert stage == "handle"
        self.failed_ones.append((message, error))
        self.seen(progress, message, error)
        progress.finish(message.offset())

    def settle(self) -> tuple[list[Any], list[Any]]:
        return [], []


class Hands:
    """Stand in for a pool: its handlers begin and end when a test says so."""

    def __init__(self, lanes: Lanes, size: int) -> None:
        self.lanes = lanes
        self.size = size
        self.at_work: list[Job] = []
        self.ended: list[Job] = []
        self.leaving: list[Job] = []
        """Whose end the loop may know of before their lanes do."""
        self.woken = True

    def add(self, jobs: list[Job]) -> None:
        self.lanes.add(jobs)
        self.woken = True

    def wake(self) -> None:
        self.woken = True

    def finished(self) -> list[Job]:
        ended, self.ended = self.ended, []
        return ended

    def wait(self, seconds: float) -> None:
        """Nothing ends meanwhile."""

    def begin(self) -> Job | None:
        """Let the next handler begin, where somebody would look for it."""
        if not self.woken or len(self.at_work) + len(self.leaving) >= self.size:
            return None
        job = self.lanes.take()
        if job is None:
            self.woken = False
        else:
            self.at_work.append(job)
        return job

    def end(self, job: Job, error: Exception | None = None) -> None:
        self.at_work.remove(job)
        job.error = error
        self.ended.append(job)
        self.leaving.append(job)

    def leave(self) -> None:
        while self.leaving:
            self.lanes.done(self.leaving.pop())
            self.woken = True


@attrs.define
class Bench:
    """A loop without threads or clients."""

    loop: ConcurrentLoop
    brokers: Brokers
    sent: Sent
    hands: Hands
    now: float = 0.0
    first: dict[Progress, int] = attrs.field(factory=dict)
    """Where each assignment began."""

    def assign(self, place: Place) -> None:
        self.brokers.offsets.assign(place)
        self.brokers.position[place] = self.brokers.committed[place]
        self.brokers.throttled.discard(place)
        self.first[self.brokers.offsets.of(place)] = self.brokers.committed[place]
        self.loop.assigned([place])

    def write(self, *keys: str, place: Place = PLACES[0]) -> None:
        self.brokers.log[place] += keys

    def turn(self) -> None:
        self.loop.step()

    def begin(self) -> list[int]:
        """Let all handlers begin that may; return the offsets of their records."""
        begun = []
        while (job := self.hands.begin()) is not None:
            begun.append(job.message.offset())
        return begun

    def end(self, offset: int, error: Exception | None = None) -> None:
        self.hands.end(next(job for job in self.hands.at_work if job.message.offset() == offset), error)
        self.hands.leave()


@contextmanager
def running(order: Order, size: int = SIZE) -> Iterator[Bench]:
    brokers, sent = Brokers(), Sent()
    hands: list[Hands] = []

    def pool(_name: str, size: int, _table: Any, lanes: Lanes, _encoder: Any) -> Hands:
        hands.append(Hands(lanes, size))
        return hands[0]

    here = Location("service.yaml", 1)
    owner = Owner("Team", "@team")
    workload = Workload("work", "service", ("items.Made",), (), (1000,), here)
    workload = attrs.evolve(workload, concurrency=size, order=order, outage=SPEC)
    domain = Domain("items", owner, TopicSpec("items", 2, 1, -1), "id", "FULL", (), (), (), here)
    outside: Any = brokers
    aside: Any = sent
    nothing: Any = SimpleNamespace()
    with patch.object(concurrent, "pool_for", pool), patch.object(concurrent, "_FINISH", 0.0):
        parts = Parts(
            workload,
            domain,
            Table({}, None),
            intake=outside,
            publisher=nothing,
            outcomes=aside,
            reader=nothing,
            encoder=nothing,
            patience=Patience(),
            stop=Stop(),
        )
        loop = ConcurrentLoop(parts, outside)
        bench = Bench(loop, brokers, sent, hands[0])
        loop.outage._clock = lambda: bench.now
        loop._decoding.entries[HEAD] = (lambda value: {"id": value[len(HEAD) :].decode()}, lambda _: None, None, False)
        yield bench


class _Machine(RuleBasedStateMachine):
    """Everything that may happen to the records of two partitions, in any order."""

    @initialize(order=st.sampled_from(["partition", "key", "none"]))
    def begin_with(self, order: Order) -> None:
        self.order = order
        self.context = running(order)
        self.bench = self.context.__enter__()
        self.hands, self.outage = self.bench.hands, self.bench.loop.outage
        self.began: dict[tuple[Place, int], int] = {}
        """In which term the handler of a record began last."""
        self.good: set[tuple[Place, int]] = set()
        self.over: set[tuple[Progress, int]] = set()
        """Which records of an assignment need not be waited for by those behind them."""
        self.bench.sent.seen = self._sent
        for place in PLACES:
            self.bench.assign(place)

    @rule(place=st.sampled_from(PLACES), keys=st.text("ab", min_size=1, max_size=6))
    def write(self, place: Place, keys: str) -> None:
        self.bench.write(*keys, place=place)

    @rule()
    def turn(self) -> None:
        polls = self.bench.brokers.polls
        self.bench.turn()
        assert self.bench.brokers.polls > polls, "polling never stops"

    @rule(seconds=st.floats(0, 5))
    def time_passes(self, seconds: float) -> None:
        self.bench.now += seconds

    @rule()
    def begin(self) -> None:
        while (job := self.hands.begin()) is not None:
            self._begun(job)

    @precondition(lambda self: self.hands.at_work)
    @rule(data=st.data(), error=st.sampled_from([None, AWAY, AWAY, AWAY, Reject("no")]))
    def end(self, data: st.DataObject, error: Exception | None) -> None:
        job = self.hands.at_work[data.draw(st.integers(0, len(self.hands.at_work) - 1))]
        self._end(job, error)

    @rule()
    def leave(self) -> None:
        self.hands.leave()

    @rule(place=st.sampled_from(PLACES), lost=st.booleans())
    def goes_and_comes_back(self, place: Place, lost: bool) -> None:
        if lost:
            self.bench.loop.lost([place])
        else:
            self.bench.loop.revoked([place])
            self.bench.brokers.commit()
        self.bench.brokers.offsets.forget(place)
        self.bench.assign(place)

    @invariant()
    def nothing_is_committed_that_is_not_finished(self) -> None:
        if not hasattr(self, "bench"):
            return
        finished = self.good | {(message.place, message.offset()) for message, _ in self.bench.sent.failed_ones}
        for place, offset in self.bench.brokers.committed.items():
            assert all((place, number) in finished for number in range(offset))

    def teardown(self) -> None:
        """Have everything work again: all is handled, nothing is left over, and nothing stands still."""
        if not hasattr(self, "bench"):
            return
        logs = self.bench.brokers.log
        for _ in range(20 + 4 * sum(map(len, logs.values()))):
            self.bench.now += 100
            self.turn()
            self.begin()
            for job in list(self.hands.at_work):
                self._end(job, None)
            self.leave()
        self.turn()
        assert self.bench.brokers.committed == {place: len(keys) for place, keys in logs.items()}
        assert not self.bench.loop._lanes._behind
        assert self.outage.state == "closed"
        self.context.__exit__(None, None, None)

    def _begun(self, job: Job) -> None:
        assert self.outage.state != "open", "none begins"
        if self.outage.state == "half-open":
            now = [other for other in self.hands.at_work if other.term == self.outage.term and not other.share.dead]
            assert now == [job], "one probe at a time"
        place, offset = job.message.place, job.message.offset()
        self.began[place, offset] = self.outage.term
        for before in range(self.bench.first[job.share.progress], offset):
            keys = self.bench.brokers.log[place]
            if self.order == "partition" or (self.order == "key" and keys[before] == keys[offset]):
                assert (job.share.progress, before) in self.over, "in order"

    def _end(self, job: Job, error: Exception | None) -> None:
        self.hands.end(job, error)
        if error is None:
            self.over.add((job.share.progress, job.message.offset()))
            self.good.add((job.message.place, job.message.offset()))

    def _sent(self, progress: Progress, message: Message, error: Exception) -> None:
        """Judge what goes to a retry topic, or is dead-lettered."""
        self.over.add((progress, message.offset()))
        if error is AWAY:
            began = self.began[message.place, message.offset()]
            if self.outage.state == "closed":
                assert began == self.outage.term, "it failed during an outage that is over, and is to be handled again"
            else:
                assert self.outage._of_one == ((message.place, message.offset()), 10), "it failed during an outage"


TestMachine = _Machine.TestCase


@pytest.fixture
def bench() -> Iterator[Bench]:
    with running("none", size=8) as bench:
        bench.assign(PLACES[0])
        yield bench


def away(bench: Bench) -> None:
    """Begin an outage with the records 0 to 3, 3 being the one that stays."""
    bench.turn()
    assert bench.begin() == list(range(8))
    for offset in range(4):
        bench.end(offset, AWAY)
    bench.turn()
    assert bench.loop.outage.state == "open"


def test_what_fails_until_it_is_an_outage_is_sent_and_what_was_at_work_then_stays(bench: Bench) -> None:
    bench.write(*"abcdefghijkl")
    away(bench)
    assert [message.offset() for message, _ in bench.sent.failed_ones] == [0, 1, 2]
    for offset in range(4, 8):
        bench.end(offset, AWAY)
    bench.turn()
    assert len(bench.sent.failed_ones) == 3
    assert bench.begin() == []
    assert bench.loop.outage.probes == 0, "they tell nothing: they had begun before"


def test_the_end_of_a_handler_that_began_before_is_no_probe(bench: Bench) -> None:
    bench.write(*"abcdefghijkl")
    away(bench)
    bench.now += 1
    bench.turn()
    assert bench.begin() == [3]
    bench.end(4)
    bench.turn()
    assert (bench.loop.outage.state, bench.begin()) == ("half-open", [])
    bench.end(3, AWAY)
    bench.turn()
    assert (bench.loop.outage.state, bench.loop.outage.probes) == ("open", 1)


def test_it_ramps_up_behind_a_probe(bench: Bench) -> None:
    bench.write(*"abcdefghijklmnopqrstuvwxyz")
    away(bench)
    for offset in range(4, 8):
        bench.end(offset)
    bench.now += 1
    bench.turn()
    at_work = [bench.begin()]
    while len(at_work[-1]) < 8:
        bench.end(at_work[-1][0])
        bench.turn()
        at_work.append([*at_work[-1][1:], *bench.begin()])
        assert len(at_work) < 10
    assert [len(offsets) for offsets in at_work] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_nothing_is_taken_while_it_is_open_and_a_probe_is_taken_where_none_is_in_hand(bench: Bench) -> None:
    bench.write(*"abcdefgh")
    away(bench)
    bench.write(*"ijkl")
    bench.turn()
    assert len(bench.brokers.taken) == 8
    bench.loop.revoked([PLACES[0]])
    bench.brokers.offsets.forget(PLACES[0])
    bench.assign(PLACES[0])
    for offset in range(4, 8):
        bench.end(offset, AWAY)
    bench.turn()
    assert bench.begin() == []
    bench.now += 1
    bench.turn()
    bench.turn()
    assert len(bench.begin()) == 1


def test_a_probe_whose_partition_goes_is_followed_by_another(bench: Bench) -> None:
    bench.write(*"abcdefgh")
    away(bench)
    bench.now += 1
    bench.turn()
    assert bench.begin() == [3]
    bench.loop.lost([PLACES[0]])
    bench.brokers.offsets.forget(PLACES[0])
    bench.assign(PLACES[1])
    bench.write("a", place=PLACES[1])
    bench.turn()
    bench.turn()
    assert bench.begin() == [0], "the lost one may hang as long as it likes"


def test_a_stop_leaves_what_is_in_hand(bench: Bench) -> None:
    bench.write(*"abcdefghijkl")
    away(bench)
    for offset in range(4, 8):
        bench.end(offset, AWAY)
    bench.loop._finish(list(bench.loop._shares.values()), 0.0, polling=True)
    bench.brokers.commit()
    assert bench.begin() == []
    assert bench.brokers.committed[PLACES[0]] == 3


def test_what_cannot_be_read_tells_the_breaker_nothing_and_frees_the_place_of_the_probe() -> None:
    outage: Any = SimpleNamespace(term=1, state="half-open", limit=lambda: 1)  # neither failed nor succeeded is asked
    lanes = Lanes()
    gate = Gate(outage, lanes, SIZE, wake=lambda: None)
    share: Any = SimpleNamespace(place=PLACES[0], closed=False, dead=False, running=0)
    poison: Any = Message(PLACES[0], 0, "a")
    lanes.allow(1, 1)
    lanes.add([Job.unreadable(poison, None, ValueError("no event"), share), Job.unreadable(poison, None, AWAY, share)])
    first = lanes.take()
    assert first is not None
    assert lanes.take() is None, "there is one probe at a time"
    first.error = AWAY
    lanes.done(first)
    assert gate.ended(first) is False, "it does not stay"
    gate.look()
    assert lanes.take() is not None
