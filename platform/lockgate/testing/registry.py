"""A schema registry in memory: what the runtime asks of one, filled from the contracts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lockgate.contracts.model import Contracts
from lockgate.registry import RegisteredSchema

__all__ = ["MemoryRegistry"]


class MemoryRegistry:
    """Hold subjects and their versions; ids count from 1, the same schema has the same id under every subject."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._schemas: dict[int, Mapping[str, Any]] = {}
        self._subjects: dict[str, list[RegisteredSchema]] = {}

    @classmethod
    def of(cls, contracts: Contracts) -> MemoryRegistry:
        """Return a registry that holds the present version of every event type."""
        registry = cls()
        for domain in contracts.domains:
            for event in domain.events:
                registry.register(domain.subject(event), event.schema)
        return registry

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """Add a version to a subject and return its schema id; the same schema again returns the same id.

        Compatibility is not checked: a test may want to know what becomes of what the real registry would refuse.
        """
        found = self.find(subject, schema)
        if found is not None:
            return found.schema_id
        schema_id = self._ids.setdefault(_canonical(schema), len(self._ids) + 1)
        self._schemas[schema_id] = schema
        versions = self._subjects.setdefault(subject, [])
        versions.append(RegisteredSchema(subject, len(versions) + 1, schema_id, schema))
        return schema_id

    def schema(self, schema_id: int) -> Mapping[str, Any] | None:
        """Return the schema of an id, or None."""
        return self._schemas.get(schema_id)

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        """Return the subjects that an id is registered under."""
        return frozenset(
            subject
            for subject, versions in self._subjects.items()
            if any(version.schema_id == schema_id for version in versions)
        )

    def find(self, subject: str, schema: Mapping[str, Any]) -> RegisteredSchema | None:
        """Return the version of a subject that holds exactly this schema, or None."""
        wanted = _canonical(schema)
        versions = self._subjects.get(subject, ())
        return next((version for version in versions if _canonical(version.schema) == wanted), None)


def _canonical(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True)
