"""Resetting the offsets of a workload that is stopped: which partitions move where, and what that means."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

import attrs

from lockgate.errors import PlanRefused, UsageError
from lockgate.provisioning.offsets import GroupOffsets
from lockgate.provisioning.progress import PartitionProgress, Progress
from lockgate.records import Place

__all__ = ["Move", "Reset", "Target", "plan_reset", "refuse_members", "reset"]


@attrs.frozen
class Target:
    """Say where to go on: at a `position`, an `offset`, a `time` (milliseconds since the epoch), or `by` so much."""

    kind: Literal["position", "offset", "time", "by"]
    value: Literal["earliest", "latest"] | int


@attrs.frozen
class Move:
    """Describe what becomes of one partition's offset."""

    topic: str
    kind: Literal["domain", "retry"]
    partition: int
    before: int | None
    after: int
    again: int
    """How many offsets before the old one are read once more."""
    passed_over: int
    """How many offsets that were not read are never read."""


@attrs.frozen
class Reset:
    """Hold the moves of one reset."""

    workload: str
    moves: tuple[Move, ...]
    waiting: int
    """What is in the retry topics and stays there: it is handled too, when the workload runs again."""

    @property
    def again(self) -> int:
        """Return how many offsets are read once more."""
        return sum(move.again for move in self.moves)

    @property
    def passed_over(self) -> int:
        """Return how many offsets are never read."""
        return sum(move.passed_over for move in self.moves)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that docs/offsets.md describes."""
        return {
            "workload": self.workload,
            "moves": [attrs.asdict(move) for move in self.moves],
            "again": self.again,
            "passed_over": self.passed_over,
            "waiting": self.waiting,
        }


Positions = Callable[[Iterable[Place], Literal["earliest", "latest"] | int], Mapping[Place, int]]
"""`GroupOffsets.positions`, or what stands for it."""


def plan_reset(
    progress: Progress,
    target: Target | None,
    positions: Positions,
    *,
    partitions: Collection[int] = (),
    skip_waiting: bool = False,
) -> Reset:
    """Return the moves that lead to a target, in some partitions of the domain's topic or in all.

    Retry topics are left as they are, unless `skip_waiting` passes over all that is in their partitions of the same
    numbers. Raise UsageError for a partition that is not there, and for an offset outside of what a partition holds.
    """
    domain = [entry for entry in progress.partitions if entry.kind == "domain"]
    unknown = sorted(set(partitions) - {entry.partition for entry in domain})
    if unknown:
        have = f"{domain[0].topic} has the partitions 0 to {len(domain) - 1}"
        raise UsageError(f"there is no partition {', '.join(map(str, unknown))}: {have}")
    chosen = [entry for entry in progress.partitions if not partitions or entry.partition in partitions]
    found: list[tuple[PartitionProgress, int]] = []
    if target is not None:
        found += _targets([entry for entry in chosen if entry.kind == "domain"], target, positions)
    if skip_waiting:
        found += [(entry, entry.end) for entry in chosen if entry.kind == "retry"]
    moves = tuple(_move(entry, after) for entry, after in found if after != entry.committed)
    skipped = sum(move.passed_over for move in moves if move.kind == "retry")
    return Reset(progress.workload, moves, progress.waiting - skipped)


def _targets(
    entries: list[PartitionProgress], target: Target, positions: Positions
) -> Iterator[tuple[PartitionProgress, int]]:
    at: Mapping[Place, int] = {}
    if target.kind == "time":
        at = positions([entry.place for entry in entries], target.value)
    wrong = []
    for entry in entries:
        match target:
            case Target("position", value):
                after = entry.start if value == "earliest" else entry.end
            case Target("time"):
                after = at[entry.place]
            case Target("by", int(value)):
                after = min(max(entry.position + value, entry.start), entry.end)
            case Target("offset", int(value)):
                after = value
                if not entry.start <= after <= entry.end:
                    wrong.append(f"{entry.topic}-{entry.partition} holds {entry.start} to {entry.end}")
            case _:
                raise AssertionError(target)
        yield entry, after
    if wrong:
        raise UsageError(f"offset {target.value} is not there: {'; '.join(wrong)}", next_step="choose with --partition")


def _move(entry: PartitionProgress, after: int) -> Move:
    again, passed_over = max(0, entry.position - after), max(0, min(after, entry.end) - entry.position)
    return Move(entry.topic, entry.kind, entry.partition, entry.committed, after, again, passed_over)


def refuse_members(workload: str, members: int) -> None:
    """Raise PlanRefused where processes of the workload are in its group: they would go on with their own offsets."""
    if members:
        processes = "1 process of it runs" if members == 1 else f"{members} processes of it run"
        raise PlanRefused(
            f"the offsets of {workload} were left alone: {processes}",
            next_step="stop it everywhere, and wait until killed processes have left (10 s, or 45 s under KIP-848)",
        )


def reset(offsets: GroupOffsets, planned: Reset) -> None:
    """Set the offsets of a reset.

    Raise PlanRefused where the group has members by now, and ClusterError (and what is below it) where it cannot be
    done.
    """
    refuse_members(planned.workload, offsets.members([planned.workload])[planned.workload])
    offsets.set({planned.workload: {(move.topic, move.partition): move.after for move in planned.moves}})
