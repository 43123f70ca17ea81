"""What may happen to records, processes, their group and their brokers, and how everything comes to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lockgate.avro.codec import Encoder
from lockgate.ids import derived_event_id
from lockgate.records import frame
from tests.labs import SCHEMA
from tests.model.brokers import Entry, Round
from tests.model.happenings import BOTH, OWNER, Happening, happens
from tests.model.operators import Operators
from tests.model.owners import Fault, Owner
from tests.model.threads import TIME, Slots
from tests.model.workloads import FATES, KEYS, MODES, has_outages, has_threads

__all__ = ["Machine", "machine"]

MOMENTS = {
    "poll": ("crash",),
    "commit": ("crash", "fails", "meanwhile"),
    "committed it": ("crash",),
    "committed": ("crash",),
    "delivery": ("crash", "fails", "is not heard of", "meanwhile"),
    "offsets": ("crash", "hangs", "meanwhile"),
    "transaction": ("crash", "fails", "is not heard of", "meanwhile"),
    "transaction committed": ("crash", "meanwhile"),
}
SHARED = ("lanes", "lanes", "poll", "commit", "delivery", "offsets", "transaction")
"""Moments at which other threads may have their turn."""
FAULTS = [(moment, what) for moment, whats in MOMENTS.items() for what in whats]


class Machine(Operators):
    """Two processes at most, which share a group; and the records, whose fates are settled when they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(SCHEMA)
        self.owners: list[Owner] = []
        self.gone: list[Owner] = []
        self.nested = False
        self.join()
        self.step(0, 1)  # so that it knows its partitions before there is anything in them

    @happens(often=4, key=list(KEYS), fate=FATES, count=(1, 2, 3))
    def written(self, key: str, fate: tuple[str, ...], count: int) -> None:
        for _ in range(count):
            value = b"poison" if fate == ("poison",) else frame(1, self.encoder.encode({"id": key}))
            place = ("items", KEYS[key])
            offset = self.brokers.append(place, Entry(key.encode(), value))
            self.fates[place[1], offset, 0], self.keys[place[1], offset] = fate, key
            self.ids[derived_event_id(f"items-{place[1]}@{offset}", "work", 0)] = place[1], offset

    @happens(often=3, owner=OWNER, times=(1, 2, 3, 4))
    def step(self, owner: int, times: int) -> None:
        for _ in range(times):
            if self.owners:
                self.owners[owner % len(self.owners)].step()
                self.bury()

    def go_through(self, row: Iterable[Happening]) -> None:
        """Let one thing happen after the other, and then everything come to its end."""
        for one in row:
            getattr(self, one.name)(**one.given)
            self.turn(one.owner, one.turns)
            self.check()
        self.end()

    def turn(self, owner: int, times: int) -> None:
        """Let a process go about its work: take records, handle some, commit, while time passes."""
        for _ in range(times):
            self.step(owner, 1)
            pool = self.pool_of(owner)
            if pool is not None:
                pool.go_on()
                if pool.running and not pool.hanging:
                    pool.end(0)
            TIME.now += 0.1

    def pool_of(self, owner: int) -> Slots | None:
        return self.owners[owner % len(self.owners)].pool if self.owners else None

    @happens(often=2, where=has_threads, owner=OWNER, index=(0, 1, 2), lingering=BOTH)
    def handler_ends(self, owner: int, index: int, lingering: bool) -> None:
        pool = self.pool_of(owner)
        if pool is not None and pool.running:
            pool.end(index, lingering=lingering)

    @happens(where=has_threads, owner=OWNER, hanging=BOTH, late=BOTH)
    def threads_are_slow(self, owner: int, hanging: bool, late: bool) -> None:
        """Let handlers hang, or records wait for a thread; or let them go on."""
        pool = self.pool_of(owner)
        if pool is not None:
            pool.hanging, pool.late = hanging, late
            pool.go_on()

    @happens(often=2, where=has_threads, owner=OWNER, moment=SHARED, count=range(1, 9))
    def threads_meet(self, owner: int, moment: str, count: int) -> None:
        """Let handlers end and begin while the loop is in the midst of something."""
        if self.owners:
            self.owners[owner % len(self.owners)].faults.append(Fault(moment, count, "others"))

    @happens(owner=OWNER)
    def commit_arrives(self, owner: int) -> None:
        if self.owners:
            chosen = self.owners[owner % len(self.owners)]
            if chosen.commits is not None:
                chosen.guarded(chosen.commits.arrive)
                self.bury()

    @happens(often=2, seconds=[0.1, 0.31, 0.8, 11.0])
    def time_passes(self, seconds: float) -> None:
        TIME.now += seconds

    @happens()
    def join(self) -> None:
        if len(self.owners) > 1:
            return
        self.owners.append(
            Owner(self.brokers, self.workload, fate=self.fate, began=self.began, meanwhile=self.meanwhile)
        )

    @happens(owner=OWNER)
    def leaves(self, owner: int) -> None:
        if self.owners:
            self.owners[owner % len(self.owners)].stop()
            self.bury()

    @happens(owner=OWNER)
    def crashes(self, owner: int) -> None:
        if self.owners:
            self.owners[owner % len(self.owners)].alive = False
            self.bury()

    @happens(owner=OWNER)
    def is_taken_for_dead(self, owner: int) -> None:
        if self.owners:
            self.brokers.remove(self.owners[owner % len(self.owners)].consumer)

    @happens()
    def the_dead_time_out(self) -> None:
        for owner in self.gone:
            owner.time_out()
        self.gone.clear()

    @happens(often=3, owner=OWNER, fault=FAULTS, count=(1, 2, 3))
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

    # ---- what handlers do

    @happens(often=2, where=has_outages, is_down=BOTH)
    def outage(self, is_down: bool) -> None:
        """Let what handlers need be away, or come back: every record fails meanwhile."""
        if is_down and not self.is_down:
            self.outages += 1
            self.failed.clear()
            self.probes = {owner: owner.loop.outage.probes for owner in self.owners}
            self.unseen = {owner: owner.pool.unseen for owner in self.owners if owner.pool is not None}
        self.is_down = is_down

    def fate(self, owner: Owner, one: Round, attempt: int) -> str:
        """Return what a handler does, which ends with it."""
        fates = self.fates[one]
        if attempt > len(fates) and not self.outages:
            self.wrong.append(f"{one} is handled for the {attempt}th time")
        fate = "fail" if self.is_down else fates[min(attempt, len(fates)) - 1]
        if self.is_down:
            self.failed.setdefault(owner, set()).add((one, attempt))
        again = fate == "fail" and attempt <= len(self.workload.retry_ms)
        self.last[one] = self.last.get(one, frozenset()) | {"retry" if again else fate}
        self.ended.add(one)
        if fate == "nothing":
            self.done.add(one)
        return fate

    # ---- the end

    def end(self) -> None:
        """Let everything come to its end: without faults, nothing is missing, and nothing is left to read."""
        self.is_paused(False)
        self.is_down = False
        for owner in self.owners:
            owner.faults.clear()
            if owner.pool is not None:
                owner.pool.hanging = owner.pool.late = False
        if self.workload.holds:
            self._go_on(self.has_only_held, releasing=False)
            assert self.has_only_held(), "something stands still that no dead letter holds"
        self._go_on(self.is_settled, releasing=self.workload.holds)
        self.check()
        assert self.is_settled(), f"not at its end: {self.lag()}"
        results, letters = self.results(), self.letters()
        for one, fates in self.fates.items():
            if self.outages and fates != ("poison",):
                self._has_come_to_an_end(one)
                continue
            last = fates[: len(self.workload.retry_ms) + 1][-1]
            if last == "result":
                assert one[:2] in results, f"{one} has no result"
            elif last == "nothing":
                assert one in self.done, f"{one} was not handled"
            else:
                assert one in letters, f"{one} has no letter"

    def _has_come_to_an_end(self, one: Round) -> None:
        """Where handlers have failed in outages, hold what became of a record against all that they have ended with."""
        last, letters, results = self.last.get(one, frozenset()), self.letters(), self.results()
        found = one in self.done or one[:2] in results or one in letters
        assert found, f"{one} has led to nothing"
        assert one not in letters or last & {"fail", "reject"}, f"{one} has a letter, and its handler ended with {last}"

    def _go_on(self, until: Callable[[], bool], *, releasing: bool) -> None:
        for _ in range(600 if has_outages(self.workload) else 150):
            self.the_dead_time_out()
            if not self.owners:
                self.join()
            if releasing:
                self.release_all()
            for owner in self.owners:
                owner.step()
                if owner.pool is not None:
                    owner.pool.go_on()
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
