"""What the demo has to say at its end: for people as tables, for programs as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from rich import box
from rich.console import Console
from rich.table import Table

from lockgate.demo.balance import Balance, Matches
from lockgate.demo.poison import PoisonCheck
from lockgate.demo.trespass import Verdict

__all__ = ["Report"]

_SHOWN = 20

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
    poison: PoisonCheck
    verdicts: Sequence[Verdict]
    """What came of each attempt at something that is not granted."""
    balance: Balance
    matches: Matches
    retries: Mapping[str, Sequence[int]]
    """By workload, how many records each of its retry topics took."""
    seconds: float
    """From the first event to the last outcome, the retries' delays included."""
    processes: int
    """Processes that have kept a journal."""
    torn: int = 0
    """Journal lines that a killed process did not finish."""

    @property
    def balances(self) -> bool:
        """Return whether every record is accounted for; books without entries prove nothing."""
        books = self.balance
        even = books.written == books.handled + books.skipped + books.dead_lettered + books.lost
        return even and books.written > 0 and not books.lost

    @property
    def holds(self) -> bool:
        """Return whether the books balance, poison came out as it went in, and nobody got what was not granted."""
        refused = all(verdict.refused for verdict in self.verdicts)
        return self.balances and self.matches.hold and not self.poison.wrong and refused

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
                    "retried_by_tier": list(self.retries.get(workload, ())),
                    "reasons": dict(books.reasons[topic, workload]),
                }
                for (topic, workload), count in books.by_reader.items()
            ],
            "lost": list(books.missing),
            "repeated": list(books.repeated),
            "downstream": {
                "results": self.matches.results,
                "events": self.matches.events,
                "earlier": self.matches.earlier,
                "repeated": self.matches.repeated,
                "missing": list(self.matches.missing),
                "orphaned": list(self.matches.orphaned),
            },
            "sent": dict(self.sent),
            "trouble": dict(self.trouble),
            "poisoned": dict(self.poisoned),
            "poison": {"sent": self.poison.sent, "letters": self.poison.letters, "wrong": list(self.poison.wrong)},
            "attempts": [
                {
                    "principal": verdict.attempt.principal,
                    "action": verdict.attempt.action,
                    "target": verdict.attempt.target,
                    "refused": verdict.refused,
                    "answer": verdict.answer,
                }
                for verdict in self.verdicts
            ],
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.events_per_second, 1),
            "processes": self.processes,
            "torn": self.torn,
        }

    def show(self, console: Console) -> None:
        """Print the report."""
        console.print()
        console.print(self._readers())
        for line in self._details():
            console.print(line, highlight=False, soft_wrap=True)
        console.print()
        console.print(self._refusals())
        for line in self._troubles():
            console.print(line, highlight=False, soft_wrap=True)
        console.print()
        console.print(_HOW, highlight=False, soft_wrap=True)
        console.print()
        self._verdict(console)

    def _readers(self) -> Table:
        table = Table(
            title="What became of each record",
            box=box.SIMPLE_HEAD,
            title_justify="left",
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        for name in ("topic", "read by"):
            table.add_column(name, no_wrap=True)
        for name in ("in", "handled", "skipped", "dead", "lost"):
            table.add_column(name, justify="right", no_wrap=True)
        for (topic, workload), count in self.balance.by_reader.items():
            values = _counts(count)
            shown = ("written", "handled", "skipped", "dead_lettered", "lost")
            table.add_row(topic, workload, *(f"{values[name]:,}" for name in shown))
        return table

    def _details(self) -> Iterator[str]:
        """Yield, for each reader, what was retried and what lies in its dead-letter topic: too wide for the table."""
        for (topic, workload), reasons in self.balance.reasons.items():
            tiers = [
                f"{taken:,} to tier {tier}" for tier, taken in enumerate(self.retries.get(workload, ()), 1) if taken
            ]
            if tiers:
                yield f"  {workload} retried: {', '.join(tiers)}"
            if reasons:
                listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
                yield f"  {topic} dead letters of {workload}: {listed}"

    def _refusals(self) -> Table:
        table = Table(title="Attempts at what is not granted", box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("tried to", no_wrap=True)
        for name in ("attempts", "refused"):
            table.add_column(name, justify="right")
        table.add_column("the answers")
        for action in dict.fromkeys(verdict.attempt.action for verdict in self.verdicts):
            tried = [verdict for verdict in self.verdicts if verdict.attempt.action == action]
            answers = Counter(verdict.answer for verdict in tried)
            table.add_row(action, str(len(tried)), str(sum(verdict.refused for verdict in tried)), ", ".join(answers))
        return table

    def _troubles(self) -> list[str]:
        lines = []
        events = sum(self.sent.values())
        if self.trouble:
            shares = ", ".join(f"{n:,} {what} ({n / events:.1%})" for what, n in self.trouble.items())
            lines.append(f"Stated troubles among {events:,} events sent: {shares}")
        if self.poisoned:
            kinds = ", ".join(f"{count} {reason}" for reason, count in self.poisoned.items())
            lines.append(
                f"Raw poison: {self.poison.sent} records ({kinds}); {self.poison.letters} letters expected, "
                f"{self.poison.letters - len(self.poison.wrong)} found, byte for byte and with the right reason"
            )
        lines += [f"WRONG: {fault}" for fault in self.poison.wrong[:_SHOWN]]
        lines += [
            f"NOT REFUSED: {verdict.attempt.principal} tried to {verdict.attempt.action} {verdict.attempt.target}: "
            f"{verdict.answer}"
            for verdict in self.verdicts
            if not verdict.refused
        ]
        return lines

    def _verdict(self, console: Console) -> None:
        books, matches = self.balance, self.matches
        lines = [
            f"written {books.written:,} = handled {books.handled:,} + skipped {books.skipped:,} + dead-lettered "
            f"{books.dead_lettered:,} + lost {books.lost:,}   (pairs of a record and a workload that reads it)",
            f"duplicated {books.duplicated:,}, retried {books.retried:,}, {self.processes} processes, "
            f"{self.seconds:.1f} s with all retries, {self.events_per_second:,.0f} a second",
            f"downstream: {matches.results:,} results named, {matches.events:,} events found, "
            f"{len(matches.missing)} missing, {len(matches.orphaned)} without an upstream event",
        ]
        if matches.earlier:
            lines.append(f"{matches.earlier:,} more events downstream stem from a backlog that lay there before")
        lines += [f"lost: {each}" for each in books.missing]
        lines += [f"missing downstream: {each}" for each in matches.missing]
        lines += [f"without an upstream event: {each}" for each in matches.orphaned]
        lines += [f"more than one outcome: {each}" for each in books.repeated]
        if books.duplicated:
            lines.append(
                "A record has more than one outcome where a process was killed, or lost its partitions, between "
                "the outcome and the commit of its offset; its results carry the same ce_id both times."
            )
        for line in lines:
            console.print(line, highlight=False, soft_wrap=True)
        if self.holds:
            verdict = "The books balance: nothing is lost."
        elif self.balances:
            verdict = "NOTHING IS LOST, BUT NOT ALL IS AS IT SHOULD BE: see above."
        else:
            verdict = "THE BOOKS DO NOT BALANCE."
        console.print(verdict, style="bold green" if self.holds else "bold red", highlight=False)


def _counts(count: Mapping[str, int]) -> dict[str, int]:
    names = ("written", "handled", "skipped", "retried", "dead_lettered", "lost", "duplicated")
    found = Counter(count)
    return {name: found[name] for name in names}
