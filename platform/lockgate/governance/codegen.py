"""Typed event classes, generated from the contracts and owned with them: `schemas/<namespace>/__init__.py`."""

from __future__ import annotations

from pathlib import Path

from lockgate.avro.parser import parse
from lockgate.avro.types import Enum, Record, walk
from lockgate.contracts.model import Contracts
from lockgate.errors import SchemaError
from lockgate.governance.classes import module_text

__all__ = ["generate", "outdated", "write"]

_COMMON = "common"


def generate(contracts: Contracts) -> dict[str, str]:
    """Return the text of each generated module by its path relative to the project's root.

    There is one for each domain, and one for `common` where events use types of it. Raise SchemaError for a type in
    a namespace that has no folder.
    """
    modules: dict[str, dict[str, Record | Enum]] = {domain.name: {} for domain in contracts.domains}
    for event in contracts.events.values():
        for type_ in walk(parse(event.schema)):
            if isinstance(type_, Record | Enum):
                namespace = type_.name.rpartition(".")[0]
                if namespace == _COMMON:
                    modules.setdefault(_COMMON, {})
                if namespace not in modules:
                    raise SchemaError(f"{type_.name}, which {event.full_name} uses, is in no domain and not in common")
                modules[namespace].setdefault(type_.name, type_)
    return {
        f"schemas/{namespace}/__init__.py": module_text(namespace, types.values())
        for namespace, types in sorted(modules.items())
    }


def outdated(contracts: Contracts) -> list[str]:
    """Return the paths of generated modules that are missing or not what the contracts say."""
    return [path for path, text in generate(contracts).items() if _current(contracts.root / path) != text]


def write(contracts: Contracts) -> list[str]:
    """Write the modules that are not current, and return their paths."""
    modules = generate(contracts)
    changed = [path for path, text in modules.items() if _current(contracts.root / path) != text]
    for path in changed:
        (contracts.root / path).write_text(modules[path], encoding="utf-8")
    return changed


def _current(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None
