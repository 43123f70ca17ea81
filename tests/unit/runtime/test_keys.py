"""The order of keys through retries: any interleaving of reads, outcomes, holds, crashes and restarts keeps it."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lockgate.runtime.keys import Action, Ident, Keys, marker

MAIN, TIER1, TIER2, PARKED = "main", "tier-1", "tier-2", "parked"
RETRY = (TIER1, TIER2, PARKED)
MOST = 6
WINDOW = 2
"""Records of the parked topic that are in hand at most."""


class Entry(NamedTuple):
    """A record of a topic."""

    key: bytes
    ident: Ident
    kind: Literal["record", "poison", "hold", "release"] = "record"


class Item:
    """A record in hand: what it is, and which record of which topic it was read from."""

    def __init__(self, key: bytes, ident: Ident, place: str, offset: int) -> None:
        self.key, self.ident, self.place, self.offset = key, ident, place, offset


class _Machine(RuleBasedStateMachine):
    """One partition number: the brokers' topics and what is committed; and a process, which may crash.

    What the brokers hold changes in steps that are whole: a move (a copy and the end of what it is a copy of) is one
    transaction, which also carries all that was finished before it. A crash takes away everything else.
    """

    contract = "continue"

    def __init__(self) -> None:
        super().__init__()
        self.topics: dict[str, list[Entry]] = {name: [] for name in (MAIN, *RETRY)}
        self.committed: dict[str, set[int]] = {name: set() for name in self.topics}  # finished, on the brokers
        self.handled: dict[bytes, list[int]] = {}  # sources, at their first success
        self.letters: set[tuple[bytes, int]] = set()
        self.held: set[tuple[bytes, Ident]] = set()  # dead letters that hold their keys, and were not released
        self.rounds: dict[tuple[bytes, int], int] = {}  # the last replay round of a letter
        self.boot(holding=self.contract == "hold")

    def boot(self, *, holding: bool) -> None:
        """Start a process: find the copies from the first unfinished on, before anything is taken."""
        self.holding = holding
        if not holding:
            self.held.clear()
        self.keys: Keys[Item] = Keys(MOST)
        self.finished = {name: set(offsets) for name, offsets in self.committed.items()}
        self.position: dict[str, int] = {}
        self.lanes: dict[bytes, deque[Item]] = {}
        self.due: set[tuple[str, int]] = set()
        self.window = 0
        self.read_to = 0
        self.releases: dict[tuple[bytes, Ident], int] = {}
        for name in self.topics:
            first = next((o for o in range(len(self.topics[name])) if o not in self.finished[name]), None)
            self.position[name] = len(self.topics[name]) if first is None else first
        self.finished[MAIN] = set(range(self.position[MAIN]))  # its commit is a plain offset
        for name in RETRY:
            for offset in range(self.position[name], len(self.topics[name])):
                if offset not in self.finished[name]:
                    key, ident, kind = self.topics[name][offset]
                    if kind == "record":
                        self.keys.found(key, *ident[:2], tiered=name != PARKED)
                    elif kind == "hold" and holding:
                        self.keys.found_held(key, *ident[:2])

    def commit(self) -> None:
        self.committed = {name: set(offsets) for name, offsets in self.finished.items()}

    def act(self, actions: list[Action[Item]]) -> None:
        for what, item in actions:
            if what == "run":
                self.lanes.setdefault(item.key, deque()).append(item)
                continue
            if item.place == PARKED:
                self.window -= 1
            if what == "off" and item.place == PARKED:
                self.keys.put_off(item.key, item.ident, item.offset)
                continue
            if what != "skip":
                self.topics[PARKED].append(Entry(item.key, item.ident))
            self.finished[item.place].add(item.offset)
            if what != "skip":
                self.commit()

    def dead_letter(self, key: bytes, ident: Ident, place: str, offset: int) -> None:
        """Write a dead letter, and with it what holds its key."""
        self.letters.add((key, ident[0]))
        self.finished[place].add(offset)
        if self.holding:
            self.topics[PARKED].append(Entry(key, marker(*ident[:2]), "hold"))
            self.held.add((key, marker(*ident[:2])))
        self.commit()

    @rule(key=st.sampled_from([b"a", b"b"]), poison=st.sampled_from([False] * 5 + [True]))
    def produced(self, key: bytes, poison: bool = False) -> None:
        ident = (len(self.topics[MAIN]), 0, 0)
        self.topics[MAIN].append(Entry(key, ident, "poison" if poison else "record"))

    @rule(key=st.sampled_from([b"a", b"b"]), count=st.integers(2, 4))
    def produced_and_read_in_a_row(self, key: bytes, count: int) -> None:
        """Get several records of a key in hand: step by step, that hardly ever comes about before a crash."""
        for _ in range(count):
            self.produced(key)
        while self.position[MAIN] < len(self.topics[MAIN]) and not self.keys.full:
            self.read(MAIN)

    @rule(name=st.sampled_from([MAIN, *RETRY]))
    def read(self, name: str) -> None:
        if name == PARKED:
            self.read_parked()
            return
        offset = self.position[name]
        if offset >= len(self.topics[name]) or (name == MAIN and self.keys.full):
            return
        key, ident, _ = self.topics[name][offset]
        if offset in self.finished[name]:
            self.position[name] += 1
            return
        if name in (TIER1, TIER2) and (name, offset) not in self.due:
            return
        self.position[name] += 1
        item = Item(key, ident, name, offset)
        if name != MAIN:
            item.ident = self.keys.admit(key, *ident[:2], tiered=True)
            self.act(self.keys.arrive(key, item.ident, item))
        else:
            self.act(self.keys.take(key, offset, item))

    def read_parked(self) -> None:
        if self.position[PARKED] == len(self.topics[PARKED]):
            again = self.keys.again()
            self.position[PARKED] = self.position[PARKED] if again is None else again
        offset = self.position[PARKED]
        if offset >= len(self.topics[PARKED]):
            return
        key, ident, kind = self.topics[PARKED][offset]
        seen = self.keys.put_off_at(offset)
        if offset in self.finished[PARKED] or (offset < self.read_to and seen is None):
            self.position[PARKED] += 1  # it is done, or in hand
            return
        if kind == "release":
            self.position[PARKED] = self.read_to = offset + 1
            if self.keys.is_held(key, ident):
                self.releases[key, ident] = offset
                self.release(key, ident)
            else:
                self.finished[PARKED].add(offset)
            return
        if kind == "hold":
            self.position[PARKED] += 1
            if seen is None:
                self.read_to = offset + 1
                if self.holding and self.keys.lies(key, ident, offset):
                    self.release(key, ident)
                else:
                    self.finished[PARKED].add(offset)
            return
        ident = self.keys.admit(key, *ident[:2], tiered=False) if seen is None else seen
        if not self.keys.is_near(key, ident):
            if seen is None:
                self.keys.put_off(key, ident, offset)
        elif self.window < WINDOW:
            self.window += 1
            self.act(self.keys.arrive(key, ident, Item(key, ident, PARKED, offset)))
        else:
            return  # it waits for room
        self.position[PARKED] += 1
        self.read_to = max(self.read_to, offset + 1)

    def release(self, key: bytes, hold: Ident) -> None:
        """Let a key go on, once both its marker and the release were read."""
        place = self.keys.place_of(key, hold)
        if place is not None and (key, hold) in self.releases:
            self.finished[PARKED] |= {place, self.releases.pop((key, hold))}
            self.act(self.keys.finish(key, hold))

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), behind_another=st.booleans())
    def replayed(self, data: st.DataObject, behind_another: bool) -> None:
        key, source = data.draw(st.sampled_from(sorted(self.letters)))
        way_back = PARKED if self.contract == "hold" else TIER1
        self.topics[way_back].append(Entry(key, (source, 1, 0)))
        if behind_another:  # it arrives while a record of the domain topic is in hand
            self.produced_and_read_in_a_row(key, 2)
            self.due |= {(way_back, offset) for offset in range(len(self.topics[way_back]))}
            while self.position[way_back] < len(self.topics[way_back]):
                before = self.position[way_back]
                self.read(way_back)
                if self.position[way_back] == before:
                    break

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def released(self, data: st.DataObject) -> None:
        self.operator_releases(*data.draw(st.sampled_from(sorted(self.held))))

    def operator_releases(self, key: bytes, hold: Ident) -> None:
        self.topics[PARKED].append(Entry(key, hold, "release"))
        self.held.discard((key, hold))

    @rule()
    def parked_anew(self) -> None:
        """Send everything that was put off to the end of the parked topic, in one transaction."""
        for offset, (key, ident) in sorted(self.keys._off.items()):
            self.topics[PARKED].append(self.topics[PARKED][offset])
            self.finished[PARKED].add(offset)
            self.keys.moved(key, ident)
        self.commit()

    @rule(name=st.sampled_from([TIER1, TIER2]), data=st.data())
    def time_passes(self, name: str, data: st.DataObject) -> None:
        if self.topics[name]:
            self.due.add((name, data.draw(st.integers(0, len(self.topics[name]) - 1))))

    @precondition(lambda self: self.lanes)
    @rule(data=st.data(), ends=st.sampled_from(["well", "badly", "in a letter"]))
    def handler_ended(self, data: st.DataObject, ends: str) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.lanes))), ends)

    def end(self, key: bytes, ends: str) -> None:
        item = self.lanes[key].popleft()
        self.window -= item.place == PARKED
        source = item.ident[0]
        seen = self.handled.setdefault(key, [])
        self.its_turn_has_come(item)
        if self.topics[MAIN][source].kind == "poison":
            ends = "in a letter"
        if ends == "badly" and item.place in (MAIN, TIER1, PARKED):
            behind = self.taken_back(key)
            self.topics[TIER2 if item.place == TIER1 else TIER1].append(Entry(key, item.ident))
            self.finished[item.place].add(item.offset)
            self.commit()
            self.act(self.keys.retry(key, item.ident, behind))
            return
        if ends == "well":
            if source not in seen:
                seen.append(source)
            self.finished[item.place].add(item.offset)
        else:
            self.dead_letter(key, item.ident, item.place, item.offset)
            if self.holding:
                self.act(self.keys.hold(key, item.ident, self.taken_back(key)))
                return
        if not self.lanes[key]:
            del self.lanes[key]
        self.act(self.keys.finish(key, item.ident))

    def its_turn_has_come(self, item: Item) -> None:
        key, (source, replay, _) = item.key, item.ident
        done = {*self.handled.get(key, ()), *(letter for name, letter in self.letters if name == key)}
        earlier = {entry.ident[0] for entry in self.topics[MAIN] if entry.key == key and entry.ident[0] < source}
        assert earlier <= done, "a record was handled before an earlier one of its key had its outcome"
        waiting = [hold for name, hold in self.held if name == key and hold[:2] <= (source, replay)]
        assert not waiting, "a record was handled although a dead letter holds its key"

    def taken_back(self, key: bytes) -> list[tuple[Ident, Item, bool]]:
        return [(other.ident, other, other.place != MAIN) for other in self.lanes.pop(key)]

    @rule()
    def committed_now(self) -> None:
        self.commit()

    @rule()
    def crashed_or_rebalanced(self) -> None:
        self.boot(holding=self.holding)

    @invariant()
    def order_is_kept(self) -> None:
        for key, seen in self.handled.items():
            letters = {source for name, source in self.letters if name == key}
            firsts = [source for source in seen if source not in letters]  # repeated ones may end either way
            assert firsts == sorted(firsts)

    @invariant()
    def nothing_is_kept_but_of_keys_that_have_copies(self) -> None:
        states = self.keys._keys.values()
        assert all(state.copies for state in states)
        assert sum(len(state.copies) for state in states) == self.keys._copies
        assert self.keys.full == (self.keys._copies >= MOST)
        assert self.keys.held == sum(bool(state.held) for state in states)
        assert sum(len(state.off) for state in states) == len(self.keys._off)

    @invariant()
    def nothing_is_in_hand_of_keys_that_wait_for_long(self) -> None:
        for state in self.keys._keys.values():
            if state.at_work is None and state.copies[0] in state.tiered | state.held:
                assert not state.hand
                assert not state.behind

    @invariant()
    def no_more_than_a_window_of_the_parked_topic_is_in_hand(self) -> None:
        hands = [*self.lanes.values(), *(state.hand.values() for state in self.keys._keys.values())]
        assert sum(item.place == PARKED for hand in hands for item in hand) == self.window <= WINDOW

    def teardown(self) -> None:
        """Let everything come to its end: nothing is lost, every key gets free."""
        for _ in range(1000):
            for state in list(self.keys._keys.items()):
                for hold in sorted(state[1].held):
                    if (state[0], hold) not in self.releases and self.keys.place_of(state[0], hold) is not None:
                        self.operator_releases(state[0], hold)
            for name in self.topics:
                self.due |= {(name, offset) for offset in range(len(self.topics[name]))}
                self.read(name)
            for key in list(self.lanes):
                item = self.lanes[key].popleft()
                self.window -= item.place == PARKED
                if not self.lanes[key]:
                    del self.lanes[key]
                self.its_turn_has_come(item)
                seen = self.handled.setdefault(key, [])
                if item.ident[0] not in seen:
                    seen.append(item.ident[0])
                self.finished[item.place].add(item.offset)
                self.act(self.keys.finish(key, item.ident))
            self.order_is_kept()
            if all(self.finished[name] >= set(range(len(self.topics[name]))) for name in self.topics):
                break
        for key, ident, _ in self.topics[MAIN]:
            assert ident[0] in self.handled.get(key, ()) or (key, ident[0]) in self.letters, "a record is lost"
        assert not self.keys._keys, "a key is not free"
        assert self.keys._copies == self.keys.held == 0


class _HoldingMachine(_Machine):
    """The same where a dead letter holds its key until an operator releases it, or the contract says otherwise."""

    contract = "hold"

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def restarted_and_read_on_behind_a_dead_letter(self, data: st.DataObject) -> None:
        key, _ = data.draw(st.sampled_from(sorted(self.held)))
        self.boot(holding=True)
        self.produced_and_read_in_a_row(key, 2)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def replayed_twice_and_released(self, data: st.DataObject) -> None:
        key, hold = data.draw(st.sampled_from(sorted(self.held)))
        self.topics[PARKED] += [Entry(key, (hold[0], hold[1] + 1, 0))] * 2
        self.operator_releases(key, hold)
        for _ in self.topics[PARKED]:
            self.read_parked()
        for ends in ("in a letter", "well"):  # the second copy must not go on behind the first one's letter
            if key in self.lanes:
                self.end(key, ends)

    @rule(holding=st.sampled_from([True, True, True, False]))
    def restarted_by_another_contract(self, holding: bool) -> None:
        self.boot(holding=holding)


TestKeys = _Machine.TestCase
TestKeys.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestKeysThatAreHeld = _HoldingMachine.TestCase
TestKeysThatAreHeld.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)


def test_a_copy_in_the_parked_topic_is_not_taken_for_its_twin_in_a_tier() -> None:
    keys: Keys[str] = Keys(MOST)
    keys.found(b"a", 0, 1, tiered=True)  # a letter that was replayed twice, and failed once since
    keys.found(b"a", 0, 1, tiered=False)
    keys.found(b"a", 1, 0, tiered=False)
    parked = keys.admit(b"a", 0, 1, tiered=False)
    keys.put_off(b"a", parked, 0)
    tiered = keys.admit(b"a", 0, 1, tiered=True)
    assert tiered != parked
    assert keys.arrive(b"a", tiered, "tiered") == [("run", "tiered")]
    keys.finish(b"a", tiered)
    assert keys.again() == 0, "the parked one is next"
    assert keys.arrive(b"a", parked, "parked") == [("run", "parked")]


def test_one_copy_too_many_of_a_letter_is_a_copy_of_its_own() -> None:
    keys: Keys[str] = Keys(MOST)
    keys.found(b"a", 0, 1, tiered=True)
    assert keys.admit(b"a", 0, 1, tiered=False) == (0, 1, 1)
    assert keys.admit(b"a", 0, 1, tiered=True) == (0, 1, 0)
    assert keys.copies == 2
