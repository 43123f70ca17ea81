"""A group and its topics in memory: what brokers hold, step by step.

It stands in for brokers where interleavings are explored, and proves nothing about real ones. What it does is what was
seen of Kafka: read_committed and the last stable offset, markers that take offsets, eager rebalances, commits that are
taken from any member of the generation, and transactions that are refused once the group has moved on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from lockgate.records import Envelope, Place

Round = tuple[int, int, int]
"""A record: its partition and offset in the domain topic, and how often an operator has sent it back."""


@attrs.define(eq=False)
class Entry:
    """One offset of a log: a record, or the marker of a transaction."""

    key: bytes | None = None
    value: bytes | None = None
    headers: list[Any] = attrs.field(factory=list)
    state: str = "committed"
    """`open`, `committed`, `aborted` or `marker`."""
    writer: Any = None
    """Who knows that it is there, and under which membership it was written."""
    envelope: Envelope | None = None
    number: int = -1
    """Entries of all logs are counted as they are written."""

    @property
    def round(self) -> Round | None:
        """Return of which record this is a copy, or about which it is a word; None where it is neither."""
        if self.envelope is None:
            return None
        return self.envelope.source.partition, self.envelope.source.offset, self.envelope.replay


class Member(Protocol):
    """A client that is in the group, or wants to be."""

    coming: tuple[int, list[Place]] | None
    """The generation that it is in as soon as it looks, and its partitions."""


@attrs.define(eq=False)
class Transaction:
    """What was written and not decided yet."""

    entries: list[tuple[Place, Entry]] = attrs.field(factory=list)
    offsets: dict[Place, tuple[int, str]] = attrs.field(factory=dict)


class Brokers:
    """Hold topics and one group."""

    def __init__(self, topics: Sequence[str], partitions: int) -> None:
        self.logs: dict[Place, list[Entry]] = {}
        self.subscribed = [(topic, number) for number in range(partitions) for topic in topics]
        self.partitions = partitions
        self.control = "items.control.work"
        self.committed: dict[Place, tuple[int, str]] = {}
        self.generation = 0
        self.unsure: set[Any] = set()
        """Writers that were told of a delivery that failed: they do it all again from there on."""
        self._written = 0
        self.members: list[Member] = []
        self.waiting: set[Member] = set()
        """Members that have not joined the rebalance under way."""
        self.rebalancing = False
        self.open: list[Transaction] = []

    def append(self, place: Place, entry: Entry) -> int:
        log = self.logs.setdefault(place, [])
        entry.envelope = Envelope.read(entry.headers)
        self._written += 1
        entry.number = self._written
        log.append(entry)
        return len(log) - 1

    def stable(self, place: Place) -> int:
        """Return the last stable offset."""
        log = self.logs.get(place, [])
        return next((offset for offset, entry in enumerate(log) if entry.state == "open"), len(log))

    def end(self, place: Place) -> int:
        return len(self.logs.get(place, []))

    def visible(self, topic: str) -> list[tuple[Place, int, Entry]]:
        """Return what those see who read committed."""
        return [
            (place, offset, entry)
            for place, log in self.logs.items()
            if place[0] == topic
            for offset, entry in enumerate(log)
            if entry.state == "committed"
        ]

    def decide(self, transaction: Transaction, state: str) -> None:
        """Commit or abort."""
        for _, entry in transaction.entries:
            entry.state = state
        for place in {place for place, _ in transaction.entries}:
            self.logs[place].append(Entry(state="marker"))
        if state == "committed":
            self.committed |= transaction.offsets
        self.open.remove(transaction)

    def unsettled(self, place: Place) -> bool:
        """Tell whether an open transaction has an offset of a partition."""
        return any(place in transaction.offsets for transaction in self.open)

    # ---- the group

    def rebalance(self) -> None:
        self.rebalancing = True
        self.waiting = set(self.members)

    def join(self, member: Member) -> None:
        if member not in self.members:
            self.members.append(member)
            self.rebalance()

    def joined(self, member: Member) -> None:
        self.waiting.discard(member)
        if self.rebalancing and not self.waiting:
            self.rebalancing = False
            self.generation += 1
            for index, each in enumerate(self.members):
                mine = [p for p in self.subscribed if p[1] % len(self.members) == index]
                each.coming = (self.generation, mine)

    def remove(self, member: Member) -> None:
        """Take a member for dead, or let it go."""
        if member in self.members:
            self.members.remove(member)
            self.rebalance()
            if not self.members:
                self.rebalancing = False
