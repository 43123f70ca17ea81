"""What a project promised at the commit that it is compared with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs

from lockgate.contracts.files import ServiceFile, read_domain, read_service
from lockgate.contracts.model import Compatibility, Contracts
from lockgate.contracts.report import Report
from lockgate.governance.documents import path_of, working_tree
from lockgate.governance.findings import Concerned
from lockgate.governance.git import SHORT, Repository
from lockgate.governance.history import History

__all__ = ["Base", "Promise"]

_CONTRACT = "domain.yaml"
_SERVICE = re.compile(r"services/[^/]+/service\.yaml")


@attrs.frozen
class Promise:
    """Hold what a `domain.yaml` said; None stands for what could not be read."""

    topic: str | None
    compatibility: Compatibility | None
    events: tuple[str, ...]
    """Full names."""
    team: str | None


class Base:
    """Read a project at one commit; without one, at the commit where its branch left main.

    Raise UsageError where git does not have it, and for a shallow clone.
    """

    def __init__(self, contracts: Contracts, ref: str | None) -> None:
        self._contracts = contracts
        self.find = working_tree(contracts.root)
        """Finds the project's documents as they are now."""
        self._repository = Repository(contracts.root)
        self._files = {
            path: self._repository.blob(content) for path, content in _contract_files(contracts.root).items()
        }
        if ref is None:
            self.commit = self._repository.base(self._files, "schemas/")
        else:
            self.commit = self._repository.commit(ref)
        self.source = f"git:{ref or (self.commit or 'nothing')[:SHORT]}"
        self.history = History(self._repository, self.commit)
        self._then = self.history.files()

    @cached_property
    def promises(self) -> Mapping[str, Promise]:
        """Return what each domain promised, by its folder."""
        now = {domain.name: domain for domain in self._contracts.domains}
        found = {}
        for path, blob in self._then.items():
            folder, _, name = path.removeprefix("schemas/").partition("/")
            if name != _CONTRACT:
                continue
            domain = now.get(folder)
            if domain is not None and self._files.get(path) == blob:
                events = tuple(event.full_name for event in domain.events)
                found[folder] = Promise(domain.topic.name, domain.compatibility, events, domain.owner.team)
            else:
                found[folder] = self._promise(folder, path)
        return found

    def _promise(self, folder: str, path: str) -> Promise:
        with _file(self.history.content(path) or b"") as file:
            said = read_domain(file, folder, path, Report())
        topic = None if said.topic is None else said.topic.value
        events = tuple(f"{folder}.{event.value}" for event in said.events.items)
        return Promise(topic, said.compatibility, events, None if said.owner is None else said.owner.owner.team)

    @cached_property
    def concerned(self) -> tuple[dict[str, list[Concerned]], dict[str, list[Concerned]]]:
        """Return who read and who wrote each event type, by full name."""
        readers: dict[str, list[Concerned]] = {}
        writers: dict[str, list[Concerned]] = {}
        for service in self._services():
            for workload in service.workloads:
                team, contact = ("?", "?") if service.owner is None else attrs.astuple(service.owner.owner)
                who = Concerned(workload.name, team, contact, f"{self.at(service.file)}:{workload.line}")
                for event in workload.consumes.items:
                    readers.setdefault(event.value, []).append(who)
                for event in workload.publishes.items:
                    writers.setdefault(event.value, []).append(who)
        return readers, writers

    def _services(self) -> Iterator[ServiceFile]:
        if self.commit is None:
            return
        files = self._repository.tree(self.commit, "services/")
        wanted = {path: blob for path, blob in files.items() if _SERVICE.fullmatch(path)}
        contents = self._repository.contents(wanted.values())
        for path, blob in wanted.items():
            with _file(contents[blob]) as file:
                yield read_service(file, path.split("/")[1], path, Report())

    def at(self, path: str) -> str:
        """Return what a file at the commit is called."""
        return f"git:{(self.commit or '')[:SHORT]}:{path}"

    def has(self, full_name: str) -> bool:
        """Return whether there was a file of this type."""
        return path_of(full_name) in self._then

    def is_unchanged(self, full_name: str) -> bool:
        """Return whether an event type's files, those of shared types included, are what they were, byte for byte."""
        names, waiting = {full_name}, [full_name]
        while waiting:
            name = waiting.pop()
            blob = self._files.get(path_of(name))
            document = self.find(name)
            if blob is None or document is None or self._then.get(path_of(name)) != blob:
                return False
            new = document.uses - names
            names |= new
            waiting.extend(new)
        return True


def _contract_files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for pattern in (_CONTRACT, "*.avsc")
        for path in sorted(root.glob(f"schemas/*/{pattern}"))
    }


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    """Put a content where the parsers of contract files read it."""
    with TemporaryDirectory(prefix="lockgate-") as folder:
        file = Path(folder) / "contract.yaml"
        file.write_bytes(content)
        yield file
