"""Evidence that what is retired is not in use: groups, their members and lags, records, versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from lockgate.contracts import names
from lockgate.contracts.model import Retired
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.credentials import CredentialsFolder
from lockgate.provisioning.offsets import GroupOffsets
from lockgate.registry import Registry

__all__ = ["Evidence", "read_evidence", "subjects_of", "topics_about", "topics_of"]


@attrs.frozen
class Evidence:
    """Hold what speaks for and against deleting what is retired."""

    members: Mapping[str, int] = attrs.field(factory=dict)
    """How many members each group has; groups that are not there are left out."""
    reading: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    """By topic, the groups whose members are assigned to it."""
    lag: Mapping[str, Mapping[str, int]] = attrs.field(factory=dict)
    """By topic and group, how many records the group has not done; groups that never committed are left out."""
    records: Mapping[str, int] = attrs.field(factory=dict)
    """By topic, how many offsets it holds."""
    versions: Mapping[str, int] = attrs.field(factory=dict)
    """By subject, how many versions it has."""
    referrers: Mapping[str, tuple[int, ...]] = attrs.field(factory=dict)
    """By subject, the ids of schemas that refer to it."""
    files: frozenset[str] = frozenset()
    """Retired principals with credentials files."""


def topics_of(entry: Retired, there: Iterable[str]) -> tuple[str, ...]:
    """Return the topics that go with an entry, as far as they are there."""
    if entry.kind == "topic":
        wanted = {entry.name}
    elif entry.kind == "workload" and entry.topic is not None:
        tiers = range(1, names.MAX_TIERS + 1)
        wanted = {names.retry_topic(entry.topic, entry.name, tier) for tier in tiers}
        wanted |= {
            names.longest_topic(entry.topic, entry.name),
            names.dead_letter_topic(entry.topic, entry.name),
            names.control_topic(entry.topic, entry.name),
        }
    else:
        wanted = set()
    return tuple(sorted(wanted & set(there)))


def topics_about(entry: Retired, there: Iterable[str]) -> tuple[str, ...]:
    """Return the topics whose readers and records speak for or against an entry: its own, and those it is about."""
    about = entry.name if entry.kind == "topic" else entry.topic
    if about is None:
        return ()
    there = set(there)
    found = {about} & there | set(topics_of(entry, there))
    if entry.kind != "workload":
        # no domain's topic begins like this: these parts are reserved
        found |= {name for name in there if name.startswith((f"{about}.retry.", f"{about}.dlq.", f"{about}.control."))}
    return tuple(sorted(found))


def subjects_of(entry: Retired) -> tuple[str, ...]:
    """Return the subjects that go with an entry."""
    if entry.kind == "topic":
        return tuple(names.subject(entry.name, event) for event in entry.events)
    return (names.subject(entry.topic, entry.name),) if entry.kind == "event" and entry.topic else ()


def read_evidence(
    retired: Iterable[Retired],
    cluster: Cluster,
    registry: Registry,
    folder: CredentialsFolder,
    partitions: Mapping[str, int],
) -> Evidence:
    """Ask cluster and registry about everything that is retired; `partitions` are those of the topics there.

    Raise ClusterError and RegistryError (and what is below them).
    """
    entries = tuple(retired)
    if not entries:
        return Evidence()
    topics = sorted({name for entry in entries for name in topics_about(entry, partitions)})
    places = [(topic, number) for topic in topics for number in range(partitions[topic])]
    offsets = GroupOffsets(cluster)
    ends, beginnings = offsets.positions(places, "latest"), offsets.positions(places, "earliest")
    members, reading = _groups(cluster)
    done = offsets.committed(dict.fromkeys(members, places))
    lag: dict[str, dict[str, int]] = {topic: {} for topic in topics}
    for group, found in done.items():
        for topic in {topic for topic, _ in found}:
            # a partition without a commit is one that the group has not begun
            mine = ((topic, number) for number in range(partitions[topic]))
            lag[topic][group] = sum(max(0, ends[place] - found.get(place, beginnings[place])) for place in mine)
    subjects = {subject for entry in entries for subject in subjects_of(entry)}
    versions = {subject: registry.versions(subject) for subject in sorted(subjects)}
    return Evidence(
        members=members,
        reading=reading,
        lag=lag,
        records={
            topic: sum(ends[topic, n] - beginnings[topic, n] for n in range(partitions[topic])) for topic in topics
        },
        versions={subject: len(numbers) for subject, numbers in versions.items()},
        referrers={
            subject: tuple(ident for number in numbers for ident in registry.referrers(subject, number))
            for subject, numbers in versions.items()
        },
        files=frozenset(name for entry in entries for name in _principals(entry) if folder.has_files(name)),
    )


def _principals(entry: Retired) -> Iterator[str]:
    if entry.kind == "workload":
        yield entry.name
        yield names.reader_principal(entry.team)
        yield names.replayer_principal(entry.team)


def _groups(cluster: Cluster) -> tuple[dict[str, int], dict[str, frozenset[str]]]:
    client: Any = cluster.client
    listed = cluster.result(client.list_consumer_groups(), "a request for its groups").valid
    known = sorted(group.group_id for group in listed if group.group_id != names.APPLY_GROUP)
    if not known:
        return {}, {}
    found = cluster.results(client.describe_consumer_groups(known), "a request for the members of group")
    reading: dict[str, set[str]] = {}
    for name, description in found.items():
        for member in description.members:
            if member.assignment is not None:
                for place in member.assignment.topic_partitions:
                    reading.setdefault(place.topic, set()).add(name)
    members = {name: len(description.members) for name, description in found.items()}
    return members, {topic: frozenset(groups) for topic, groups in reading.items()}
