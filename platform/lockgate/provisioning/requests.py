"""Requests that change a cluster, in portions that its controller takes.

Each function sends its requests at once and returns a future for each thing, by name; `Cluster.results` waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from lockgate.contracts.derive import Acl, Topic
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.cluster import Cluster

__all__ = [
    "create_acls",
    "create_partitions",
    "create_topics",
    "delete_acls",
    "delete_groups",
    "delete_topics",
    "delete_users",
    "set_configs",
    "set_passwords",
]

_T = TypeVar("_T")
_Futures = dict[str, Future[Any]]

_AT_ONCE: Final = 5_000
"""Records that one request is to make in the metadata log; the controller refuses one that makes more than 10,000."""

_SCRAM_ITERATIONS: Final = 4096
"""Kafka's minimum. The passwords are random and long, so more rounds would only slow every connection down."""


def create_topics(cluster: Cluster, topics: Iterable[Topic], *, validate_only: bool = False) -> _Futures:
    """Create topics, or only ask whether they could be."""
    futures: _Futures = {}
    for some in _portions(topics, lambda topic: 1 + topic.partitions + len(topic.config)):
        wanted = [NewTopic(t.name, t.partitions, t.replication, config=dict(t.config)) for t in some]
        futures |= cluster.client.create_topics(wanted, operation_timeout=cluster.timeout, validate_only=validate_only)
    return futures


def create_partitions(cluster: Cluster, totals: Mapping[str, int], *, validate_only: bool = False) -> _Futures:
    """Grow topics to a total of partitions, or only ask whether they could."""
    futures: _Futures = {}
    for some in _portions(totals.items(), lambda entry: entry[1]):
        wanted = [NewPartitions(name, total) for name, total in some]
        futures |= cluster.client.create_partitions(
            wanted, operation_timeout=cluster.timeout, validate_only=validate_only
        )
    return futures


def set_configs(cluster: Cluster, values: Mapping[str, Mapping[str, str]], *, validate_only: bool = False) -> _Futures:
    """Set configuration keys by topic, or only ask whether they could be set; other keys stay as they are."""
    futures: _Futures = {}
    for some in _portions(values.items(), lambda entry: len(entry[1])):
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                    for key, value in config.items()
                ],
            )
            for name, config in some
        ]
        answers = cluster.client.incremental_alter_configs(resources, validate_only=validate_only)
        futures |= {resource.name: future for resource, future in answers.items()}
    return futures


def set_passwords(cluster: Cluster, passwords: Mapping[str, str]) -> _Futures:
    """Create users, or give existing ones another password."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _SCRAM_ITERATIONS)
    return _alter_users(
        cluster, [UserScramCredentialUpsertion(user, info, password.encode()) for user, password in passwords.items()]
    )


def create_acls(cluster: Cluster, acls: Iterable[Acl]) -> _Futures:
    """Grant rights, for any host."""
    bindings = [
        AclBinding(
            ResourceType[acl.resource],
            acl.name,
            ResourcePatternType[acl.pattern],
            f"User:{acl.principal}",
            "*",
            AclOperation[acl.operation],
            AclPermissionType.ALLOW,
        )
        for acl in acls
    ]
    futures: _Futures = {}
    for some in _portions(bindings):
        answers = cluster.client.create_acls(some)
        futures |= {f"{b.principal} {AclOperation(b.operation).name} {b.name}": f for b, f in answers.items()}
    return futures


def delete_topics(cluster: Cluster, names: Iterable[str]) -> _Futures:
    """Delete topics with all that is in them."""
    futures: _Futures = {}
    for some in _portions(names):
        futures |= cluster.client.delete_topics(some, operation_timeout=cluster.timeout)
    return futures


def delete_users(cluster: Cluster, names: Iterable[str]) -> _Futures:
    """Delete users' passwords, by which they are no users any more."""
    return _alter_users(cluster, [UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_512) for name in names])


def delete_groups(cluster: Cluster, names: Iterable[str]) -> _Futures:
    """Delete consumer groups with their offsets; the brokers refuse one that has members."""
    wanted = list(names)
    return cluster.client.delete_consumer_groups(wanted) if wanted else {}


def delete_acls(cluster: Cluster, bindings: Iterable[Binding]) -> _Futures:
    """Take rights away; one that is not there is no mistake."""
    filters = {
        AclBindingFilter(
            ResourceType[b.resource],
            b.name,
            ResourcePatternType[b.pattern],
            b.principal,
            b.host,
            AclOperation[b.operation],
            AclPermissionType[b.permission],
        ): str(b)
        for b in bindings
    }
    futures: _Futures = {}
    for some in _portions(filters):
        futures |= {filters[key]: future for key, future in cluster.client.delete_acls(some).items()}
    return futures


def _alter_users(cluster: Cluster, alterations: Sequence[UserScramCredentialAlteration]) -> _Futures:
    futures: _Futures = {}
    for some in _portions(alterations):
        futures |= cluster.client.alter_user_scram_credentials(some)
    return futures


def _portions(things: Iterable[_T], records: Callable[[_T], int] = lambda _: 1) -> Iterator[list[_T]]:
    """Yield things in portions of so few records; one that takes more by itself is a portion of its own."""
    portion: list[_T] = []
    left = _AT_ONCE
    for thing in things:
        cost = records(thing)
        if portion and cost > left:
            yield portion
            portion, left = [], _AT_ONCE
        portion.append(thing)
        left -= cost
    if portion:
        yield portion
