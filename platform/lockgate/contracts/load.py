"""Loading: all contract files of a project as one checked value, or all their mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from lockgate.avro.schema import bundle
from lockgate.contracts.files import DomainFile, ServiceFile, read_domain, read_service
from lockgate.contracts.grants import check_grants
from lockgate.contracts.model import (
    Contracts,
    Domain,
    EventType,
    Exemption,
    Location,
    Retired,
    Service,
    TopicSpec,
    Workload,
)
from lockgate.contracts.naming import check_folder, check_names
from lockgate.contracts.report import Report, nearest
from lockgate.contracts.retired import check_retired, retired_of
from lockgate.contracts.schemas import COMMON, SchemaFile, check_definitions, check_references, read_schema
from lockgate.contracts.source import read_text
from lockgate.errors import ContractsError, SchemaError, UsageError

__all__ = ["load"]

_T = TypeVar("_T")


def load(root: Path) -> Contracts:
    """Read and check every contract file below `root` (`schemas/*/`, `services/*/`).

    Raise ContractsError with every mistake of every file, and UsageError where there is no `schemas/*/domain.yaml`.
    """
    report = Report()
    domains, schemas = _read_schemas(root / "schemas", report)
    if not domains and not report.problems:
        raise UsageError(f"{root} is no Lockgate project: it has no schemas/*/domain.yaml")
    services = _read_services(root / "services", report)
    check_names(domains, services, report)
    check_grants(domains, services, report)
    _check_retired(domains, services, report)
    check_definitions(schemas, report)
    check_references(schemas, report)
    for domain in domains:
        _check_events(domain, schemas, report)
    if report.problems:
        raise ContractsError(report.problems)
    documents = {name: schema.document for name, schema in schemas.items() if schema.document is not None}
    loaded = Contracts(
        root=root,
        domains=tuple(_domain(domain, schemas, documents, report) for domain in domains),
        services=tuple(sorted((_service(service) for service in services), key=lambda service: service.name)),
        retired=tuple(_retired(domains, services)),
    )
    if report.problems:
        raise ContractsError(report.problems)
    return loaded


def _check_retired(domains: list[DomainFile], services: list[ServiceFile], report: Report) -> None:
    files: list[DomainFile | ServiceFile] = [*domains, *services]
    check_retired(
        [(file.file, entry) for file in files for entry in file.retired],
        report,
        topics=frozenset(domain.topic.value for domain in domains if domain.topic is not None),
        events=frozenset(f"{domain.folder}.{event.value}" for domain in domains for event in domain.events.items),
        workloads=frozenset(workload.name for service in services for workload in service.workloads),
    )


def _retired(domains: list[DomainFile], services: list[ServiceFile]) -> Iterator[Retired]:
    for domain in domains:
        yield from retired_of(domain.file, _present(domain.owner).owner, _present(domain.topic).value, domain.retired)
    for service in services:
        yield from retired_of(service.file, _present(service.owner).owner, None, service.retired)


def _folders(parent: Path) -> Iterator[Path]:
    """Yield the folders that may hold contracts, in order; hidden ones and Python's caches hold none."""
    if parent.is_dir():
        for entry in sorted(parent.iterdir()):
            if entry.is_dir() and not entry.name.startswith(".") and entry.name != "__pycache__":
                yield entry


def _read_schemas(parent: Path, report: Report) -> tuple[list[DomainFile], dict[str, SchemaFile]]:
    domains: list[DomainFile] = []
    schemas: dict[str, SchemaFile] = {}
    for path in sorted(parent.glob("*.avsc")):
        report.add(f"schemas/{path.name}", 1, "lies in no domain's folder", "schemas live in schemas/<domain>/")
    for folder in _folders(parent):
        name = folder.name
        files = sorted(path for path in folder.iterdir() if path.name != "__pycache__")
        avsc = [path for path in files if path.suffix == ".avsc"]
        for path in files:
            if path.is_dir():
                for nested in sorted(path.rglob("*.avsc")):
                    file = nested.relative_to(parent.parent).as_posix()
                    report.add(file, 1, "lies too deep", f"schemas of {name} live in schemas/{name}/ itself")
        contract = _contract(folder, "domain.yaml", f"schemas/{name}", report)
        if contract is None and not avsc:
            continue
        file = f"schemas/{name}/domain.yaml" if contract is not None else f"schemas/{name}/{avsc[0].name}"
        check_folder(name, file, "domain", report)
        if name == COMMON:
            if contract is not None:
                hint = "move what is no shared type into a domain of another name"
                report.add(file, 1, f"{COMMON} holds the types that all domains share and is no domain", hint)
        elif contract is not None:
            domains.append(read_domain(contract, name, file, report))
        elif (folder / "domain.yml").exists():
            domains.append(DomainFile(name, f"schemas/{name}/domain.yml"))
        else:
            report.add(file, 1, f"there is no schemas/{name}/domain.yaml", "each folder with schemas is a domain")
        for path in avsc:
            schema = read_schema(path, name, f"schemas/{name}/{path.name}", report)
            schemas[schema.full_name] = schema
    return domains, schemas


def _read_services(parent: Path, report: Report) -> list[ServiceFile]:
    services = []
    for folder in _folders(parent):
        contract = _contract(folder, "service.yaml", f"services/{folder.name}", report)
        if contract is not None:
            file = f"services/{folder.name}/service.yaml"
            check_folder(folder.name, file, "service", report)
            services.append(read_service(contract, folder.name, file, report))
        elif (folder / "service.yml").exists():
            # the mistake is reported; what the file says only keeps others from being reported in its wake
            text = read_text(folder / "service.yml", f"services/{folder.name}/service.yml", report)
            services.append(ServiceFile(folder.name, f"services/{folder.name}/service.yml", unread=text or ""))
    return services


def _contract(folder: Path, name: str, place: str, report: Report) -> Path | None:
    path = folder / name
    other = path.with_suffix(".yml")
    if other.exists():
        report.add(f"{place}/{other.name}", 1, "is not read", f"rename it to {name}")
    return path if path.exists() else None


def _check_events(domain: DomainFile, schemas: Mapping[str, SchemaFile], report: Report) -> None:
    for event in domain.events.items:
        namespace, dot, name = event.value.rpartition(".")
        if dot:
            if namespace == domain.folder:
                hint = f"write {name}: event types stand here without their namespace"
            else:
                hint = "a domain's event types live in its own folder"
            message = f"events: {event.value} is outside the namespace {domain.folder}"
            if namespace == domain.folder:
                message = f"events: {event.value} repeats the namespace"
            report.add(domain.file, event.line, message, hint)
            continue
        schema = schemas.get(f"{domain.folder}.{event.value}")
        if schema is None:
            known = [other.stem for other in schemas.values() if other.folder == domain.folder]
            meant = nearest(event.value, known)
            file = f"schemas/{domain.folder}/{event.value}.avsc"
            hint = f"did you mean {meant}?" if meant else f"write {file}"
            report.add(domain.file, event.line, f"events: {event.value} has no schema; there is no {file}", hint)
        elif schema.document is not None:
            _check_event(domain, schema, schemas, report)


def _check_event(domain: DomainFile, schema: SchemaFile, schemas: Mapping[str, SchemaFile], report: Report) -> None:
    if schema.document is None or schema.document["type"] != "record":
        report.add(schema.file, schema.lines.of("/type"), "is an event type and must be a record")
        return
    if domain.key is None:
        return
    key, place = domain.key.value, f"{domain.file}:{domain.key.line}"
    found = schema.field(key)
    if found is None:
        message = f"{schema.full_name} has no field {key}, which is the key of its domain ({place})"
        meant = nearest(key, (field["name"] for field in schema.document["fields"]))
        hint = f"did {place} mean {meant}?" if meant else "the key is a required string of every event"
        report.add(schema.file, schema.lines.of("/fields"), message, hint)
        return
    index, field = found
    kind = field["type"]
    if isinstance(kind, dict) and "logicalType" not in kind:
        kind = kind.get("type")
    if any(path == ("fields", str(index), "type") and name not in schemas for name, path in schema.uses):
        return  # the key's type does not exist, which is reported as such
    if kind != "string" or "default" in field:
        got = "a string with a default" if kind == "string" else json.dumps(field["type"])
        message = f"{key} is the key of its domain ({place}) and must be a required string, got {got}"
        line = schema.lines.of(("fields", index, "name"))
        report.add(schema.file, line, message, 'write "type": "string", and no default')


def _domain(
    domain: DomainFile,
    schemas: Mapping[str, SchemaFile],
    documents: Mapping[str, Mapping[str, object]],
    report: Report,
) -> Domain:
    events = []
    for event in domain.events.items:
        schema = schemas[f"{domain.folder}.{event.value}"]
        try:
            bundled = bundle(schema.full_name, documents)
        except SchemaError as error:
            report.add(schema.file, schema.lines.of(error.path), error.message, error.next_step)
            continue
        events.append(EventType(schema.full_name, bundled, Location(schema.file, 1)))
    return Domain(
        name=domain.folder,
        owner=_present(domain.owner).owner,
        topic=TopicSpec(
            name=_present(domain.topic).value,
            partitions=_present(domain.partitions),
            replication=_present(domain.replication),
            retention_ms=_present(domain.retention_ms),
        ),
        key=_present(domain.key).value,
        compatibility=_present(domain.compatibility),
        events=tuple(events),
        readers=tuple(reader.value for reader in domain.readers.items),
        writers=tuple(writer.value for writer in domain.writers.items),
        location=Location(domain.file, 1),
        exemptions=tuple(
            Exemption(rule, reason.value, Location(domain.file, reason.line), type_name)
            for rule, type_name, reason in domain.exemptions
        ),
        topic_at=Location(domain.file, domain.topic_line),
        level_at=Location(domain.file, domain.compatibility_line),
        events_at=Location(domain.file, domain.events_line),
        owner_at=Location(domain.file, _present(domain.owner).line),
    )


def _present(value: _T | None) -> _T:
    """Narrow a type: where nothing was reported, every required field has been read."""
    if value is None:
        raise AssertionError("a field is missing, and nothing was reported")
    return value


def _service(service: ServiceFile) -> Service:
    name = _present(service.name).value
    return Service(
        name=name,
        folder=service.folder,
        owner=_present(service.owner).owner,
        workloads=tuple(
            Workload(
                name=workload.name,
                service=name,
                consumes=tuple(event.value for event in workload.consumes.items),
                publishes=tuple(event.value for event in workload.publishes.items),
                retry_ms=workload.retry_ms or (),
                location=Location(service.file, workload.line),
                start=workload.start or "earliest",
                concurrency=_present(workload.concurrency),
                order=_present(workload.order),
                exactly_once=bool(workload.exactly_once),
                on_dead_letter=workload.on_dead_letter or "continue",
                outage=_present(workload.outage),
            )
            for workload in service.workloads
        ),
        location=Location(service.file, 1),
    )
