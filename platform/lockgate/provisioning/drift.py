"""Drift: what somebody changed by hand, told from what the files changed by the record of what was last applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from lockgate.provisioning.applied import Applied, digest
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.change import Cause, Change
from lockgate.provisioning.principals import CreateAcl, CreateUser, SetPassword
from lockgate.provisioning.subjects import RegisterSchema, SetLevel
from lockgate.provisioning.topics import AddPartitions, AlterConfig, CreateTopic

__all__ = ["with_causes"]

_ABSENT = object()


def with_causes(changes: Iterable[Change], applied: Applied) -> Iterator[Change]:
    """Yield the changes, each with its cause; a topic's keys that differ for several causes become several changes."""
    for change in changes:
        if isinstance(change, AlterConfig):
            yield from _by_key(change, applied)
        else:
            yield attrs.evolve(change, cause=_cause(change, applied))


def _by_key(change: AlterConfig, applied: Applied) -> Iterator[Change]:
    entry = applied.of("topic", change.name)
    config = None if entry is None else entry["config"]
    causes: dict[Cause, list[Any]] = {}
    for difference in change.differences:
        was = None if config is None else config.get(difference.key, _ABSENT)
        cause = _compared(was, difference.before, difference.after)
        causes.setdefault(cause, []).append(difference)
    for cause, differences in sorted(causes.items()):
        yield attrs.evolve(change, differences=tuple(differences), cause=cause)


def _cause(change: Change, applied: Applied) -> Cause:
    match change:
        case CreateTopic() | CreateUser():
            # what was applied once and is not there was taken away
            return "files" if applied.of(change.kind, change.name) is None else "drift"
        case CreateAcl(acl):
            return "drift" if Binding.of(acl) in applied.rights else "files"
        case AddPartitions(topic, partitions):
            return _compared(_value(applied, "topic", change.name, "partitions"), partitions, topic.partitions)
        case SetLevel(subject, level):
            was = _value(applied, "subject", change.name, "compatibility")
            if level is None and was is None:
                return "files"
            return _compared(was, level, subject.compatibility)
        case RegisterSchema(subject, versions):
            was = _value(applied, "subject", change.name, "sha256")
            wanted = digest(subject.event.schema)
            if was is None:
                return "unrecorded" if versions else "files"
            return "drift" if was == wanted else "files"
        case SetPassword():
            return "drift"
        case _:
            return "files"


def _value(applied: Applied, kind: Any, name: str, key: str) -> Any:
    entry = applied.of(kind, name)
    return None if entry is None else entry.get(key)


def _compared(was: object, before: object, after: object) -> Cause:
    """Return why `before` is not `after`, where `was` is what was last applied (None: not recorded)."""
    if was is None:
        return "unrecorded"
    if was == before:
        return "files"
    return "drift" if was == after else "both"
