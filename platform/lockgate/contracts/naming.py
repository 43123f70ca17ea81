"""Names that Kafka or the registry would refuse, and names that people or metrics would confuse."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from lockgate.contracts import names
from lockgate.contracts.files import DomainFile, ServiceFile
from lockgate.contracts.report import Report

__all__ = ["check_folder", "check_names"]

_LEGAL: Final = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BROKER: Final = re.compile(r"kafka-[0-9]+", re.ASCII)


@attrs.frozen
class _Named:
    name: str
    file: str
    line: int
    what: str


def check_folder(name: str, file: str, what: str, report: Report) -> bool:
    """Report a folder that is no Avro namespace and no Python package; return whether it is one."""
    if _IDENTIFIER.fullmatch(name) and not keyword.iskeyword(name):
        return True
    report.add(
        file,
        1,
        f"the folder of a {what} must be a Python identifier, and {name!r} is none",
        "letters, digits and underscores, no digit first, no keyword of Python",
    )
    return False


def check_names(domains: Iterable[DomainFile], services: Iterable[ServiceFile], report: Report) -> None:
    """Report every name that cannot stand, or cannot stand beside another one."""
    domains, services = list(domains), list(services)
    topics = [_Named(d.topic.value, d.file, d.topic.line, "topic") for d in domains if d.topic is not None]
    workloads = [
        _Named(workload.name, service.file, workload.line, "workload")
        for service in services
        for workload in service.workloads
    ]
    programs = [_Named(s.name.value, s.file, s.name.line, "service") for s in services if s.name is not None]
    folders = [_Named(d.folder, d.file, 1, "domain") for d in domains]
    for named in topics:
        _check_legal(named, report)
    for named in (*workloads, *programs):
        if _check_legal(named, report):
            _check_principal(named, report)
    _check_distinct(topics, report, "is the topic of two domains")
    _check_distinct(workloads, report, "is declared twice")
    _check_distinct(programs, report, "is the name of two services")
    _check_distinct(folders, report, "")
    for domain in domains:
        _check_distinct(
            [_Named(e.value, domain.file, e.line, "event type") for e in domain.events.items], report, "", folded=False
        )
    _check_programs(services, report)
    _check_teams(domains, services, report)
    _check_derived(domains, services, report)


def _check_legal(named: _Named, report: Report) -> bool:
    name = named.name
    parts = name.split(".")
    if "_" in name:
        message, hint = "holds an underscore", "Kafka's metrics fold . and _ into one: use a hyphen"
    elif not _LEGAL.fullmatch(name):
        message, hint = "holds other characters than letters, digits, dots and hyphens", None
    elif not all(part and part[0] != "-" and part[-1] != "-" for part in parts):
        message, hint = "has a part that is empty, or begins or ends with a hyphen", None
    elif set(parts) & names.RESERVED_PARTS:
        message = f"holds the reserved part {next(part for part in parts if part in names.RESERVED_PARTS)!r}"
        hint = "control, retry, dlq, ledger and parked stand in the names of derived topics"
    else:
        return True
    report.add(named.file, named.line, f"the {named.what} name {name!r} {message}", hint)
    return False


def _check_principal(named: _Named, report: Report) -> None:
    folded = named.name.lower()
    if len(named.name) > names.MAX_PRINCIPAL_LENGTH:
        message = f"has {len(named.name)} characters, and {names.MAX_PRINCIPAL_LENGTH} are allowed"
        report.add(named.file, named.line, f"the {named.what} name {named.name!r} {message}")
    elif folded in names.RESERVED_PRINCIPALS or _BROKER.fullmatch(folded):
        message = "is reserved for an identity of the platform itself"
        report.add(named.file, named.line, f"the {named.what} name {named.name!r} {message}")


def _check_distinct(found: Iterable[_Named], report: Report, same: str, *, folded: bool = True) -> None:
    """Report names that are equal, or differ in no more than case, `.`, `-` and `_`."""
    seen: dict[str, _Named] = {}
    for named in found:
        key = names.folded(named.name) if folded else named.name.lower()
        other = seen.setdefault(key, named)
        if other is named:
            continue
        place = f"{other.file}:{other.line}"
        if other.name == named.name:
            report.add(named.file, named.line, f"{named.what} {named.name} {same}; see also {place}")
        else:
            report.add(
                named.file,
                named.line,
                f"{named.what} {named.name} is too like {other.name} of {place}",
                "names must differ in more than case, dots and hyphens"
                if folded
                else "names must differ in more than case",
            )


def _check_programs(services: Iterable[ServiceFile], report: Report) -> None:
    """Report a workload with the name of another service: `lockgate run NAME` could mean either."""
    by_name = {service.name.value: service for service in services if service.name is not None}
    for service in services:
        for workload in service.workloads:
            other = by_name.get(workload.name)
            if other is not None and other.file != service.file and service.name is not None:
                same = service.name.value == workload.name
                if not same:
                    report.add(
                        service.file,
                        workload.line,
                        f"workload {workload.name} has the name of the service in {other.file}",
                        "only that service may have a workload of this name",
                    )


def _check_teams(domains: Iterable[DomainFile], services: Iterable[ServiceFile], report: Report) -> None:
    """Report two spellings of one team: they would share one pair of operators."""
    seen: dict[str, tuple[str, str]] = {}
    entries: list[DomainFile | ServiceFile] = [*domains, *services]
    for entry in sorted(entries, key=lambda entry: entry.file):
        if entry.owner is None:
            continue
        owner, line = entry.owner.owner, entry.owner.line
        spelling, place = seen.setdefault(owner.slug, (owner.team, f"{entry.file}:{line}"))
        if spelling != owner.team:
            report.add(entry.file, line, f"owner.team: {owner.team} is spelt {spelling} in {place}", "spell it one way")


def _check_derived(domains: Iterable[DomainFile], services: Iterable[ServiceFile], report: Report) -> None:
    """Report names that are legal, but whose derived names are too long or fold into another topic's."""
    by_folder = {domain.folder: domain for domain in domains}
    taken: dict[str, tuple[str, str]] = {}
    for domain in domains:
        if domain.topic is not None:
            taken.setdefault(
                names.folded(domain.topic.value), (domain.topic.value, f"{domain.file}:{domain.topic.line}")
            )
            _check_domain_lengths(domain, report)
    for service in services:
        for workload in service.workloads:
            folder = workload.consumes.items[0].value.partition(".")[0] if workload.consumes.items else ""
            domain_file = by_folder.get(folder)
            topic = None if domain_file is None else domain_file.topic
            if topic is None:
                continue
            longest = names.longest_topic(topic.value, workload.name)
            if len(longest) > names.MAX_NAME_LENGTH:
                report.add(
                    service.file,
                    workload.line,
                    f"the retry topics of workload {workload.name} for {topic.value} would have names of "
                    f"{len(longest)} characters, and Kafka allows {names.MAX_NAME_LENGTH}",
                )
            place = f"{service.file}:{workload.line}"
            for derived in _derived(topic.value, workload.name, len(workload.retry_ms or ())):
                other, other_place = taken.setdefault(names.folded(derived), (derived, place))
                if other_place != place and other != derived:
                    message = f"the derived topic {derived} is too like {other} of {other_place}"
                    report.add(service.file, workload.line, message, "Kafka's metrics would show them as one")
                    break


def _check_domain_lengths(domain: DomainFile, report: Report) -> None:
    topic = domain.topic
    if topic is None:
        return
    if len(topic.value) > names.MAX_NAME_LENGTH:
        message = f"has {len(topic.value)} characters, and Kafka allows {names.MAX_NAME_LENGTH}"
        report.add(domain.file, topic.line, f"the topic name {topic.value!r} {message}")
        return
    for event in domain.events.items:
        subject = names.subject(topic.value, f"{domain.folder}.{event.value}")
        if len(subject) > names.MAX_SUBJECT_LENGTH:
            message = f"has {len(subject)} characters, and the registry allows {names.MAX_SUBJECT_LENGTH}"
            report.add(domain.file, event.line, f"the subject of {domain.folder}.{event.value} {message}")


def _derived(topic: str, workload: str, tiers: int) -> Iterator[str]:
    yield names.dead_letter_topic(topic, workload)
    for tier in range(1, max(1, tiers) + 1):
        yield names.retry_topic(topic, workload, tier)
