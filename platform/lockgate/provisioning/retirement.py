"""What is retired: what would be deleted, and what stands against it."""

from __future__ import annotations

from collections.abc import Iterator, Set

from lockgate.contracts import names
from lockgate.contracts.model import Retired
from lockgate.provisioning.actual import Actual
from lockgate.provisioning.change import Change
from lockgate.provisioning.deletions import (
    DeleteCredentials,
    DeleteGroup,
    DeleteSubject,
    DeleteTopic,
    DeleteUser,
)
from lockgate.provisioning.desired import Desired
from lockgate.provisioning.evidence import subjects_of, topics_about, topics_of
from lockgate.provisioning.principals import RevokeAcl
from lockgate.provisioning.reports import Refusal, counted

__all__ = ["retirements"]


def retirements(desired: Desired, actual: Actual) -> Iterator[Change | Refusal]:
    """Yield what goes with each retired thing, or one refusal with everything that stands against it.

    An entry of which nothing is left yields nothing.
    """
    going: set[str] = set()  # names of topics and groups that go with workloads, and stand against nothing else
    # workloads first: a topic may go together with those that read it
    for entry in sorted(desired.retired, key=lambda entry: entry.kind != "workload"):
        changes = list(_deletions(entry, desired, actual))
        objections = list(_objections(entry, actual, going)) if changes else []
        if objections:
            yield Refusal(
                "subject" if entry.kind == "event" else "topic" if entry.kind == "topic" else "group",
                entry.name,
                f"the {entry.kind} is retired, and still in use: {'; '.join(reason for reason, _ in objections)}",
                "; ".join(dict.fromkeys(step for _, step in objections)),
                str(entry.location),
                action="delete",
            )
        else:
            going.update(change.name for change in changes if isinstance(change, DeleteTopic | DeleteGroup))
            yield from changes


def _deletions(entry: Retired, desired: Desired, actual: Actual) -> Iterator[Change]:
    topics = [name for name in topics_of(entry, actual.topics) if name not in desired.topics]
    users = set(_users(entry)) - set(desired.users)
    for binding in sorted(actual.acls):
        principal = binding.principal.removeprefix("User:")
        on_topic = binding.resource == "TOPIC" and binding.pattern == "LITERAL" and binding.name in topics
        if principal in users or (on_topic and principal in desired.users):
            yield RevokeAcl(binding, str(entry.location))
    yield from (DeleteUser(name, entry) for name in sorted(users & actual.users))
    if entry.kind == "workload" and entry.name in actual.evidence.members:
        yield DeleteGroup(entry.name, entry)
    for name in topics:
        yield DeleteTopic(name, entry, actual.topics[name].partitions, actual.evidence.records.get(name, 0))
    for subject in subjects_of(entry):
        versions = actual.evidence.versions.get(subject, 0)
        if versions and subject not in desired.subjects:
            yield DeleteSubject(subject, entry, versions)
    yield from (DeleteCredentials(name, entry) for name in sorted(users & actual.evidence.files))


def _users(entry: Retired) -> Iterator[str]:
    """Yield a workload's user, and its team's operators: they go with the team's last workload that reads."""
    if entry.kind == "workload":
        yield entry.name
        yield names.reader_principal(entry.team)
        yield names.replayer_principal(entry.team)


def _objections(entry: Retired, actual: Actual, going: Set[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of what stands against deleting, and what to do about it."""
    if entry.kind == "workload":
        yield from _of_workload(entry, actual)
        return
    evidence = actual.evidence
    for topic in topics_about(entry, actual.topics):
        if topic in going or (entry.kind == "event" and names.is_control_topic(topic)):
            continue
        derived = topic not in (entry.name, entry.topic)
        if derived and entry.kind == "topic":
            yield f"{topic} is still there", "retire the workload that it belongs to first"
        elif derived and topic.startswith(names.dead_letter_topic(entry.topic or "", "")):
            yield from _letters(entry, topic, evidence.records.get(topic, 0))
        else:
            lag = evidence.lag.get(topic, {})
            for group, left in sorted((group, left) for group, left in lag.items() if group not in going):
                yield from _unread(entry, topic, group, left)
    readers = evidence.reading.get(entry.name, frozenset()) if entry.kind == "topic" else frozenset()
    for group in sorted(readers):
        yield f"members of {group} read {entry.name}", "stop them"
    for subject in subjects_of(entry):
        referrers = evidence.referrers.get(subject, ())
        if referrers:
            ids = ", ".join(map(str, sorted(set(referrers))))
            yield f"schemas refer to {subject} (ids {ids})", "delete what refers to it first"


def _of_workload(entry: Retired, actual: Actual) -> Iterator[tuple[str, str]]:
    evidence = actual.evidence
    members = evidence.members.get(entry.name, 0)
    if members:
        yield f"its group has {counted(members, 'member')}", "stop its processes"
    for topic in topics_about(entry, actual.topics):
        held = evidence.records.get(topic, 0)
        if topic == names.dead_letter_topic(entry.topic or "", entry.name):
            yield from _letters(entry, topic, held)
        elif not names.is_control_topic(topic):  # what is in there is no event
            # of its own topics all is unread that it has not done; of the domain's, nothing where it never began
            never_began = 0 if topic == entry.topic else held
            yield from _unread(entry, topic, entry.name, evidence.lag.get(topic, {}).get(entry.name, never_began))


def _unread(entry: Retired, topic: str, group: str, left: int) -> Iterator[tuple[str, str]]:
    if left and "unread" not in entry.discard:
        step = "let it read them, or add `discard: [unread]` to the entry"
        yield f"{group} has {counted(left, 'record')} of {topic} before it", step


def _letters(entry: Retired, topic: str, held: int) -> Iterator[tuple[str, str]]:
    if held and "letters" not in entry.discard:
        step = "replay or export them and wait until they expire, or add `discard: [letters]` to the entry"
        yield f"{topic} holds {counted(held, 'letter')}", step
