"""Delete: rights and users first, so that nobody comes back; records last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError

from lockgate.connection import Settings
from lockgate.provisioning.applied import right_key
from lockgate.provisioning.change import Change
from lockgate.provisioning.changes import (
    DeleteCredentials,
    DeleteGroup,
    DeleteSubject,
    DeleteTopic,
    DeleteUser,
    RevokeAcl,
)
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.credentials import CredentialsFolder
from lockgate.provisioning.failures import cluster_error
from lockgate.provisioning.reports import counted
from lockgate.provisioning.requests import delete_acls, delete_groups, delete_topics, delete_users
from lockgate.registry import Registry

__all__ = ["delete", "deleted_key"]

_C = TypeVar("_C", bound=Change)

_GONE = {
    KafkaError.GROUP_ID_NOT_FOUND,
    KafkaError.RESOURCE_NOT_FOUND,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
"""Somebody was faster, or an interrupted run was."""


def delete(
    deletions: Sequence[Change],
    cluster: Cluster,
    folder: CredentialsFolder,
    settings: Settings,
    progress: Callable[[str], None],
) -> None:
    """Delete what a plan says, in an order that an interrupted run leaves good: the next one finds the rest.

    Raise ClusterError or RegistryError (and what is below them).
    """
    bindings = [change.right for change in _of(deletions, RevokeAcl)]
    _wait(cluster, delete_acls(cluster, bindings), "right", "taken away", progress)
    _wait(cluster, delete_users(cluster, _names(deletions, DeleteUser)), "user", "deleted", progress)
    _wait(cluster, delete_groups(cluster, _names(deletions, DeleteGroup)), "group", "deleted", progress)
    _wait(cluster, delete_topics(cluster, _names(deletions, DeleteTopic)), "topic", "deleted", progress)
    subjects = _names(deletions, DeleteSubject)
    if subjects:
        with Registry(settings) as registry:
            for subject in subjects:
                registry.delete(subject)
        progress(f"{counted(len(subjects), 'subject')} deleted")
    for name in _names(deletions, DeleteCredentials):
        folder.remove(name)


def deleted_key(change: Change) -> str:
    """Return the key under which the record holds what a change deletes."""
    return right_key(change.right) if isinstance(change, RevokeAcl) else f"{change.kind}/{change.name}"


def _wait(
    cluster: Cluster, futures: dict[str, Future[Any]], noun: str, verb: str, progress: Callable[[str], None]
) -> None:
    if not futures:
        return
    for name, error in cluster.failures(futures).items():
        if error.code() not in _GONE:
            raise cluster_error(error, f"to delete {noun} {name}", servers=cluster.servers)
    progress(f"{counted(len(futures), noun)} {verb}")


def _of(deletions: Iterable[Change], kind: type[_C]) -> list[_C]:
    return [change for change in deletions if isinstance(change, kind)]


def _names(deletions: Iterable[Change], kind: type[Change]) -> list[str]:
    return [change.name for change in _of(deletions, kind)]
