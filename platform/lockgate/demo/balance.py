"""The books: for each record and each workload that reads it, what became of it.

Three things are counted apart and set against each other: what lies in the domain topics, what the services wrote
down, and what lies in the dead-letter topics. A journal's word alone buries no record: a dead letter counts where it
lies, and the results of a handled record must be found in their topic.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import attrs

from lockgate.demo.journal import TERMINAL, Journal
from lockgate.records import Coordinates

__all__ = ["Balance", "LetterSeen", "Matches", "Pair", "Written", "balance", "match_results"]

_SHOWN = 20
"""Examples kept of each kind of discrepancy; all of them are counted."""


@attrs.frozen
class Written:
    """Hold what matters of one record of a domain topic."""

    place: Coordinates
    event_id: str
    """`ce_id`; empty where it has none."""
    writer: str
    """`ce_source`; empty where it has none."""


@attrs.frozen
class LetterSeen:
    """Hold what matters of one letter that lies in a dead-letter topic."""

    workload: str
    source: Coordinates
    round: int
    reason: str


@attrs.frozen(order=True)
class Pair:
    """Name a record and one workload that reads its topic."""

    place: Coordinates
    workload: str

    def __str__(self) -> str:
        return f"{self.place}/{self.workload}"


@attrs.frozen
class Balance:
    """Hold the sums over (record, reading workload) pairs: written = handled + skipped + dead_lettered + lost."""

    written: int
    handled: int
    skipped: int
    dead_lettered: int
    lost: int
    duplicated: int
    """Outcomes and letters beyond the first of a pair: at-least-once after a crash or a rebalance, and no loss."""
    retried: int
    """Deliveries that went to a retry topic."""
    missing: tuple[str, ...]
    """Some of the lost pairs, each with what is known of it."""
    repeated: tuple[str, ...]
    """Some of the pairs with more than one outcome, each with its outcomes."""
    by_reader: Mapping[tuple[str, str], Mapping[str, int]]
    """By (topic, workload): written, handled, skipped, dead_lettered, lost, duplicated, retried."""
    reasons: Mapping[tuple[str, str], Mapping[str, int]]
    """By (topic, workload): dead letters by reason, as the letters themselves say."""


@attrs.frozen
class Matches:
    """Hold how results in the journals and events downstream fit together."""

    results: int
    """Distinct results named in the journals for records of this run."""
    events: int
    """Distinct events downstream that were written by workloads which read, those of `earlier` records left out."""
    earlier: int
    """Distinct events downstream that a backlog led to: results of records which were written before this run."""
    repeated: int
    """Copies of events downstream beyond the first: the same `ce_id`, so that readers can tell."""
    missing: tuple[str, ...]
    """Results that no topic holds."""
    orphaned: tuple[str, ...]
    """Events downstream that no journal names."""

    @property
    def hold(self) -> bool:
        """Return whether every result is there and every event downstream has its upstream."""
        return not self.missing and not self.orphaned


def balance(
    written: Iterable[Written],
    readers: Mapping[str, Sequence[str]],
    journal: Journal,
    letters: Iterable[LetterSeen],
) -> Balance:
    """Account for every pair of a written record and a workload that reads its topic.

    `readers` gives, by topic, the workloads that read it. Outcomes of records that are not in `written` belong to an
    earlier run and are left out.
    """
    outcomes: dict[Pair, list[str]] = defaultdict(list)
    for entry in journal.entries:
        outcomes[Pair(entry.source, entry.workload)].append(entry.outcome)
    letters_of: dict[Pair, list[LetterSeen]] = defaultdict(list)
    for letter in letters:
        letters_of[Pair(letter.source, letter.workload)].append(letter)

    counts: dict[tuple[str, str], Counter[str]] = {}
    reasons: dict[tuple[str, str], Counter[str]] = {}
    missing: list[str] = []
    repeated: list[str] = []
    for topic, workloads in readers.items():
        for workload in workloads:
            counts[topic, workload] = Counter()
            reasons[topic, workload] = Counter()
    for record in written:
        topic = record.place.topic
        for workload in readers.get(topic, ()):
            pair = Pair(record.place, workload)
            known, lying = outcomes.get(pair, []), letters_of.get(pair, [])
            count = counts[topic, workload]
            count["written"] += 1
            count["retried"] += known.count("retried")
            verdict = _verdict(known, lying)
            count[verdict] += 1
            extra = _extra(known, lying)
            count["duplicated"] += extra
            if verdict == "dead_lettered":
                reasons[topic, workload][lying[0].reason] += 1
            if verdict == "lost":
                missing.append(f"{pair}: {_why_lost(known)}")
            if extra:
                repeated.append(f"{pair}: {', '.join(each for each in known if each in TERMINAL)}")
    total: Counter[str] = sum(counts.values(), Counter())
    return Balance(
        **{name: total[name] for name in ("written", "handled", "skipped", "dead_lettered", "lost")},
        duplicated=total["duplicated"],
        retried=total["retried"],
        missing=tuple(sorted(missing)[:_SHOWN]),
        repeated=tuple(sorted(repeated)[:_SHOWN]),
        by_reader=counts,
        reasons=reasons,
    )


def match_results(written: Sequence[Written], journal: Journal, forwarders: frozenset[str]) -> Matches:
    """Set the results that journals name against the events that lie downstream.

    `forwarders` are the workloads that read and publish: every event they wrote must be the result of a record.
    """
    places = {record.place for record in written}
    named: set[tuple[str, str]] = set()
    expected: set[tuple[str, str]] = set()
    for entry in journal.entries:
        for result in entry.results:
            named.add((result.topic, result.event_id))
            if entry.source in places:
                expected.add((result.topic, result.event_id))
    there = Counter((record.place.topic, record.event_id) for record in written if record.writer in forwarders)
    return Matches(
        results=len(expected),
        events=len(set(there) - (named - expected)),
        earlier=len(set(there) & (named - expected)),
        repeated=sum(there.values()) - len(there),
        missing=tuple(f"{topic}: {event_id}" for topic, event_id in sorted(expected - set(there)))[:_SHOWN],
        orphaned=tuple(f"{topic}: {event_id}" for topic, event_id in sorted(set(there) - named))[:_SHOWN],
    )


def _verdict(outcomes: Sequence[str], letters: Sequence[LetterSeen]) -> str:
    if "handled" in outcomes:
        return "handled"
    if letters:
        return "dead_lettered"
    return "skipped" if "skipped" in outcomes else "lost"


def _extra(outcomes: Sequence[str], letters: Sequence[LetterSeen]) -> int:
    """Count outcomes beyond the first of each replay round.

    A killed process may have written a letter and not the line that says so; then the letter alone shows it.
    """
    first = sum(letter.round == 0 for letter in letters)
    again = len(letters) - first
    done = sum(outcome in ("handled", "skipped") for outcome in outcomes)
    return max(0, done + max(first, outcomes.count("dead-lettered") - again) - 1)


def _why_lost(outcomes: Sequence[str]) -> str:
    if "dead-lettered" in outcomes:
        return "a journal says dead-lettered, but no letter lies there"
    return f"its last outcome is {outcomes[-1]}" if outcomes else "no process has an outcome for it"
