"""The whole loop against brokers in memory: any interleaving of what clients, brokers, handlers and time may do."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import attrs
import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from lockgate.avro.codec import Encoder
from lockgate.contracts import names
from lockgate.contracts.model import OutageSpec, Workload
from lockgate.ids import derived_event_id
from lockgate.notes import Finished
from lockgate.records import Place, frame, header
from lockgate.runtime import logs
from lockgate.runtime.commits import Commits
from lockgate.runtime.concurrent import ConcurrentLoop
from lockgate.runtime.decoding import Decoding
from lockgate.runtime.intake import Intake
from lockgate.runtime.keys import Keys
from lockgate.runtime.offsets import Offsets, Progress
from tests.brokers import Brokers, Entry, by_source
from tests.labs import HERE, SCHEMA
from tests.owners import RETRY_MS, TIME, Fault, Owner, replaced, topics_of

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
COMMON = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), stateful_step_count=30, print_blob=False
)
USUAL = settings(COMMON, max_examples=int(os.environ.get("EXAMPLES", "3000")) if LONG else 150, derandomize=not LONG)

PLAIN = Workload("work", "service", ("items.Made",), ("mail.Sent",), RETRY_MS, HERE, outage=OutageSpec(of=10_000))
MODES = {
    "at least once": PLAIN,
    "exactly once": attrs.evolve(PLAIN, exactly_once=True),
    "concurrent, by partition": attrs.evolve(PLAIN, concurrency=3),
    "concurrent, by key": attrs.evolve(PLAIN, concurrency=3, order="key", retry_ms=()),
    "concurrent, in no order": attrs.evolve(PLAIN, concurrency=3, order="none"),
    "keyed through tiers": attrs.evolve(PLAIN, concurrency=3, order="key"),
}

Source = tuple[int, int]
"""Partition and offset in the domain topic."""
KEYS = {"a": 0, "b": 0, "c": 1}
"""Which partition each key lies in."""
FATES = (
    ("nothing",),
    ("result",),
    ("fail", "nothing"),
    ("fail", "result"),
    ("fail", "fail", "fail"),
    ("reject",),
    ("fail", "reject"),
    ("poison",),
)
"""What a handler does with a record at its first attempt, its second, and so on."""
MOMENTS = {
    "poll": ("crash",),
    "commit": ("crash", "fails", "meanwhile"),
    "committed it": ("crash",),
    "committed": ("crash",),
    "delivery": ("crash", "fails", "is not heard of", "meanwhile"),
    "offsets": ("crash", "meanwhile"),
    "transaction": ("crash", "fails", "is not heard of", "meanwhile"),
    "transaction committed": ("crash", "meanwhile"),
}
FAULTS = [(moment, what) for moment, whats in MOMENTS.items() for what in whats]
OWNER = st.integers(0, 1)


class Machine(RuleBasedStateMachine):
    """Two processes at most, which share a group; and the records, whose fates are settled when they are written."""

    workload: ClassVar[Workload] = PLAIN

    def __init__(self) -> None:
        super().__init__()
        TIME.now = 1000.0
        self.brokers = Brokers(topics_of(self.workload), 2)
        self.encoder = Encoder(SCHEMA)
        self.fates: dict[Source, tuple[str, ...]] = {}
        self.keys: dict[Source, str] = {}
        self.ids: dict[str, Source] = {}
        self.begun: set[Source] = set()
        self.done: set[Source] = set()  # a handler has ended well, and there is nothing to publish
        self.ended: set[Source] = set()
        self.before: dict[Place, int] = {}
        self.owners: list[Owner] = []
        self.gone: list[Owner] = []
        self.wrong: list[str] = []
        self.nested = False
        self.letters_topic = names.dead_letter_topic("items", "work")
        self.join()

    # ---- what happens

    @rule(key=st.sampled_from(list(KEYS)), fate=st.sampled_from(FATES), count=st.integers(1, 3))
    def written(self, key: str, fate: tuple[str, ...], count: int) -> None:
        for _ in range(count):
            value = b"poison" if fate == ("poison",) else frame(1, self.encoder.encode({"id": key}))
            place = ("items", KEYS[key])
            offset = self.brokers.append(place, Entry(key.encode(), value))
            source = (place[1], offset)
            self.fates[source], self.keys[source] = fate, key
            self.ids[derived_event_id(f"items-{place[1]}@{offset}", "work", 0)] = source

    @rule(owner=OWNER, times=st.integers(1, 4))
    def step(self, owner: int, times: int) -> None:
        for _ in range(times):
            if self.owners:
                self.owners[owner % len(self.owners)].step()
                self.bury()

    @rule(owner=OWNER, index=st.integers(0, 2))
    def handler_ends(self, owner: int, index: int) -> None:
        if self.owners:
            pool = self.owners[owner % len(self.owners)].pool
            if pool is not None and pool.running:
                pool.end(index)

    @rule(owner=OWNER, hanging=st.booleans())
    def handlers_hang(self, owner: int, hanging: bool) -> None:
        if self.owners:
            pool = self.owners[owner % len(self.owners)].pool
            if pool is not None:
                pool.hanging = hanging

    @rule(owner=OWNER)
    def commit_arrives(self, owner: int) -> None:
        if self.owners:
            chosen = self.owners[owner % len(self.owners)]
            if chosen.commits is not None:
                chosen.guarded(chosen.commits.arrive)
                self.bury()

    @rule(seconds=st.sampled_from([0.1, 0.31, 0.8, 11.0]))
    def time_passes(self, seconds: float) -> None:
        TIME.now += seconds

    @precondition(lambda self: len(self.owners) < 2)
    @rule()
    def join(self) -> None:
        self.owners.append(
            Owner(self.brokers, self.workload, fate=self.fate, began=self.began, meanwhile=self.meanwhile)
        )

    @rule(owner=OWNER)
    def leaves(self, owner: int) -> None:
        if self.owners:
            self.owners[owner % len(self.owners)].stop()
            self.bury()

    @rule(owner=OWNER)
    def crashes(self, owner: int) -> None:
        if self.owners:
            self.owners[owner % len(self.owners)].alive = False
            self.bury()

    @rule(owner=OWNER)
    def is_taken_for_dead(self, owner: int) -> None:
        if self.owners:
            self.brokers.remove(self.owners[owner % len(self.owners)].consumer)

    @rule()
    def the_dead_time_out(self) -> None:
        for owner in self.gone:
            owner.time_out()
        self.gone.clear()

    @rule(owner=OWNER, fault=st.sampled_from(FAULTS), count=st.integers(1, 3))
    def will_go_wrong(self, owner: int, fault: tuple[str, str], count: int) -> None:
        if self.owners:
            self.owners[owner % len(self.owners)].faults.append(Fault(fault[0], count, fault[1]))

    def meanwhile(self, owner: Owner) -> None:
        """Let the group go on without a process that is in the midst of a call."""
        if self.nested:
            return
        self.nested = True
        self.brokers.remove(owner.consumer)
        self.the_dead_time_out()
        for other in list(self.owners):
            if other is not owner:
                for _ in range(3):
                    if other.alive:
                        other.step()
                    if other.pool is not None and other.pool.running:
                        other.pool.end(0)
        self.nested = False

    def bury(self) -> None:
        self.gone += [owner for owner in self.owners if not owner.alive]
        self.owners = [owner for owner in self.owners if owner.alive]

    # ---- what is known of it

    def fate(self, source: Source, attempt: int) -> str:
        """Return what a handler does, which ends with it."""
        fates = self.fates[source]
        if attempt > len(fates):
            self.wrong.append(f"{source} is handled for the {attempt}th time")
            return "nothing"
        fate = fates[attempt - 1]
        self.ended.add(source)
        if fate == "nothing":
            self.done.add(source)
        return fate

    def copies(self) -> dict[Source, list[tuple[Place, int, Entry]]]:
        """Return the visible copies in retry topics, by source."""
        found: dict[Source, list[tuple[Place, int, Entry]]] = {}
        for topic in topics_of(self.workload)[1:]:
            for place, offset, entry in self.brokers.visible(topic):
                assert entry.envelope is not None
                source = entry.envelope.source
                found.setdefault((source.partition, source.offset), []).append((place, offset, entry))
        return found

    def results(self) -> Counter[Source]:
        entries = self.brokers.visible("mail")
        return Counter(self.ids[(header(entry.headers, "ce_id") or b"").decode()] for _, _, entry in entries)

    def letters(self) -> dict[Source, list[Entry]]:
        return dict(by_source(self.brokers.visible(self.letters_topic)))

    def began(self, source: Source, attempt: int) -> None:
        """Note that a handler begins, and hold it against what is due and whose turn it is."""
        if attempt > 1:
            envelopes = [entry.envelope for _, _, entry in self.copies().get(source, [])]
            dues = [one.due for one in envelopes if one is not None and one.attempt == attempt - 1]
            times = [due for due in dues if due is not None]
            if not times or TIME.now * 1000 < min(times):
                self.wrong.append(f"{source} is handled at {TIME.now * 1000}, and is due at {times}")
        if source not in self.begun:
            self.in_turn(source)
        self.begun.add(source)

    def in_turn(self, source: Source) -> None:
        workload = self.workload
        earlier = [other for other in self.fates if other[0] == source[0] and other[1] < source[1]]
        earlier = [other for other in earlier if self.fates[other] != ("poison",)]
        if workload.order == "key":
            earlier = [other for other in earlier if self.keys[other] == self.keys[source]]
        if workload.order == "none":
            return
        if workload.parks:
            final = self.done | self.results().keys() | self.letters().keys()
        elif workload.concurrency > 1:
            final = self.ended
        else:
            final = self.begun
        ahead = [other for other in earlier if other not in final]
        if ahead:
            self.wrong.append(f"{source} is handled before {ahead}")

    # ---- what always holds

    @invariant()
    def nothing_is_early_or_out_of_turn(self) -> None:
        assert not self.wrong, self.wrong

    @invariant()
    def what_is_committed_is_finished(self) -> None:
        copies, final = self.copies(), self.done | self.results().keys() | self.letters().keys()
        for place, (offset, note) in self.brokers.committed.items():
            before = self.before.get(place, 0)
            assert offset >= before, f"the group goes back in {place}, from {before} to {offset}"
            self.before[place] = offset
            said = Finished(offset, note)
            for position, entry in enumerate(self.brokers.logs.get(place, [])):
                if entry.state != "committed" or position not in said:
                    continue
                if entry.envelope is None:
                    source, attempt = (place[1], position), -1
                else:
                    source = (entry.envelope.source.partition, entry.envelope.source.offset)
                    attempt = entry.envelope.attempt
                moved = any(
                    copy.envelope is not None and copy.envelope.attempt > attempt
                    for _, _, copy in copies.get(source, [])
                )
                assert source in final or moved, f"{place}@{position} is committed, and nothing became of it"

    @invariant()
    def no_owner_dead_letters_a_record_twice(self) -> None:
        copies = self.copies()
        for source, letters in self.letters().items():
            # a crash before a commit has left two copies of a record in a tier: each walks on by itself
            again = Counter(entry.envelope.attempt for _, _, entry in copies.get(source, []) if entry.envelope)
            writers = Counter(one.writer for one in letters if one.writer is not None)
            assert max(writers.values(), default=0) <= max(again.values(), default=1), f"{source}: {writers}"

    @invariant()
    def once_is_once(self) -> None:
        if self.workload.exactly_once:
            results, letters = self.results(), self.letters()
            assert all(times == 1 for times in results.values()), results
            assert all(len(found) == 1 for found in letters.values()), letters
            assert not results.keys() & letters.keys()

    # ---- the end

    def teardown(self) -> None:
        """Let everything come to its end: without faults, nothing is missing, and nothing is left to read."""
        for owner in self.owners:
            owner.faults.clear()
            if owner.pool is not None:
                owner.pool.hanging = False
        for _ in range(150):
            self.the_dead_time_out()
            if not self.owners:
                self.join()
            for owner in self.owners:
                owner.step()
                if owner.pool is not None:
                    while owner.pool.running:
                        owner.pool.end(0)
                if owner.commits is not None:
                    owner.commits.arrive()
            self.bury()
            TIME.now += 0.5
            if self.settled():
                break
        for check in (self.nothing_is_early_or_out_of_turn, self.what_is_committed_is_finished, self.once_is_once):
            check()
        self.no_owner_dead_letters_a_record_twice()
        assert self.settled(), f"not at its end: {self.lag()}"
        results, letters = self.results(), self.letters()
        for source, fates in self.fates.items():
            last = fates[: len(self.workload.retry_ms) + 1][-1]
            if last == "result":
                assert source in results, f"{source} has no result"
            elif last == "nothing":
                assert source in self.done, f"{source} was not handled"
            else:
                assert source in letters, f"{source} has no letter"

    def lag(self) -> dict[Place, tuple[int, int]]:
        ends = {place: self.brokers.end(place) for place in self.brokers.subscribed}
        committed = {place: self.brokers.committed.get(place, (0, ""))[0] for place in ends}
        return {place: (committed[place], end) for place, end in ends.items() if committed[place] != end}

    def settled(self) -> bool:
        return not self.lag() and not self.brokers.rebalancing


def machine(mode: str) -> type[Machine]:
    return type("Machine", (Machine,), {"workload": MODES[mode]})


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let loops say nothing, and run them without threads and without time."""
    before = structlog.get_config()
    logs.configure(io.StringIO(), {"LOCKGATE_LOG_LEVEL": "error", "LOCKGATE_LOG_FORMAT": "text"})
    with pytest.MonkeyPatch.context() as patch:
        replaced(patch)
        yield
    structlog.configure(**before)


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


def nothing(*_: Any) -> None:
    """Be left out."""


def commit_before_finish(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Progress, "hold", nothing)


def commit_after_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Commits, "settle", nothing)


def keep_what_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ConcurrentLoop, "lost", nothing)
    patch.setattr(Offsets, "forget", nothing)


def forget_when_it_is_due(patch: pytest.MonkeyPatch) -> None:
    envelope = Decoding.envelope

    def undue(self: Decoding, message: Any) -> Any:
        found = envelope(self, message)
        return found and attrs.evolve(found, due=None)

    patch.setattr(Decoding, "envelope", undue)


def park_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Keys, "take", lambda _, __, ___, item: [("run", item)])


class Fresh:
    """The membership as it is when it is shown, not as it was when the records were taken."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers

    def __iter__(self) -> Iterator[Any]:
        return iter((self._brokers.members[0], self._brokers.generation))


def show_a_fresh_membership(patch: pytest.MonkeyPatch) -> None:
    fresh = property(lambda self: Fresh(self.consumer.brokers), nothing)
    patch.setattr(Intake, "metadata", fresh, raising=False)


def an_answer_fails(it: Machine) -> None:
    it.written("a", ("fail", "nothing"), 1)
    it.will_go_wrong(0, ("delivery", "fails"), 1)
    it.step(0, 3)


def a_handler_takes_long(it: Machine) -> None:
    it.written("a", ("result",), 1)
    it.step(0, 2)
    it.commit_arrives(0)


def a_commit_arrives_late(it: Machine) -> None:
    it.written("a", ("nothing",), 1)
    it.step(0, 1)
    hand_over(it)
    it.step(0, 2)
    it.step(1, 2)
    it.commit_arrives(0)


def a_handler_ends_late(it: Machine) -> None:
    it.written("a", ("nothing",), 1)
    it.step(0, 2)
    hand_over(it)
    it.step(0, 1)
    it.step(1, 2)
    it.handler_ends(0, 0)
    it.step(0, 2)
    it.commit_arrives(0)


def hand_over(it: Machine) -> None:
    """Let a process be taken for dead, and another one do its work, and more."""
    it.written("a", ("nothing",), 1)
    it.is_taken_for_dead(0)
    it.join()
    it.step(1, 2)
    for _ in range(2):
        it.handler_ends(1, 0)
        it.step(1, 2)
    it.commit_arrives(1)
    it.what_is_committed_is_finished()


def no_time_passes(it: Machine) -> None:
    it.written("a", ("fail", "nothing"), 1)
    it.step(0, 3)
    it.handler_ends(0, 0)
    it.step(0, 3)


def the_next_of_a_key_comes(it: Machine) -> None:
    it.written("a", ("fail", "nothing"), 1)
    it.step(0, 4)
    it.time_passes(0.21)
    it.step(0, 2)
    it.handler_ends(0, 0)
    it.step(0, 3)
    it.written("a", ("nothing",), 1)
    it.step(0, 4)


def the_group_goes_on_meanwhile(it: Machine) -> None:
    it.step(0, 1)
    it.join()
    it.written("a", ("result",), 1)
    it.will_go_wrong(0, ("delivery", "meanwhile"), 1)
    it.step(0, 1)


SABOTAGE: list[tuple[Callable[[pytest.MonkeyPatch], None], str, Callable[[Machine], None], str]] = [
    (commit_before_finish, "at least once", an_answer_fails, "nothing became of it"),
    (commit_before_finish, "concurrent, in no order", a_handler_takes_long, "nothing became of it"),
    (commit_after_lost, "at least once", a_commit_arrives_late, "goes back"),
    (keep_what_is_lost, "concurrent, by partition", a_handler_ends_late, "goes back"),
    (forget_when_it_is_due, "at least once", no_time_passes, "is due at"),
    (forget_when_it_is_due, "concurrent, by partition", no_time_passes, "is due at"),
    (park_nothing, "keyed through tiers", the_next_of_a_key_comes, "is handled before"),
    (show_a_fresh_membership, "exactly once", the_group_goes_on_meanwhile, "Counter"),
]


@pytest.mark.parametrize(
    ("sabotage", "mode", "happens", "said"), SABOTAGE, ids=[f"{what.__name__}-{mode}" for what, mode, *_ in SABOTAGE]
)
def test_broken_on_purpose_it_is_found(
    sabotage: Callable[[pytest.MonkeyPatch], None],
    mode: str,
    happens: Callable[[Machine], None],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One interleaving that a mistake cannot survive: nothing is found in it without the mistake."""
    run(machine(mode)(), happens)
    sabotage(monkeypatch)
    with pytest.raises(AssertionError, match=said):
        run(machine(mode)(), happens)


def run(it: Machine, happens: Callable[[Machine], None]) -> None:
    happens(it)
    it.nothing_is_early_or_out_of_turn()
    it.what_is_committed_is_finished()
    it.teardown()
