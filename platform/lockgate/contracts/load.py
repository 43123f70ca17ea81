"""Load a project's contracts."""

from __future__ import annotations

from pathlib import Path

from lockgate.avro.schema import bundle
from lockgate.contracts.files import read_domain, read_service
from lockgate.contracts.model import Contracts, Domain, EventType, Location, Service, TopicSpec, Workload
from lockgate.contracts.report import Report
from lockgate.contracts.schemas import check_definitions, check_references, read_schema
from lockgate.errors import ContractsError

__all__ = ["load"]


def load(root: Path) -> Contracts:
    """Load and check all contracts below a project root; raise ContractsError with every mistake."""
    report = Report()
    schemas = {}
    for path in sorted(root.glob("schemas/*/*.avsc")):
        found = read_schema(path, path.parent.name, path.relative_to(root).as_posix(), report)
        schemas[found.full_name] = found
    check_definitions(schemas, report)
    check_references(schemas, report)
    domain_files = [
        read_domain(p, p.parent.name, p.relative_to(root).as_posix(), report) for p in sorted(root.glob("schemas/*/domain.yaml"))
    ]
    service_files = [
        read_service(p, p.parent.name, p.relative_to(root).as_posix(), report) for p in sorted(root.glob("services/*/service.yaml"))
    ]
    if report.problems:
        raise ContractsError(report.problems)
    documents = {name: found.document for name, found in schemas.items() if found.document is not None}
    domains = []
    for f in domain_files:
        assert f.owner and f.topic and f.key and f.events and f.compatibility
        events = tuple(
            EventType(f"{f.folder}.{e.value}", bundle(f"{f.folder}.{e.value}", documents), Location(schemas[f"{f.folder}.{e.value}"].file, 1))
            for e in f.events
        )
        topic = TopicSpec(f.topic.value, f.partitions or 6, f.replication or 3, f.retention_ms or 604800000)
        domains.append(Domain(f.folder, f.owner.owner, topic, f.key.value, f.compatibility, events,
            tuple(r.value for r in f.readers or ()), tuple(w.value for w in f.writers or ()), Location(f.file, 1)))
    services = []
    for s in service_files:
        assert s.name and s.owner
        services.append(Service(s.name.value, s.folder, s.owner.owner, tuple(
            Workload(w.name, s.name.value, tuple(c.value for c in w.consumes or ()), tuple(c.value for c in w.publishes or ()),
                w.retry_ms or (), Location(s.file, w.line)) for w in s.workloads), Location(s.file, 1)))
    return Contracts(root, tuple(sorted(domains, key=lambda d: d.name)), tuple(sorted(services, key=lambda s: s.name)))
