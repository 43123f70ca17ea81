"""CODEOWNERS from the contracts: whoever owns a domain or a service is asked before its files change."""

from __future__ import annotations

import re
from typing import Any

import attrs

from lockgate.contracts.model import Contracts, Location, Owner

__all__ = ["Owned", "as_codeowners", "as_json", "owned"]

_HANDLE = re.compile(r"@[A-Za-z0-9][A-Za-z0-9-]*(/[A-Za-z0-9._-]+)?", re.ASCII)
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+")
_MAX_LINE = 500


@attrs.frozen
class Owned:
    """Say to whom a folder belongs."""

    path: str
    """From the project's root: `/schemas/orders/`."""
    team: str
    contact: str
    owners: tuple[str, ...]
    """What of the contact GitHub and GitLab know: `@handle`, `@organisation/team`, e-mail addresses; may be empty."""
    declared: Location


def owned(contracts: Contracts) -> tuple[Owned, ...]:
    """Return every folder that a contract gives an owner, domains first, each by name."""
    domains = [_owned(f"/schemas/{domain.name}/", domain.owner, domain.location) for domain in contracts.domains]
    services = [
        _owned(f"/services/{service.folder}/", service.owner, service.location) for service in contracts.services
    ]
    return (*domains, *sorted(services, key=lambda entry: entry.path))


def _owned(path: str, owner: Owner, declared: Location) -> Owned:
    words = [word.strip(",;<>()") for word in owner.contact.split()]
    known = (word for word in words if _HANDLE.fullmatch(word) or _ADDRESS.fullmatch(word))
    return Owned(path, owner.team, owner.contact, tuple(dict.fromkeys(known)), declared)


def as_codeowners(entries: tuple[Owned, ...]) -> str:
    """Return the file's text; a folder whose contact is neither handle nor address stands there as a comment."""
    width = max((len(entry.path) for entry in entries), default=0)
    lines = ["# Generated from the contracts by `lockgate catalog --codeowners`; do not edit."]
    for entry in entries:
        if entry.owners:
            lines.append(f"{entry.path.ljust(width)} {' '.join(entry.owners)}")
        else:
            contact = entry.contact if len(entry.contact) <= _MAX_LINE else f"{entry.contact[:_MAX_LINE]}…"
            lines.append(f"# {entry.path} belongs to {entry.team}; no @handle or e-mail address: {contact}")
    return "\n".join(lines) + "\n"


def as_json(entries: tuple[Owned, ...]) -> list[dict[str, Any]]:
    """Return entries as JSON values."""
    return [
        {
            "path": entry.path,
            "team": entry.team,
            "contact": entry.contact,
            "owners": list(entry.owners),
            "declared": str(entry.declared),
        }
        for entry in entries
    ]
