"""The order of keys through retries: any interleaving of reads, outcomes, dues, crashes and restarts keeps it."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lockgate.runtime.keys import Action, Ident, Keys

MAIN, TIER1, TIER2, PARKED = "main", "tier-1", "tier-2", "parked"
RETRY = (TIER1, TIER2, PARKED)
MOST = 6


class Item:
    """A record in hand: what it is, and which record of which topic it was read from."""

    def __init__(self, key: bytes, ident: Ident, place: str, offset: int) -> None:
        self.key, self.ident, self.place, self.offset = key, ident, place, offset


class _Machine(RuleBasedStateMachine):
    """One partition number: the brokers' topics and what is committed; and a process, which may crash.

    What the brokers hold changes in steps that are whole: a move (a copy and the end of what it is a copy of) is one
    transaction, which also carries all that was finished before it. A crash takes away everything else.
    """

    def __init__(self) -> None:
        super().__init__()
        self.topics: dict[str, list[tuple[bytes, Ident]]] = {name: [] for name in (MAIN, *RETRY)}
        self.committed: dict[str, set[int]] = {name: set() for name in self.topics}  # finished, on the brokers
        self.handled: dict[bytes, list[int]] = {}  # sources, at their first success
        self.letters: set[tuple[bytes, int]] = set()
        self.boot()

    def boot(self) -> None:
        """Start a process: find the copies from the first unfinished on, before anything is taken."""
        self.keys: Keys[Item] = Keys(MOST)
        self.finished = {name: set(offsets) for name, offsets in self.committed.items()}
        self.position: dict[str, int] = {}
        self.lanes: dict[bytes, deque[Item]] = {}
        self.due: set[tuple[str, int]] = set()
        for name in self.topics:
            first = next((o for o in range(len(self.topics[name])) if o not in self.finished[name]), None)
            self.position[name] = len(self.topics[name]) if first is None else first
        self.finished[MAIN] = set(range(self.position[MAIN]))  # its commit is a plain offset
        for name in RETRY:
            for offset in range(self.position[name], len(self.topics[name])):
                if offset not in self.finished[name]:
                    key, ident = self.topics[name][offset]
                    self.keys.found(key, *ident[:2], tiered=name != PARKED)

    def commit(self) -> None:
        self.committed = {name: set(offsets) for name, offsets in self.finished.items()}

    def act(self, actions: list[Action[Item]]) -> None:
        for what, item in actions:
            if what == "run":
                self.lanes.setdefault(item.key, deque()).append(item)
            else:
                if what == "park":
                    assert item.place == MAIN, "only records of the domain topic are parked"
                    self.topics[PARKED].append((item.key, item.ident))
                self.finished[item.place].add(item.offset)
                if what == "park":
                    self.commit()

    @rule(key=st.sampled_from([b"a", b"b"]))
    def produced(self, key: bytes) -> None:
        self.topics[MAIN].append((key, (len(self.topics[MAIN]), 0, 0)))

    @rule(key=st.sampled_from([b"a", b"b"]), count=st.integers(2, 4))
    def produced_and_read_in_a_row(self, key: bytes, count: int) -> None:
        """Get several records of a key in hand: step by step, that hardly ever comes about before a crash."""
        for _ in range(count):
            self.produced(key)
        while self.position[MAIN] < len(self.topics[MAIN]) and not self.keys.full:
            self.read(MAIN)

    @rule(name=st.sampled_from([MAIN, *RETRY]))
    def read(self, name: str) -> None:
        offset = self.position[name]
        if offset >= len(self.topics[name]) or (name == MAIN and self.keys.full):
            return
        key, ident = self.topics[name][offset]
        if offset in self.finished[name]:
            self.position[name] += 1
            return
        if name in (TIER1, TIER2) and (name, offset) not in self.due:
            return
        self.position[name] += 1
        if name == MAIN:
            self.act(self.keys.take(key, ident[0], Item(key, ident, name, offset)))
        else:
            ident = self.keys.admit(key, *ident[:2])
            self.act(self.keys.arrive(key, ident, Item(key, ident, name, offset)))

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), behind_another=st.booleans())
    def replayed(self, data: st.DataObject, behind_another: bool) -> None:
        key, source = data.draw(st.sampled_from(sorted(self.letters)))
        self.topics[TIER1].append((key, (source, 1, 0)))
        if behind_another:  # it arrives while a record of the domain topic is in hand
            self.produced_and_read_in_a_row(key, 2)
            self.due |= {(TIER1, offset) for offset in range(len(self.topics[TIER1]))}
            while self.position[TIER1] < len(self.topics[TIER1]):
                self.read(TIER1)

    @rule(name=st.sampled_from([TIER1, TIER2]), data=st.data())
    def time_passes(self, name: str, data: st.DataObject) -> None:
        if self.topics[name]:
            self.due.add((name, data.draw(st.integers(0, len(self.topics[name]) - 1))))

    @precondition(lambda self: self.lanes)
    @rule(data=st.data(), ends=st.sampled_from(["well", "badly", "in a letter"]))
    def handler_ended(self, data: st.DataObject, ends: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.lanes)))
        item = self.lanes[key].popleft()
        source = item.ident[0]
        seen = self.handled.setdefault(key, [])
        done = {*seen, *(letter for name, letter in self.letters if name == key)}
        earlier = {ident[0] for name, ident in self.topics[MAIN] if name == key and ident[0] < source}
        assert earlier <= done, "a record was handled before an earlier one of its key had its outcome"
        if ends == "badly" and item.place in (MAIN, TIER1, PARKED):
            behind = [(other.ident, other, other.place != MAIN) for other in self.lanes.pop(key)]
            self.topics[TIER2 if item.place == TIER1 else TIER1].append((key, item.ident))
            self.finished[item.place].add(item.offset)
            self.commit()
            self.act(self.keys.retry(key, item.ident, behind))
            return
        if ends == "well":
            if source not in seen:
                seen.append(source)
        else:
            self.letters.add((key, source))
        self.finished[item.place].add(item.offset)
        if ends != "well":
            self.commit()
        if not self.lanes[key]:
            del self.lanes[key]
        self.act(self.keys.finish(key, item.ident))

    @rule()
    def committed_now(self) -> None:
        self.commit()

    @rule()
    def crashed_or_rebalanced(self) -> None:
        self.boot()

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

    def teardown(self) -> None:
        """Let everything come to its end: nothing is lost, every key gets free."""
        for _ in range(1000):
            for name in self.topics:
                self.due |= {(name, offset) for offset in range(len(self.topics[name]))}
                self.read(name)
            for key in list(self.lanes):
                item = self.lanes[key].popleft()
                if not self.lanes[key]:
                    del self.lanes[key]
                seen = self.handled.setdefault(key, [])
                if item.ident[0] not in seen:
                    seen.append(item.ident[0])
                self.finished[item.place].add(item.offset)
                self.act(self.keys.finish(key, item.ident))
            self.order_is_kept()
            if all(self.finished[name] >= set(range(len(self.topics[name]))) for name in self.topics):
                break
        for key, ident in self.topics[MAIN]:
            assert ident[0] in self.handled.get(key, ()) or (key, ident[0]) in self.letters, "a record is lost"
        assert not self.keys._keys, "a key is not free"
        assert self.keys._copies == 0


TestKeys = _Machine.TestCase
TestKeys.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
