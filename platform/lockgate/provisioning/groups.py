"""What `apply` does to consumer groups: where a group begins that has committed nothing yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import attrs

from lockgate.contracts.derive import Group, Topic
from lockgate.contracts.model import Start
from lockgate.provisioning.change import NO_RISK, Action, Change, Kind, Risk, State
from lockgate.provisioning.offsets import GroupOffsets
from lockgate.provisioning.reports import Refusal
from lockgate.records import Place

__all__ = ["ActualGroup", "StartGroup", "group_starts", "growth_refusals", "numbers_text", "set_starts"]


@attrs.frozen
class ActualGroup:
    """Describe a consumer group as it is."""

    committed: frozenset[Place] = frozenset()
    """The partitions of which it has an offset."""
    members: int = 0
    """Only asked for where an offset is missing."""
    lag: int = 0
    """What is before it in all of its topics; only asked for where it keeps order and its domain's topic is to grow."""


@attrs.frozen
class StartGroup(Change):
    """Set the first offsets of a group, in the partitions of which it has none."""

    kind: ClassVar[Kind] = "group"
    group: Group
    at: tuple[tuple[str, tuple[int, ...], Start], ...]
    """Topic, partitions and position."""
    first: bool
    """Whether the group has no offset at all yet."""
    skipped: bool = False
    """Whether records that are there already are left out: the group begins at the latest."""

    @property
    def action(self) -> Action:
        """Return `create` for a group without any offset."""
        return "create" if self.first else "change"

    @property
    def name(self) -> str:
        """Return the group's name."""
        return self.group.name

    @property
    def declared(self) -> str:
        """Return where the workload is declared."""
        return str(self.group.location)

    @property
    def details(self) -> tuple[str, ...]:
        """Return topics and partitions with the position that they begin at."""
        return tuple(f"{topic}:{numbers_text(numbers)} none → {position}" for topic, numbers, position in self.at)

    @property
    def before(self) -> State:
        """Return that nothing is committed."""
        return {"offsets": [{"topic": t, "partitions": list(numbers), "position": None} for t, numbers, _ in self.at]}

    @property
    def after(self) -> State:
        """Return where the group begins."""
        return {"offsets": [{"topic": t, "partitions": list(numbers), "position": p} for t, numbers, p in self.at]}

    @property
    def risk(self) -> Risk:
        """Return what is not read, or read once more."""
        if self.skipped:
            return Risk("low", f"what is in {self.group.source} by then is never read by {self.name}")
        if self.first and self.group.start == "latest":
            return Risk(
                "low", f"{self.name} is not new, its topics are there: records that it may have read are read again"
            )
        return NO_RISK

    @property
    def early(self) -> Iterator[tuple[Place, Start]]:
        """Yield the positions that are set before the group's own topics are made."""
        return ((place, position) for place, position in self._places if position == "latest")

    @property
    def late(self) -> Iterator[tuple[Place, Start]]:
        """Yield the positions that are set once all topics are there."""
        return ((place, position) for place, position in self._places if position == "earliest")

    @property
    def _places(self) -> Iterator[tuple[Place, Start]]:
        return (((topic, number), position) for topic, numbers, position in self.at for number in numbers)


def group_starts(
    groups: Iterable[Group],
    topics: Mapping[str, Topic],
    partitions: Mapping[str, int],
    actual: Mapping[str, ActualGroup],
) -> Iterator[StartGroup]:
    """Yield a change for each group without members that lacks offsets.

    `partitions` are those of the topics that exist. A group is new as long as no topic of its own is there; only then
    does it begin at the contract's position. In all other cases a missing offset means a partition that was added, or
    offsets that expired while nobody ran: it begins at the earliest record, so that none is passed over.
    """
    for group in groups:
        there = actual.get(group.name, ActualGroup())
        if there.members:
            continue  # its processes commit their own, from the earliest record on
        new = not there.committed and not any(topic in partitions for topic in group.topics[1:])
        at: list[tuple[str, tuple[int, ...], Start]] = []
        for topic in group.topics:
            lacking = [n for n in range(topics[topic].partitions) if (topic, n) not in there.committed]
            found = partitions.get(topic, 0) if new and topic == group.source and group.start == "latest" else 0
            latest, earliest = [n for n in lacking if n < found], [n for n in lacking if n >= found]
            if latest:
                at.append((topic, tuple(latest), "latest"))
            if earliest:
                at.append((topic, tuple(earliest), "earliest"))
        if at:
            skipped = any(position == "latest" for *_, position in at)
            yield StartGroup(group, tuple(at), first=not there.committed, skipped=skipped)


def growth_refusals(
    groups: Iterable[Group],
    topics: Mapping[str, Topic],
    partitions: Mapping[str, int],
    actual: Mapping[str, ActualGroup],
) -> Iterator[Refusal]:
    """Yield a refusal for each topic that would grow while a group that keeps the order of keys is behind in it.

    More partitions move keys: a key's next record could be handled before those that wait, in whatever topic.
    """
    for group in groups:
        lag = actual.get(group.name, ActualGroup()).lag
        if group.ordered and lag and partitions.get(group.source, 0) < topics[group.source].partitions:
            yield Refusal(
                "topic",
                group.source,
                f"{group.name} keeps the order of keys and has {lag} records before it, which more partitions would "
                "let later ones overtake",
                f"stop the writers until `lockgate offsets {group.name}` shows nothing to read and nothing waiting",
                str(topics[group.source].location),
            )


def set_starts(offsets: GroupOffsets, changes: Iterable[StartGroup], *, early: bool) -> int:
    """Set first offsets and return for how many groups; `early` are those of groups whose topics are not made yet.

    An offset that has been committed since the plan was made is left alone, and so is a group that has members by now.
    """
    wanted = {change.name: dict(change.early if early else change.late) for change in changes}
    wanted = {group: places for group, places in wanted.items() if places}
    if not wanted:
        return 0
    committed, members = offsets.committed(wanted), offsets.members(wanted)
    open_ = {
        group: {place: position for place, position in places.items() if place not in committed[group]}
        for group, places in wanted.items()
        if not members[group]
    }
    by_position: dict[Start, set[Place]] = defaultdict(set)
    for places in open_.values():
        for place, position in places.items():
            by_position[position].add(place)
    found = {position: offsets.positions(places, position) for position, places in by_position.items()}
    offsets.set(
        {
            group: {place: found[position][place] for place, position in places.items()}
            for group, places in open_.items()
        }
    )
    return sum(map(bool, open_.values()))


def numbers_text(numbers: Iterable[int]) -> str:
    """Return partition numbers in order, runs of them joined: `0-2,5`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)
