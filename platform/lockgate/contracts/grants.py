"""Access, which exists only where both sides say so: what workloads ask for against what domains list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from lockgate.contracts.fields import At, Texts
from lockgate.contracts.files import DomainFile, OwnerEntry, ServiceFile
from lockgate.contracts.report import Report, nearest
from lockgate.contracts.workloads import WorkloadEntry

__all__ = ["check_grants"]


@attrs.frozen
class _Direction:
    """Hold the words of one of the two rights."""

    ask: str
    """The workload's field."""
    list: str
    """The domain's field."""
    one: str


_READ = _Direction("consumes", "readers", "reader")
_WRITE = _Direction("publishes", "writers", "writer")


@attrs.frozen
class _Asked:
    """Hold what a workload asks for in one direction."""

    lines: Mapping[str, int]
    """For each domain's folder, the line of its first event type."""
    certain: bool
    """Whether all of it could be read and resolved; if not, nothing is concluded from what is missing."""


def check_grants(domains: Iterable[DomainFile], services: Iterable[ServiceFile], report: Report) -> None:
    """Report event types that do not exist, and rights that only one side grants."""
    by_folder = {domain.folder: domain for domain in domains}
    services = list(services)
    workloads: dict[str, tuple[ServiceFile, WorkloadEntry]] = {}
    for service in services:
        for workload in service.workloads:
            workloads.setdefault(workload.name, (service, workload))
    for direction in (_READ, _WRITE):
        asked = {}
        for name, (service, workload) in workloads.items():
            asked[name] = _check_asked(service, workload, direction, by_folder, report)
        for domain in by_folder.values():
            _check_listed(domain, direction, workloads, asked, services, report)
    for service, workload in workloads.values():
        _check_loop(service, workload, report)


def _events(workload: WorkloadEntry, direction: _Direction) -> Texts:
    return workload.consumes if direction is _READ else workload.publishes


def _listed(domain: DomainFile, direction: _Direction) -> Texts:
    return domain.readers if direction is _READ else domain.writers


def _check_asked(
    service: ServiceFile,
    workload: WorkloadEntry,
    direction: _Direction,
    domains: Mapping[str, DomainFile],
    report: Report,
) -> _Asked:
    events = _events(workload, direction)
    lines: dict[str, int] = {}
    certain = events.complete
    for event in events.items:
        folder = _resolve(service, workload, direction, event, domains, report)
        if folder is None:
            certain = False
        elif folder in lines or direction is _WRITE or not lines:
            lines.setdefault(folder, event.line)
        else:
            first = next(iter(lines))
            report.add(
                service.file,
                event.line,
                f"{workload.name} consumes event types of two domains, {first} and {folder}",
                "a workload is one consumer group for one topic: make a second workload",
            )
            return _Asked(lines, certain=False)
    for folder, line in lines.items():
        domain = domains[folder]
        listed = _listed(domain, direction)
        if workload.name in listed or not listed.complete:
            continue
        place = domain.readers_line if direction is _READ else domain.writers_line
        report.add(
            service.file,
            line,
            f"{workload.name} {direction.ask} events of {folder}, but {domain.file}:{place} does not list it in "
            f"{direction.list}",
            f"{_who(domain.owner, f'the owner of {folder}')} must add {workload.name} to {direction.list} in "
            f"{domain.file}",
        )
    return _Asked(lines, certain)


def _resolve(
    service: ServiceFile,
    workload: WorkloadEntry,
    direction: _Direction,
    event: At[str],
    domains: Mapping[str, DomainFile],
    report: Report,
) -> str | None:
    """Return the domain's folder of an event type; None where there is no such type, which has been reported."""
    folder, _, name = event.value.rpartition(".")
    domain = domains.get(folder)
    if domain is not None and (name in domain.events or not domain.events.complete):
        return folder
    if domain is not None:
        meant = nearest(name, (known.value for known in domain.events.items))
        meant = f"{folder}.{meant}" if meant else None
        hint = f"did you mean {meant}?" if meant else f"{domain.file} does not list it in events"
    else:
        known_types = [f"{known.folder}.{entry.value}" for known in domains.values() for entry in known.events.items]
        meant = nearest(event.value, known_types)
        hint = f"did you mean {meant}?" if meant else f"known domains: {', '.join(sorted(domains))}"
    message = f"{workload.name} {direction.ask} {event.value}, which is no event type"
    report.add(service.file, event.line, message, hint)
    return None


def _check_listed(
    domain: DomainFile,
    direction: _Direction,
    workloads: Mapping[str, tuple[ServiceFile, WorkloadEntry]],
    asked: Mapping[str, _Asked],
    services: Iterable[ServiceFile],
    report: Report,
) -> None:
    for entry in _listed(domain, direction).items:
        if entry.value not in workloads:
            if any(entry.value in service.unread for service in services):
                continue  # it may well be declared in a file that could not be read
            meant = nearest(entry.value, workloads)
            report.add(
                domain.file,
                entry.line,
                f"{direction.list} lists {entry.value}, but there is no such workload",
                f"did you mean {meant}?" if meant else "workloads are declared in services/*/service.yaml",
            )
            continue
        service, workload = workloads[entry.value]
        request = asked[entry.value]
        if domain.folder in request.lines or not request.certain:
            continue
        report.add(
            domain.file,
            entry.line,
            f"{direction.list} lists {entry.value}, but {service.file}:{workload.line} {direction.ask} nothing of "
            f"{domain.folder}",
            f"{_who(service.owner, f'the owner of {service.file}')} must add event types of {domain.folder} to "
            f"{direction.ask} of {entry.value} in {service.file}, or the {direction.one} must go",
        )


def _check_loop(service: ServiceFile, workload: WorkloadEntry, report: Report) -> None:
    consumed = {event.value for event in workload.consumes.items}
    for event in workload.publishes.items:
        if event.value in consumed:
            report.add(
                service.file,
                event.line,
                f"{workload.name} consumes and publishes {event.value}",
                "it would feed itself for ever: publish another event type",
            )


def _who(entry: OwnerEntry | None, otherwise: str) -> str:
    return otherwise if entry is None else f"{entry.owner.team} ({entry.owner.contact})"
