"""`domain.yaml` and `service.yaml`, read one at a time: what they say, before it is compared with other files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, get_args

import attrs
import yaml

from lockgate.contracts.fields import DURATION_WORDS, UNREAD, At, Fields, Texts, duration_ms
from lockgate.contracts.model import Compatibility, Owner
from lockgate.contracts.report import Report
from lockgate.contracts.retired import RetiredEntry, full_names, read_retired
from lockgate.contracts.source import compose, read_text
from lockgate.contracts.workloads import WorkloadEntry, read_workloads

__all__ = ["DomainFile", "ServiceFile", "read_domain", "read_service"]

DEFAULT_PARTITIONS: Final = 6
DEFAULT_REPLICATION: Final = 3
DEFAULT_RETENTION_MS: Final = 7 * 24 * 3600 * 1000
DEFAULT_COMPATIBILITY: Final[Compatibility] = "FULL_TRANSITIVE"
FOREVER: Final = -1

MAX_PARTITIONS = 10_000
MAX_REPLICATION = 32_767  # a signed 16-bit number in Kafka's protocol
_LEVELS: Final = get_args(Compatibility)
TEAM: Final = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", re.ASCII)
MAX_TEAM = 100


@attrs.frozen
class OwnerEntry:
    """Hold an owner with the line its team stands on."""

    owner: Owner
    line: int


@attrs.frozen
class DomainFile:
    """Hold what one `domain.yaml` says; None stands for what could not be read and has been reported."""

    folder: str
    file: str
    owner: OwnerEntry | None = None
    topic: At[str] | None = None
    topic_line: int = 1
    partitions: int | None = None
    replication: int | None = None
    retention_ms: int | None = None
    key: At[str] | None = None
    compatibility: Compatibility | None = None
    compatibility_line: int = 1
    events: Texts = UNREAD
    events_line: int = 1
    readers: Texts = UNREAD
    readers_line: int = 1
    writers: Texts = UNREAD
    writers_line: int = 1
    exemptions: tuple[tuple[str, str | None, At[str]], ...] = ()
    """Rules that are turned off, for a type or (None) the whole domain, each with the reason."""
    retired: tuple[RetiredEntry, ...] = ()


@attrs.frozen
class ServiceFile:
    """Hold what one `service.yaml` says; None stands for what could not be read and has been reported."""

    folder: str
    file: str
    name: At[str] | None = None
    owner: OwnerEntry | None = None
    workloads: tuple[WorkloadEntry, ...] = ()
    retired: tuple[RetiredEntry, ...] = ()
    unread: str = ""
    """The file's text where its workloads could not be read: a name in it may well be one of them."""


def read_domain(path: Path, folder: str, file: str, report: Report) -> DomainFile:
    """Read a `domain.yaml`."""
    text = read_text(path, file, report)
    node = None if text is None else compose(text, file, report)
    if node is None:
        return DomainFile(folder, file)
    fields = Fields(
        node,
        file,
        report,
        known=("owner", "topic", "key", "compatibility", "events", "readers", "writers", "lint", "retired"),
        required=("owner", "topic", "key", "events"),
    )
    name, partitions, replication, retention_ms = _topic(fields, file, report)
    events = fields.texts("events")
    if events == Texts(complete=True):
        if fields.has("events"):
            report.add(file, fields.line_of("events"), "events: expected at least one event type")
        events = UNREAD
    return DomainFile(
        folder,
        file,
        owner=_owner(fields, file, report),
        topic=name,
        topic_line=fields.line_of("topic"),
        partitions=partitions,
        replication=replication,
        retention_ms=retention_ms,
        key=fields.text("key"),
        compatibility=_compatibility(fields, file, report),
        compatibility_line=fields.line_of("compatibility") if fields.has("compatibility") else 1,
        events=events,
        events_line=fields.line_of("events"),
        readers=fields.texts("readers"),
        readers_line=fields.line_of("readers"),
        writers=fields.texts("writers"),
        writers_line=fields.line_of("writers"),
        exemptions=_exemptions(fields, file, report),
        retired=tuple(full_names(folder, read_retired(fields, file, report, "topic", "event"))),
    )


def _topic(fields: Fields, file: str, report: Report) -> tuple[At[str] | None, int | None, int | None, int | None]:
    node = fields.mapping("topic")
    if node is None:
        return None, None, None, None
    topic = Fields(
        node,
        file,
        report,
        path="topic.",
        known=("name", "partitions", "replication", "retention"),
        required=("name",),
    )
    retention = At(DEFAULT_RETENTION_MS, topic.line)
    if topic.has("retention"):
        expected = f"{DURATION_WORDS}, or forever"
        given = topic.parsed("retention", lambda text: FOREVER if text == "forever" else duration_ms(text), expected)
        retention = given or retention
    return (
        topic.text("name"),
        topic.integer("partitions", default=DEFAULT_PARTITIONS, maximum=MAX_PARTITIONS),
        topic.integer("replication", default=DEFAULT_REPLICATION, maximum=MAX_REPLICATION),
        retention.value,
    )


def _compatibility(fields: Fields, file: str, report: Report) -> Compatibility | None:
    level = fields.text("compatibility")
    if level is None:
        return DEFAULT_COMPATIBILITY
    for known in _LEVELS:
        if level.value == known:
            found: Compatibility = known
            return found
    if level.value.upper() in _LEVELS:
        hint = f"write it in upper case: {level.value.upper()}"
    else:
        hint = f"known levels: {', '.join(_LEVELS)}"
    report.add(file, level.line, f"compatibility: there is no level {level.value}", hint)
    return None


def _exemptions(fields: Fields, file: str, report: Report) -> tuple[tuple[str, str | None, At[str]], ...]:
    """Return the rules that are turned off; which rules and types there are is for lint to say."""
    node = fields.mapping("lint")
    if node is None:
        return ()
    off = Fields(node, file, report, path="lint.", known=("exempt",), required=("exempt",)).mapping("exempt")
    if off is None:
        return ()
    found: list[tuple[str, str | None, At[str] | None]] = []
    rules, names = _open(off, file, report, "lint.exempt.")
    for name in names:
        node = rules.mapping(name) if rules.is_mapping(name) else None
        if node is None:
            found.append((name, None, rules.text(name)))
            continue
        types, type_names = _open(node, file, report, f"lint.exempt.{name}.")
        found += ((name, type_name, types.text(type_name)) for type_name in type_names)
    return tuple((name, type_name, reason) for name, type_name, reason in found if reason is not None)


def _open(node: yaml.MappingNode, file: str, report: Report, path: str) -> tuple[Fields, list[str]]:
    """Return a mapping whose fields are anything, and their names."""
    names = [name for name, _, _ in Fields.pairs(node, file, Report(), "")]
    return Fields(node, file, report, path=path, known=names), names


def _owner(fields: Fields, file: str, report: Report) -> OwnerEntry | None:
    node = fields.mapping("owner")
    if node is None:
        return None
    owner = Fields(node, file, report, path="owner.", known=("team", "contact"), required=("team", "contact"))
    team, contact = owner.text("team"), owner.text("contact")
    if team is not None and (not TEAM.fullmatch(team.value) or len(team.value) > MAX_TEAM):
        expected = f"letters, digits and single hyphens between them, at most {MAX_TEAM}"
        report.add(file, team.line, f"owner.team: expected {expected}, got {team.value!r}")
        return None
    return None if team is None or contact is None else OwnerEntry(Owner(team.value, contact.value), team.line)


def read_service(path: Path, folder: str, file: str, report: Report) -> ServiceFile:
    """Read a `service.yaml`."""
    text = read_text(path, file, report)
    node = None if text is None else compose(text, file, report)
    if text is None or node is None:
        return ServiceFile(folder, file, unread=text or "")
    required = ("name", "owner", "workloads")
    fields = Fields(node, file, report, known=(*required, "retired"), required=required)
    workloads = fields.mapping("workloads")
    if workloads is not None and not workloads.value:
        report.add(file, fields.line_of("workloads"), "workloads: expected at least one workload")
    return ServiceFile(
        folder,
        file,
        name=fields.text("name"),
        owner=_owner(fields, file, report),
        workloads=() if workloads is None else read_workloads(workloads, file, report),
        retired=read_retired(fields, file, report, "workload"),
        unread=text if workloads is None else "",
    )
