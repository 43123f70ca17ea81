"""What every consumer group has still before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from lockgate.committed import Committed
from lockgate.contracts.names import APPLY_GROUP, is_control_topic
from lockgate.control import ControlState, read_states
from lockgate.errors import ClusterUnavailable
from lockgate.records import Place

__all__ = ["GroupStatus", "group_statuses"]

_SECONDS = 15.0


@attrs.frozen
class GroupStatus:
    """Say how one consumer group is."""

    name: str
    state: str
    """Kafka's word in lower case: stable, empty, …"""
    members: int
    lag: int
    """Records not yet done, over all its partitions; what an open transaction hides does not count."""
    topics: Mapping[str, int]
    """Lag by topic; topics without any are listed too."""
    paused: ControlState | None = None
    """Who paused the workload, when and why; None where it is not paused."""


def group_statuses(
    client: AdminClient, config: Mapping[str, Any], partitions: Collection[Place]
) -> tuple[GroupStatus, ...]:
    """Return every group of the cluster with its lag in `partitions`, by name.

    `config` is what `client` was made with. Raise ClusterUnavailable where nobody answers.
    """
    try:
        listed = client.list_consumer_groups(request_timeout=_SECONDS).result().valid
        names = sorted(group.group_id for group in listed if group.group_id != APPLY_GROUP)  # a lock, and reads nothing
        if not names:
            return ()
        described = {
            name: future.result()
            for name, future in client.describe_consumer_groups(names, request_timeout=_SECONDS).items()
        }
        with Committed(config) as offsets:
            committed = offsets.of(names, partitions, timeout=_SECONDS)
        control = {topic for topic, _ in partitions if is_control_topic(topic)}
        states = read_states(config, control, timeout=_SECONDS)
        assigned = {name: _assigned(description) for name, description in described.items()}
        every = set().union(*committed.values(), *assigned.values())
        ends = _offsets(client, every, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the client's own gap
        beginnings = _offsets(client, every, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # the client's own gap
    except KafkaException as error:
        raise ClusterUnavailable(f"the groups cannot be listed: {error.args[0].str()}") from error
    statuses = []
    for name in names:
        topics: dict[str, int] = {}
        for partition in sorted({*committed[name], *assigned[name]}):
            offset = committed[name].get(partition, -1)
            # Nothing committed yet: a group starts at the beginning.
            start = offset if offset >= 0 else beginnings.get(partition, 0)
            topics[partition[0]] = topics.get(partition[0], 0) + max(0, ends.get(partition, start) - start)
        description = described[name]
        statuses.append(
            GroupStatus(
                name=name,
                state=description.state.name.lower().replace("_", " "),
                members=len(description.members),
                lag=sum(topics.values()),
                topics=topics,
                paused=states[name] if name in states and states[name].paused else None,
            )
        )
    return tuple(statuses)


def _assigned(description: Any) -> set[Place]:
    return {
        (partition.topic, partition.partition)
        for member in description.members
        if member.assignment is not None
        for partition in member.assignment.topic_partitions
    }


def _offsets(client: AdminClient, partitions: set[Place], spec: OffsetSpec) -> dict[Place, int]:
    if not partitions:
        return {}
    asked = client.list_offsets(
        {TopicPartition(*partition): spec for partition in partitions},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=_SECONDS,
    )
    offsets = {}
    for partition, future in asked.items():
        try:
            offsets[(partition.topic, partition.partition)] = future.result().offset
        except KafkaException:
            continue  # its topic was deleted, or it has no leader: the partitions' own check says so
    return offsets
