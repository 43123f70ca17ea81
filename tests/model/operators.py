"""What operators do meanwhile: send dead letters back, release keys, and let a workload stand still."""

from __future__ import annotations

import attrs

from lockgate.contracts import names
from lockgate.control import ControlState
from lockgate.records import enclose, with_envelope
from tests.model.brokers import Entry, Round
from tests.model.guarantees import Guarantees
from tests.model.happenings import BOTH, happens
from tests.model.workloads import FATES, has_way_back

__all__ = ["Operators"]

_LETTER = range(6)
_POISON = ("poison",)


class Operators(Guarantees):
    """What they write, and where."""

    @happens(often=2, where=has_way_back, letter=_LETTER, fate=[fate for fate in FATES if fate != _POISON])
    def is_replayed(self, letter: int, fate: tuple[str, ...]) -> None:
        """Send a dead letter back, once."""
        letters = self.letters()
        waiting = [one for one in sorted(letters) if (*one[:2], one[2] + 1) not in self.fates]
        if not waiting:
            return
        one = waiting[letter % len(waiting)]
        entry, again = letters[one][0], (*one[:2], one[2] + 1)
        assert entry.envelope is not None
        self.fates[again] = _POISON if self.fates[one] == _POISON else fate
        envelope = attrs.evolve(entry.envelope, replay=again[2], attempt=0, due=None)
        topic = self.parked_topic if self.workload.holds else names.retry_topic("items", "work", 1)
        self.brokers.append((topic, one[0]), Entry(entry.key, entry.value, with_envelope(entry.headers, envelope)))

    @happens(often=2, where=lambda workload: workload.holds, letter=_LETTER)
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

    @happens(paused=BOTH)
    def is_paused(self, paused: bool) -> None:
        """Ask that no records be taken, or that they be taken again."""
        state = ControlState(paused, "admin", "now")
        self.brokers.append((self.brokers.control, 0), Entry(b"work", state.encode()))
