"""`retired`: what a contract says is no longer used, and may be deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, get_args

import attrs

from lockgate.contracts.fields import At, Fields, Texts
from lockgate.contracts.model import Discard, Location, Owner, Retired
from lockgate.contracts.report import Report

__all__ = ["RetiredEntry", "check_retired", "read_retired", "retired_of"]

_Kind = Literal["topic", "event", "workload"]
_DISCARDS: Final = get_args(Discard)


@attrs.frozen
class RetiredEntry:
    """Hold one entry of `retired`."""

    kind: _Kind
    name: At[str]
    topic: str | None
    events: tuple[str, ...]
    reason: str
    discard: frozenset[Discard]


def read_retired(fields: Fields, file: str, report: Report, *kinds: _Kind) -> tuple[RetiredEntry, ...]:
    """Return the entries of `retired` that could be read; each names one thing of one of these kinds, and says why."""
    found = []
    for path, node in fields.mappings("retired"):
        further = {"topic": ("events",), "event": (), "workload": ("topic",)}
        known = dict.fromkeys((*kinds, "reason", "discard", *(name for kind in kinds for name in further[kind])))
        entry = Fields(node, file, report, path=f"{path}.", known=known, required=("reason",))
        present = [kind for kind in kinds if entry.has(kind)]
        if len(present) != 1:
            expected = " or ".join(kinds)
            report.add(file, entry.line, f"{path}: expected one of {expected}, got {' and '.join(present) or 'none'}")
            continue
        kind = present[0]
        name, reason, events = entry.text(kind), entry.text("reason"), entry.texts("events")
        topic = entry.text("topic") if kind == "workload" else None
        if kind != "topic" and entry.has("events"):
            report.add(file, entry.line_of("events"), f"{path}.events belongs to a topic")
        discard = _discards(entry.texts("discard"), path, file, report)
        if name is not None and reason is not None:
            texts = tuple(event.value for event in events.items)
            found.append(RetiredEntry(kind, name, None if topic is None else topic.value, texts, reason.value, discard))
    return tuple(found)


def _discards(texts: Texts, path: str, file: str, report: Report) -> frozenset[Discard]:
    found: set[Discard] = set()
    for text in texts.items:
        known: Discard | None = next((word for word in _DISCARDS if word == text.value), None)
        if known is None:
            hint = f"known: {', '.join(_DISCARDS)}"
            report.add(file, text.line, f"{path}.discard: there is no {text.value}", hint)
        else:
            found.add(known)
    return frozenset(found)


def check_retired(
    entries: Iterable[tuple[str, RetiredEntry]],
    report: Report,
    *,
    topics: frozenset[str],
    events: frozenset[str],
    workloads: frozenset[str],
) -> None:
    """Report what is retired and still in use; `entries` are pairs of a file and an entry with full names."""
    seen: dict[tuple[str, str], str] = {}
    for file, entry in entries:
        in_use = {"topic": topics, "event": events, "workload": workloads}[entry.kind]
        place = f"{file}:{entry.name.line}"
        other = seen.setdefault((entry.kind, entry.name.value), place)
        if entry.name.value in in_use:
            hint = "take the entry out, or what still declares it"
            report.add(file, entry.name.line, f"retired: the {entry.kind} {entry.name.value} is still declared", hint)
        elif other != place:
            message = f"retired: the {entry.kind} {entry.name.value} stands here twice; see also {other}"
            report.add(file, entry.name.line, message)


def full_names(folder: str, entries: Iterable[RetiredEntry]) -> Iterator[RetiredEntry]:
    """Yield a domain's entries with its event types under their full names."""
    for entry in entries:
        if entry.kind == "event":
            yield attrs.evolve(entry, name=At(f"{folder}.{entry.name.value}", entry.name.line))
        else:
            yield entry


def retired_of(file: str, owner: Owner, topic: str | None, entries: Iterable[RetiredEntry]) -> Iterator[Retired]:
    """Yield the entries of one file; `topic` is the domain's, for its event types."""
    for entry in entries:
        yield Retired(
            kind=entry.kind,
            name=entry.name.value,
            topic=topic if entry.kind == "event" else entry.topic,
            events=entry.events,
            team=owner.slug,
            reason=entry.reason,
            discard=entry.discard,
            location=Location(file, entry.name.line),
        )
