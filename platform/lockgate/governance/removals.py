"""Subjects that are gone: event types removed, retired, renamed or moved, topics renamed; and who still read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lockgate.contracts import names
from lockgate.contracts.model import Contracts, Domain, Retired
from lockgate.governance.base import Base, Promise
from lockgate.governance.findings import Comparison, Concerned, Finding, Kind
from lockgate.governance.renames import Rename, predecessor

__all__ = ["gone", "renames"]


def renames(contracts: Contracts, base: Base) -> dict[str, Rename]:
    """Return which event type each new one carries on, by the new one's full name."""
    left = [there for name in _events(base) if name not in contracts.events and (there := base.history.find()(name))]
    found = {}
    for name in contracts.events:
        if not left:
            break
        document = None if base.has(name) else base.find(name)
        rename = None if document is None else predecessor(document, left)
        if rename is not None:
            found[name] = rename
            left = [there for there in left if there.full_name != rename.old]
    return found


def _events(base: Base) -> list[str]:
    return [name for promise in base.promises.values() for name in promise.events]


def gone(contracts: Contracts, base: Base, renamed: Mapping[str, Rename]) -> Iterator[Comparison]:
    """Yield a comparison for each subject that there was and is no more; with a finding, where somebody read it."""
    heirs = {rename.old: rename for rename in renamed.values()}
    domains = {domain.name: domain for domain in contracts.domains}
    for folder, promise in sorted(base.promises.items()):
        domain = domains.get(folder)
        for name in promise.events:
            if name not in contracts.events:
                yield _gone(base, promise, name, heirs.get(name), domain, contracts)
            elif domain is not None and promise.topic not in (None, domain.topic.name):
                yield _elsewhere(base, promise, name, domain)


def _gone(
    base: Base, promise: Promise, name: str, heir: Rename | None, domain: Domain | None, contracts: Contracts
) -> Comparison:
    subject = names.subject(promise.topic or "?", name)
    readers = tuple(base.concerned[0].get(name, ()))
    entry = _entry(contracts, promise.topic, name)
    findings = []
    if readers and entry is not None:
        findings = [] if "unread" in entry.discard else [_retired(base, name, readers, entry)]
    elif readers:
        who = ", ".join(map(str, readers))
        location = None if domain is None else domain.events_at
        if heir is None:
            rule, what = "EVENT_TYPE_REMOVED", f"{name} is removed"
            fix = f"take {name} out of their `consumes` first, remove it when that is deployed; or say why in `retired`"
        else:
            topic, location = contracts.domain_of(heir.new).topic.name, contracts.events[heir.new].location
            rule, what = "EVENT_TYPE_RENAMED", f"{name} is renamed to {heir.new} ({_EVIDENCE[heir.evidence]})"
            what += f", which is another subject, {names.subject(topic, heir.new)}"
            if topic != promise.topic:
                rule, what = "EVENT_TYPE_MOVED", f"{what}, on another topic"
            fix = f"keep {name} beside {heir.new} until its readers have moved and the topic no longer holds any"
        findings.append(
            Finding(
                _kind(promise),
                rule,
                f"{what}, and it was still read by {who}: what the topic holds of it is skipped from then on",
                location=location,
                earlier=base.source,
                earlier_at=base.history.place(name, "/name"),
                fix=fix,
            )
        )
    return Comparison(
        name,
        subject,
        promise.compatibility or "NONE",
        base.source,
        names=(base.source,),
        status="retired" if entry else "renamed" if heir else "removed",
        findings=tuple(findings),
        renamed_to=heir.new if heir else None,
        readers=readers,
        writers=tuple(base.concerned[1].get(name, ())),
        order="any" if not readers else "none" if heir else "consumers-first",
    )


def _entry(contracts: Contracts, topic: str | None, name: str) -> Retired | None:
    """Return the entry of `retired` that speaks of this very subject; no workload reads it then, or nothing loads."""
    for entry in contracts.retired:
        if entry.kind == "event" and (entry.name, entry.topic) == (name, topic):
            return entry
        if entry.kind == "topic" and entry.name == topic and name in entry.events:
            return entry
    return None


def _retired(base: Base, name: str, readers: tuple[Concerned, ...], entry: Retired) -> Finding:
    return Finding(
        "unsafe",
        "EVENT_TYPE_RETIRED",
        f"{name} is retired ({entry.reason}), and {base.source} still has it read by {', '.join(map(str, readers))}: "
        "what they have not read of it by then is skipped",
        location=entry.location,
        earlier=base.source,
        earlier_at=base.history.place(name, "/name"),
        fix="merge it when they have come to the end of the topic, or add `discard: [unread]` to the entry",
    )


def _kind(promise: Promise) -> Kind:
    """Return how bad it is: where nothing was promised, nothing is broken."""
    return "unsafe" if promise.compatibility == "NONE" else "removed"


_EVIDENCE = {"alias": "its alias says so", "moved": "the same name", "alike": "nearly the same fields"}


def _elsewhere(base: Base, promise: Promise, name: str, domain: Domain) -> Comparison:
    readers = tuple(base.concerned[0].get(name, ()))
    old, new = names.subject(promise.topic or "?", name), names.subject(domain.topic.name, name)
    message = f"the topic of {domain.name} is renamed from {promise.topic} to {domain.topic.name}"
    findings = [
        Finding(
            _kind(promise),
            "TOPIC_RENAMED",
            f"{message}, so the subject of {name} becomes {new}, and what {', '.join(map(str, readers))} has not read "
            f"of {promise.topic} by then is left there",
            location=domain.topic_at,
            earlier=base.source,
            earlier_at=base.at(domain.location.file),
            fix=f"stop the writers, let the readers come to the end of {promise.topic}, then rename; or add a domain",
        )
    ]
    return Comparison(
        name,
        old,
        promise.compatibility or "NONE",
        base.source,
        names=(base.source,),
        status="renamed",
        findings=tuple(findings if readers else ()),
        renamed_to=name,
        readers=readers,
        writers=tuple(base.concerned[1].get(name, ())),
        order="none" if readers else "any",
    )
