"""What the demo has to say at its end: for people as tables, for programs as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from rich import box
from rich.console import Console
from rich.table import Table

from lockgate.demo.balance import Balance, Matches
from lockgate.demo.trespass import Attempt

__all__ = ["Report"]

_HOW = (
    "How `handled` is counted: every process of a workload appends a line to a journal of its own for each record, "
    "after what the record led to is on the brokers and before its offset is committed. The books set those lines "
    "against the records that lie in the domain topics and the letters that lie in the dead-letter topics: a dead "
    "letter counts where it lies, not where a journal says so."
)


@attrs.frozen
class Report:
    """Hold a run's outcome."""

    sent: Mapping[str, int]
    """Events by type, as the load program says."""
    trouble: Mapping[str, int]
    """The load's stated troubles, and how many events have each."""
    poisoned: Mapping[str, int]
    """Raw poison by reason."""
    attempts: Sequence[Attempt]
    balance: Balance
    matches: Matches
    seconds: float
    """From the first event to the last outcome."""
    processes: int

    @property
    def holds(self) -> bool:
        """Return whether nothing is lost, every trespasser was refused, and downstream matches upstream."""
        books = self.balance
        even = books.written == books.handled + books.skipped + books.dead_lettered + books.lost
        return even and not books.lost and self.matches.hold and all(attempt.refused for attempt in self.attempts)

    @property
    def events_per_second(self) -> float:
        """Return (record, workload) pairs a second."""
        return self.balance.written / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        books = self.balance
        return {
            "holds": self.holds,
            "balance": {
                "written": books.written,
                "handled": books.handled,
                "skipped": books.skipped,
                "dead_lettered": books.dead_lettered,
                "lost": books.lost,
                "duplicated": books.duplicated,
            },
            "retried": books.retried,
            "readers": [
                {
                    "topic": topic,
                    "workload": workload,
                    **_counts(count),
                    "reasons": dict(books.reasons[topic, workload]),
                }
                for (topic, workload), count in books.by_reader.items()
            ],
            "lost": list(books.missing),
            "repeated": list(books.repeated),
            "downstream": {
                "results": self.matches.results,
                "events": self.matches.events,
                "repeated": self.matches.repeated,
                "missing": list(self.matches.missing),
                "orphaned": list(self.matches.orphaned),
            },
            "sent": dict(self.sent),
            "trouble": dict(self.trouble),
            "poisoned": dict(self.poisoned),
            "attempts": [attrs.asdict(attempt) for attempt in self.attempts],
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.events_per_second, 1),
            "processes": self.processes,
        }

    def show(self, console: Console) -> None:
        """Print the report."""
        console.print()
        console.print(self._readers())
        console.print(self._refusals())
        for title, counts in (("Stated troubles", self.trouble), ("Raw poison", self.poisoned)):
            if counts:
                listed = ", ".join(f"{count} {what}" for what, count in counts.items())
                console.print(f"{title}: {listed}", highlight=False, soft_wrap=True)
        console.print()
        console.print(_HOW, highlight=False, soft_wrap=True)
        console.print()
        self._verdict(console)

    def _readers(self) -> Table:
        table = Table(title="What became of each record", box=box.SIMPLE_HEAD, title_justify="left")
        for name in ("topic", "read by"):
            table.add_column(name, no_wrap=True)
        for name in ("written", "handled", "skipped", "retried", "dead letters", "lost"):
            table.add_column(name, justify="right")
        table.add_column("dead letters by reason")
        for (topic, workload), count in self.balance.by_reader.items():
            values = _counts(count)
            reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(self.balance.reasons[topic, workload].items()))
            shown = (values[name] for name in ("written", "handled", "skipped", "retried", "dead_lettered", "lost"))
            table.add_row(topic, workload, *(f"{value:,}" for value in shown), reasons)
        return table

    def _refusals(self) -> Table:
        table = Table(title="Trespassers", box=box.SIMPLE_HEAD, title_justify="left")
        for name in ("who", "tried to", "outcome"):
            table.add_column(name)
        for attempt in self.attempts:
            table.add_row(attempt.who, attempt.what, "refused" if attempt.refused else f"NOT REFUSED: {attempt.answer}")
        return table

    def _verdict(self, console: Console) -> None:
        books, matches = self.balance, self.matches
        lines = [
            f"written {books.written:,} = handled {books.handled:,} + skipped {books.skipped:,} + dead-lettered "
            f"{books.dead_lettered:,} + lost {books.lost:,}   (pairs of a record and a workload that reads it)",
            f"duplicated {books.duplicated:,}, retried {books.retried:,}, {self.processes} processes, "
            f"{self.seconds:.1f} s, {self.events_per_second:,.0f} a second",
            f"downstream: {matches.results:,} results named, {matches.events:,} events found, "
            f"{len(matches.missing)} missing, {len(matches.orphaned)} without an upstream event",
        ]
        lines += [f"lost: {each}" for each in books.missing]
        lines += [f"more than one outcome: {each}" for each in books.repeated]
        for line in lines:
            console.print(line, highlight=False, soft_wrap=True)
        verdict = "The books balance: nothing is lost." if self.holds else "THE BOOKS DO NOT BALANCE."
        console.print(verdict, style="bold green" if self.holds else "bold red", highlight=False)


def _counts(count: Mapping[str, int]) -> dict[str, int]:
    names = ("written", "handled", "skipped", "retried", "dead_lettered", "lost", "duplicated")
    found = Counter(count)
    return {name: found[name] for name in names}
