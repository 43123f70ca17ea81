"""How far a workload is: its group's offsets in the domain's topic and in its retry topics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import attrs

from lockgate.contracts.derive import consumer_topics, former_tiers
from lockgate.contracts.model import Contracts, Workload
from lockgate.errors import ClusterError, UsageError
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.offsets import GroupOffsets
from lockgate.records import Place

__all__ = ["PartitionProgress", "Progress", "read_progress"]


@attrs.frozen
class PartitionProgress:
    """Say how far a group is in one partition."""

    topic: str
    kind: Literal["domain", "retry"]
    """What is in a `retry` topic waits for a delay, for its key, or has been replayed."""
    partition: int
    start: int
    """The first offset that is still there."""
    committed: int | None
    end: int
    """One past the last committed record."""

    @property
    def place(self) -> Place:
        """Return topic and partition."""
        return self.topic, self.partition

    @property
    def position(self) -> int:
        """Return the offset that the group goes on with."""
        return self.start if self.committed is None else max(self.start, self.committed)

    @property
    def lag(self) -> int:
        """Return how many offsets are before the group; a few may be transaction markers, which are no records."""
        return max(0, self.end - self.position)


@attrs.frozen
class Progress:
    """Say how far a workload is."""

    workload: str
    members: int
    """Processes that are in the group at the moment."""
    partitions: tuple[PartitionProgress, ...]
    """By topic as it is subscribed to, then by number."""

    @property
    def lag(self) -> int:
        """Return what is before the group in the domain's topic."""
        return _lag(entry for entry in self.partitions if entry.kind == "domain")

    @property
    def waiting(self) -> int:
        """Return what is in the workload's retry topics, parked records included."""
        return _lag(entry for entry in self.partitions if entry.kind == "retry")

    def as_json(self) -> dict[str, Any]:
        """Return the shape that docs/offsets.md describes."""
        return {
            "workload": self.workload,
            "members": self.members,
            "lag": self.lag,
            "waiting": self.waiting,
            "partitions": [attrs.asdict(entry) | {"lag": entry.lag} for entry in self.partitions],
        }


def read_progress(cluster: Cluster, contracts: Contracts, workload: Workload) -> Progress:
    """Return how far a workload is, retry tiers included that its contract lists no longer.

    Raise UsageError where it consumes nothing, and ClusterError (and what is below it) where the cluster does not say,
    or has not got its topics yet.
    """
    source = contracts.source_of(workload)
    if source is None:
        raise UsageError(f"{workload.name} consumes nothing, so it has no offsets")
    there = cluster.settled_metadata().topics
    main, *retries = consumer_topics(contracts, workload)
    missing = [topic for topic in (main, *retries) if topic not in there]
    if missing:
        raise ClusterError(f"there is no topic {', '.join(missing)} yet", next_step="run `lockgate apply`")
    topics = [main, *retries, *former_tiers(contracts, workload, there)]
    places = [(topic, number) for topic in topics for number in sorted(there[topic].partitions)]
    offsets = GroupOffsets(cluster)
    members = offsets.members([workload.name])[workload.name]
    # what is written meanwhile makes a lag look larger, never smaller
    committed = offsets.committed({workload.name: places})[workload.name]
    starts, ends = offsets.positions(places, "earliest"), offsets.positions(places, "latest")
    return Progress(
        workload.name,
        members,
        tuple(
            PartitionProgress(
                place[0],
                "domain" if place[0] == main else "retry",
                place[1],
                starts[place],
                committed.get(place),
                ends[place],
            )
            for place in places
        ),
    )


def _lag(partitions: Iterable[PartitionProgress]) -> int:
    return sum(entry.lag for entry in partitions)
