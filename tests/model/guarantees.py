"""What the model knows of every record, and what must hold whatever happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

from lockgate.contracts import names
from lockgate.contracts.model import Workload
from lockgate.notes import Finished
from lockgate.records import Place, header
from tests.model.brokers import Brokers, Entry, Round
from tests.model.owners import Owner, topics_of
from tests.model.threads import PROBES_OF_ONE, TIME
from tests.model.workloads import MODES

Source = tuple[int, int]
"""Partition and offset in the domain topic."""
Copy = tuple[Place, int, Entry]


class Guarantees:
    """Hold what becomes of records against what is to become of them; what happens to them is said elsewhere."""

    workload: ClassVar[Workload] = MODES["at least once"]

    def __init__(self) -> None:
        TIME.now = 1000.0
        self.brokers = Brokers(topics_of(self.workload), 2)
        self.fates: dict[Round, tuple[str, ...]] = {}
        self.keys: dict[Source, str] = {}
        self.ids: dict[str, Source] = {}
        self.begun: set[Round] = set()
        self.done: set[Round] = set()
        """A handler has ended well, and there is nothing to publish."""
        self.ended: set[Round] = set()
        self.before: dict[Place, int] = {}
        self.wrong: list[str] = []
        self.behind: dict[Round, tuple[Round, ...]] = {}
        """By released letters, what an operator had sent back of their records before."""
        self.is_down = False
        """Whether what handlers need is away, so that all of them fail."""
        self.outages = 0
        self.failed: dict[Owner, set[tuple[Round, int]]] = {}
        """What has failed because of the last outage, and at which attempt."""
        self.probes: dict[Owner, int] = {}
        """How many probes there had been before it."""
        self.unseen: dict[Owner, int] = {}
        """How many handlers had ended before it without their loop's having seen it."""
        self.last: dict[Round, frozenset[str]] = {}
        """What handlers have ended with."""
        self.letters_topic = names.dead_letter_topic("items", "work")
        self.parked_topic = names.parked_topic("items", "work")

    # ---- what is known

    def copies(self) -> dict[Round, list[Copy]]:
        """Return the visible copies in retry topics."""
        found: dict[Round, list[Copy]] = {}
        for topic in topics_of(self.workload)[1:]:
            for place, offset, entry in self.brokers.visible(topic):
                assert entry.envelope is not None
                assert entry.round is not None
                if not entry.envelope.is_word:
                    found.setdefault(entry.round, []).append((place, offset, entry))
        return found

    def words(self, *, releases: bool) -> list[tuple[Round, Place, int]]:
        """Return the visible words about keys in the parked topic: that a letter holds one, or holds it no more."""
        return [
            (entry.round, place, offset)
            for place, offset, entry in self.brokers.visible(self.parked_topic)
            if entry.envelope is not None
            and entry.round is not None
            and (entry.envelope.releases if releases else entry.envelope.held is not None)
        ]

    def results(self) -> Counter[Source]:
        entries = self.brokers.visible("mail")
        return Counter(self.ids[(header(entry.headers, "ce_id") or b"").decode()] for _, _, entry in entries)

    def letters(self) -> dict[Round, list[Entry]]:
        found: dict[Round, list[Entry]] = {}
        for _, _, entry in self.brokers.visible(self.letters_topic):
            if entry.round is not None:
                found.setdefault(entry.round, []).append(entry)
        return found

    def is_over(self, one: Round, letters: Iterable[Round], results: Iterable[Source]) -> bool:
        """Tell whether the next of its key may begin: a letter lets it only once an operator has."""
        if one in self.done or one[:2] in results:
            return True
        if one not in letters or not self.workload.holds:
            return one in letters
        return one in self.behind and all(self.is_over(other, letters, results) for other in self.behind[one])

    def began(self, owner: Owner, one: Round, attempt: int) -> None:
        """Note that a handler begins, and hold it against what is due, whose turn it is, and what operators say."""
        if owner.consumer.astray:
            self.wrong.append(f"{one} is handled, and {owner.consumer.astray} are taken in a pause")
        if owner.loop.outage.state == "open":
            self.wrong.append(f"{one} is handled in an outage, and is no probe")
        if attempt > 1:
            envelopes = [entry.envelope for _, _, entry in self.copies().get(one, [])]
            dues = [one.due for one in envelopes if one is not None and one.attempt == attempt - 1]
            times = [due for due in dues if due is not None]
            if not times or TIME.now * 1000 < min(times):
                self.wrong.append(f"{one} is handled at {TIME.now * 1000}, and is due at {times}")
        if one not in self.begun:
            self._in_turn(one)
        self.begun.add(one)

    def _in_turn(self, one: Round) -> None:
        workload = self.workload
        if workload.order == "none" or one[2]:  # what an operator sends back comes when it comes
            return
        earlier = [other for other in self.fates if other[0] == one[0] and other[1] < one[1] and not other[2]]
        if workload.order == "key":
            earlier = [other for other in earlier if self.keys[other[:2]] == self.keys[one[:2]]]
        if workload.parks:
            letters, results = self.letters(), self.results()
            ahead = [other for other in earlier if not self.is_over(other, letters, results)]
        else:
            final = self.ended if workload.concurrency > 1 else self.begun
            ahead = [other for other in earlier if other not in final and self.fates[other] != ("poison",)]
        if ahead:
            self.wrong.append(f"{one} is handled before {ahead}")

    # ---- what always holds

    def check(self) -> None:
        """Hold all that is there against what must hold."""
        self.nothing_is_early_or_out_of_turn()
        self.what_is_committed_is_finished()
        self.no_owner_dead_letters_a_record_twice()
        self.once_is_once()
        self.a_letter_holds_its_key_until_it_is_released()
        self.an_outage_sends_no_more_on_than_it_takes_to_see_it()

    def nothing_is_early_or_out_of_turn(self) -> None:
        assert not self.wrong, self.wrong

    def what_is_committed_is_finished(self) -> None:
        copies, final = self.copies(), self.done | self.letters().keys()
        results = self.results()
        for place, (offset, note) in self.brokers.committed.items():
            before = self.before.get(place, 0)
            assert offset >= before, f"the group goes back in {place}, from {before} to {offset}"
            self.before[place] = offset
            said = Finished(offset, note)
            for position, entry in enumerate(self.brokers.logs.get(place, [])):
                if entry.state != "committed" or position not in said:
                    continue
                if entry.envelope is not None and entry.envelope.is_word:
                    continue
                one = entry.round or (place[1], position, 0)
                attempt = -1 if entry.envelope is None else entry.envelope.attempt
                moved = any(
                    copy.envelope is not None and copy.envelope.attempt >= attempt and copy.number > entry.number
                    for _, _, copy in copies.get(one, [])
                )
                assert one in final or one[:2] in results or moved, (
                    f"{place}@{position} is committed, and nothing became of it"
                )

    def no_owner_dead_letters_a_record_twice(self) -> None:
        copies = self.copies()
        for one, letters in self.letters().items():
            # a crash before a commit has left two copies of a record in a tier: each walks on by itself
            again = Counter(entry.envelope.attempt for _, _, entry in copies.get(one, []) if entry.envelope)
            writers = Counter(
                (letter.writer, letter.envelope.attempt)
                for letter in letters
                if letter.envelope is not None and letter.writer not in (None, *self.brokers.unsure)
            )
            assert max(writers.values(), default=0) <= max(again.values(), default=1), f"{one}: {writers}"

    def once_is_once(self) -> None:
        if self.workload.exactly_once:
            results, letters = self.results(), self.letters()
            assert all(times == 1 for times in results.values()), results
            assert all(len(found) == 1 for found in letters.values()), letters
            assert not [one for one in letters if one[:2] in results and (*one[:2], one[2] + 1) not in self.fates]

    def a_letter_holds_its_key_until_it_is_released(self) -> None:
        if not self.workload.holds:
            return
        holding = {one for one, place, offset in self.words(releases=False) if not self.is_finished(place, offset)}
        for one in self.letters():
            assert one in holding or one in self.behind, f"the letter of {one} holds no key"

    def an_outage_sends_no_more_on_than_it_takes_to_see_it(self) -> None:
        if not self.is_down:
            return
        for owner, failed in self.failed.items():
            copies = [entry for found in self.copies().values() for _, _, entry in found]
            moved = {
                (entry.round, entry.envelope.attempt)
                for entry in (*copies, *(letter for found in self.letters().values() for letter in found))
                if entry.writer is not None and entry.writer[0] is owner and entry.envelope is not None
            }
            # what had ended before, and is looked at only now, may have been well
            most = (self.workload.outage.of - 1) * (1 + self.unseen.get(owner, 0))
            most += (owner.loop.outage.probes - self.probes.get(owner, 0)) // PROBES_OF_ONE
            assert len(moved & failed) <= most, f"an outage has sent {len(moved & failed)} records on"

    def is_finished(self, place: Place, offset: int) -> bool:
        return offset in Finished(*self.brokers.committed.get(place, (0, "")))

    def lag(self) -> dict[Place, tuple[int, int]]:
        ends = {place: self.brokers.end(place) for place in self.brokers.subscribed}
        committed = {place: self.brokers.committed.get(place, (0, ""))[0] for place in ends}
        return {place: (committed[place], end) for place, end in ends.items() if committed[place] != end}
