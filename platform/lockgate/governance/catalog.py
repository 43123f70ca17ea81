"""The ownership matrix: who owns, writes and reads what, from the contracts alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from lockgate.contracts.model import Contracts, Domain

__all__ = ["Entry", "as_json", "as_markdown", "catalog"]


@attrs.frozen
class Entry:
    """Describe one domain to somebody who looks for an owner, a source or a reader."""

    domain: str
    topic: str
    owner: str
    contact: str
    events: tuple[str, ...]
    """Names without the namespace, in the order of the contract."""
    writers: tuple[str, ...]
    """Workloads, by name."""
    readers: tuple[str, ...]
    """Workloads, by name; each is a consumer group of the same name."""


def catalog(contracts: Contracts) -> tuple[Entry, ...]:
    """Return an entry for each domain, by name."""
    return tuple(_entry(domain) for domain in contracts.domains)


def _entry(domain: Domain) -> Entry:
    return Entry(
        domain=domain.name,
        topic=domain.topic.name,
        owner=domain.owner.team,
        contact=domain.owner.contact,
        events=tuple(event.name for event in domain.events),
        writers=tuple(sorted(domain.writers)),
        readers=tuple(sorted(domain.readers)),
    )


def as_json(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return entries as JSON values: an object for each, with the attributes of Entry."""
    return [
        attrs.asdict(entry, value_serializer=lambda _, __, value: list(value) if isinstance(value, tuple) else value)
        for entry in entries
    ]


def as_markdown(entries: Sequence[Entry]) -> str:
    """Return entries as a Markdown table that reads well as plain text, too: columns are padded to one width."""
    header = ["domain · topic", "owner · contact", "event types", "written by", "read by (workload = group)"]
    rows = [
        [
            entry.domain if entry.domain == entry.topic else f"{entry.domain} · `{entry.topic}`",
            f"{_escaped(entry.owner)} · {_escaped(entry.contact)}",
            ", ".join(entry.events),
            _names(entry.writers),
            _names(entry.readers),
        ]
        for entry in entries
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [_line(row, widths) for row in [header, ["-" * width for width in widths], *rows]]
    return "\n".join(lines) + "\n"


def _names(workloads: Sequence[str]) -> str:
    return ", ".join(f"`{workload}`" for workload in workloads) or "nobody"


def _escaped(text: str) -> str:
    """Escape what ends a cell or begins markup in Markdown."""
    return "".join(f"\\{character}" if character in "\\|`*_<>[]" else character for character in text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"
