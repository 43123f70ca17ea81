"""What is looked at: contract files with their text, so that a finding can name line and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import attrs
import yaml

from lockgate.contracts.model import Contracts, Domain
from lockgate.contracts.report import Report
from lockgate.contracts.schemas import COMMON, SchemaFile, read_schema
from lockgate.contracts.source import compose, read_text
from lockgate.governance.lint.parts import Part, parts

__all__ = ["DomainSource", "Project", "SchemaSource", "Source"]


@attrs.frozen(slots=False)  # what rules share is cached in the instance's __dict__
class Project:
    """Hold every file that rules look at, and what they have to know of each other."""

    contracts: Contracts

    @cached_property
    def schemas(self) -> Mapping[str, SchemaSource]:
        """Return every `.avsc` file by the full name of its type: those of the domains, and the shared ones."""
        found = {}
        for folder in sorted({COMMON, *(domain.name for domain in self.contracts.domains)}):
            for path in sorted((self.contracts.root / "schemas" / folder).glob("*.avsc")):
                file = read_schema(path, folder, f"schemas/{folder}/{path.name}", Report())
                if file.document is not None:  # the contracts have loaded, so it is
                    found[file.full_name] = SchemaSource(self, file, file.document)
        return found

    @cached_property
    def domains(self) -> Sequence[DomainSource]:
        """Return every `domain.yaml`, by name."""
        return [DomainSource(self, domain) for domain in self.contracts.domains]

    @cached_property
    def used(self) -> frozenset[str]:
        """Return the full names of the types that event types are or use, directly or through others."""
        waiting = list(self.contracts.events)
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                if name in self.schemas:
                    waiting += [used for used, _ in self.schemas[name].file.uses]
        return frozenset(found)


@attrs.frozen(slots=False)  # the parts are cached in the instance's __dict__
class SchemaSource:
    """Show one `.avsc` file to the rules."""

    project: Project
    file: SchemaFile
    document: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Return the file's path relative to the project root."""
        return self.file.file

    @property
    def domain(self) -> str | None:
        """Return the domain whose exemptions hold here; None for shared types, which have none."""
        return None if self.file.folder == COMMON else self.file.folder

    @property
    def type(self) -> str:
        """Return the type that the file is about, without its namespace."""
        return self.file.stem

    @cached_property
    def parts(self) -> Sequence[Part]:
        """Return everything in it, in the order of the text."""
        return list(parts(self.document, self.file.folder))

    def of_kind(self, *kinds: str) -> Iterator[Part]:
        """Yield the parts of some kinds: `field`, or a type's own."""
        return (part for part in self.parts if part.kind in kinds)

    def place(self, pointer: str) -> tuple[int, int]:
        """Return line and column of a JSON pointer, both 1-based."""
        return self.file.lines.place(pointer)


@attrs.frozen(slots=False)  # the text is read when a line is asked for
class DomainSource:
    """Show one `domain.yaml` to the rules."""

    project: Project
    contract: Domain

    @property
    def path(self) -> str:
        """Return the file's path relative to the project root."""
        return self.contract.location.file

    @property
    def domain(self) -> str:
        """Return the domain whose exemptions hold here."""
        return self.contract.name

    @property
    def type(self) -> None:
        """Return that it is about no single type."""

    @cached_property
    def _node(self) -> yaml.Node | None:
        text = read_text(self.project.contracts.root / self.path, self.path, Report())
        return None if text is None else compose(text, self.path, Report())

    def place(self, pointer: str) -> tuple[int, int]:
        """Return line and column of a field, both 1-based; of the nearest parent that exists."""
        node, line, column = self._node, 1, 1
        for name in pointer.split("/")[1:]:
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            for key, value in pairs:
                if key.value == name:
                    line, column, node = key.start_mark.line + 1, key.start_mark.column + 1, value
                    break
            else:
                break
        return line, column


Source: TypeAlias = SchemaSource | DomainSource
