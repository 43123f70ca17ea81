"""What may happen to records, processes, their group and their brokers, and how everything comes to its end."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from lockgate.avro.codec import Encoder
from lockgate.contracts import names
from lockgate.ids import derived_event_id
from lockgate.records import enclose, frame, with_envelope
from tests.labs import SCHEMA
from tests.model.brokers import Entry, Round
from tests.model.guarantees import Guarantees
from tests.model.owners import Fault, Owner
from tests.model.threads import TIME
from tests.model.workloads import FATES, KEYS, MODES

__all__ = ["Machine", "machine"]

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
LETTER = st.integers(0, 5)


class Machine(Guarantees):
    """Two processes at most, which share a group; and the records, whose fates are settled when they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(SCHEMA)
        self.owners: list[Owner] = []
        self.gone: list[Owner] = []
        self.nested = False
        self.join()
        self.step(0, 1)  # so that it knows its partitions before there is anything in them

    @rule(key=st.sampled_from(list(KEYS)), fate=st.sampled_from(FATES), count=st.integers(1, 3))
    def written(self, key: str, fate: tuple[str, ...], count: int) -> None:
        for _ in range(count):
            value = b"poison" if fate == ("poison",) else frame(1, self.encoder.encode({"id": key}))
            place = ("items", KEYS[key])
            offset = self.brokers.append(place, Entry(key.encode(), value))
            self.fates[place[1], offset, 0], self.keys[place[1], offset] = fate, key
            self.ids[derived_event_id(f"items-{place[1]}@{offset}", "work", 0)] = place[1], offset

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

    # ---- what operators do

    @precondition(lambda self: self.workload.parks or self.workload.retry_ms)
    @rule(letter=LETTER, fate=st.sampled_from(FATES[:-1]))
    def is_replayed(self, letter: int, fate: tuple[str, ...]) -> None:
        """Send a dead letter back, once."""
        letters = self.letters()
        waiting = [one for one in sorted(letters) if (*one[:2], one[2] + 1) not in self.fates]
        if not waiting:
            return
        one = waiting[letter % len(waiting)]
        entry, again = letters[one][0], (*one[:2], one[2] + 1)
        assert entry.envelope is not None
        self.fates[again] = self.fates[one] if self.fates[one] == ("poison",) else fate
        envelope = attrs.evolve(entry.envelope, replay=again[2], attempt=0, due=None)
        topic = self.parked_topic if self.workload.holds else names.retry_topic("items", "work", 1)
        self.brokers.append((topic, one[0]), Entry(entry.key, entry.value, with_envelope(entry.headers, envelope)))

    @precondition(lambda self: self.workload.holds)
    @rule(letter=LETTER)
    def is_released(self, letter: int) -> None:
        """Say that a dead letter does not hold its key any more; some say it twice."""
        letters = sorted(self.letters())
        if letters:
            self.release(letters[letter % len(letters)])

    def release(self, one: Round) -> None:
        rounds = sorted(other for other in self.fates if other[:2] == one[:2] and other[2] > one[2])
        self.behind.setdefault(one, tuple(rounds[:1]))
        entry = self.letters()[one][0]
        assert entry.envelope is not None
        word = attrs.evolve(entry.envelope, attempt=0, stage="release", held=None, releases=True)
        self.brokers.append((self.parked_topic, one[0]), Entry(entry.key, None, enclose((), word)))

    def release_all(self) -> None:
        """Release what is held and was not released, as an operator sees it."""
        said = {one for one, place, offset in self.words(releases=True) if not self.is_finished(place, offset)}
        for one, place, offset in self.words(releases=False):
            if not self.is_finished(place, offset) and one not in said:
                said.add(one)
                self.release(one)

    # ---- what handlers do

    def fate(self, one: Round, attempt: int) -> str:
        """Return what a handler does, which ends with it."""
        fates = self.fates[one]
        if attempt > len(fates):
            self.wrong.append(f"{one} is handled for the {attempt}th time")
            return "nothing"
        fate = fates[attempt - 1]
        self.ended.add(one)
        if fate == "nothing":
            self.done.add(one)
        return fate

    # ---- the end

    def teardown(self) -> None:
        """Let everything come to its end: without faults, nothing is missing, and nothing is left to read."""
        for owner in self.owners:
            owner.faults.clear()
            if owner.pool is not None:
                owner.pool.hanging = False
        if self.workload.holds:
            self._go_on(self.has_only_held, releasing=False)
            assert self.has_only_held(), "something stands still that no dead letter holds"
        self._go_on(self.is_settled, releasing=self.workload.holds)
        for check in (self.nothing_is_early_or_out_of_turn, self.what_is_committed_is_finished, self.once_is_once):
            check()
        self.no_owner_dead_letters_a_record_twice()
        self.a_letter_holds_its_key_until_it_is_released()
        assert self.is_settled(), f"not at its end: {self.lag()}"
        results, letters = self.results(), self.letters()
        for one, fates in self.fates.items():
            last = fates[: len(self.workload.retry_ms) + 1][-1]
            if last == "result":
                assert one[:2] in results, f"{one} has no result"
            elif last == "nothing":
                assert one in self.done, f"{one} was not handled"
            else:
                assert one in letters, f"{one} has no letter"

    def _go_on(self, until: Callable[[], bool], *, releasing: bool) -> None:
        for _ in range(150):
            self.the_dead_time_out()
            if not self.owners:
                self.join()
            if releasing:
                self.release_all()
            for owner in self.owners:
                owner.step()
                if owner.pool is not None:
                    while owner.pool.running:
                        owner.pool.end(0)
                if owner.commits is not None:
                    owner.commits.arrive()
            self.bury()
            TIME.now += 0.5
            if until():
                return

    def has_only_held(self) -> bool:
        """Tell whether nothing is left to be handled but what waits behind a letter."""
        letters, results = self.letters(), self.results()
        held = {self.keys[one[:2]] for one in letters if one not in self.behind}
        over = self.done | letters.keys()
        return all(one in over or one[:2] in results or self.keys[one[:2]] in held for one in self.fates)

    def is_settled(self) -> bool:
        return not self.lag() and not self.brokers.rebalancing


def machine(mode: str) -> type[Machine]:
    return type("Machine", (Machine,), {"workload": MODES[mode]})
