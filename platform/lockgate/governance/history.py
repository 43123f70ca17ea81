"""The versions of event types: the distinct contents of their bundled schemas along git's first-parent history."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from lockgate.avro.schema import assemble, bundle, canonical
from lockgate.errors import SchemaError
from lockgate.governance.documents import Document, Find, locate, path_of, read
from lockgate.governance.git import SHORT, Repository
from lockgate.governance.renames import Rename, predecessor

__all__ = ["History", "Version"]


@attrs.frozen
class Version:
    """Hold one earlier schema of an event type."""

    name: str
    """What messages call it: `git:3f2a…`, or `version 3` of the registry."""
    event_type: str
    """The full name that it had then."""
    schema: Mapping[str, Any]
    """Self-contained."""
    find: Find | None = None
    """Finds the files that it was bundled from; None for a version of the registry, which has none."""

    def at(self, pointer: str) -> str:
        """Return where a part of it stands: `git:3f2a…:schemas/…/X.avsc:12`, or `registry version 3, /fields/0`."""
        if self.find is None:
            return f"registry {self.name}{f', {pointer}' if pointer else ''}"
        file, line = locate(self.find, self.event_type, pointer)
        return f"{self.name}:{file}:{line}"


class History:
    """Know a project's schemas at every commit of the first-parent history of one commit.

    Files are read when they are asked for, all that are needed at once. Contents that are no schema are no versions:
    `unread` names them.
    """

    def __init__(self, repository: Repository, commit: str | None) -> None:
        self._repository = repository
        commits = [] if commit is None else repository.history(commit, "schemas/")
        self._names = [entry.name for entry in commits]
        self._changes: dict[str, tuple[list[int], list[str | None]]] = defaultdict(lambda: ([], []))
        self._gone: list[list[str]] = []
        for index, entry in enumerate(commits):
            for path, blob in entry.changed.items():
                indices, blobs = self._changes[path]
                indices.append(index)
                blobs.append(blob)
            self._gone.append([path for path, blob in entry.changed.items() if blob is None])
        self._contents: dict[str, bytes] = {}
        self._documents: dict[tuple[str, str], Document | None] = {}
        self.unread: dict[str, None] = {}
        """Places of contents that are no schema, in the order in which they were met."""

    @property
    def end(self) -> int:
        """Return the moment of the commit itself; moments count from 0, and -1 is before everything."""
        return len(self._names) - 1

    def files(self, moment: int | None = None) -> dict[str, str]:
        """Return the blob of each file below `schemas/` at a moment, the last one by default, by path."""
        moment = self.end if moment is None else moment
        found = ((path, self._blob(path, moment)) for path in self._changes)
        return {path: blob for path, blob in found if blob is not None}

    def content(self, path: str, moment: int | None = None) -> bytes | None:
        """Return a file's content at a moment, or None where there was no such file."""
        blob = self._blob(path, self.end if moment is None else moment)
        if blob is None:
            return None
        self._fetch([blob])
        return self._contents[blob]

    def find(self, moment: int | None = None) -> Find:
        """Return what finds the documents of a moment."""
        at = self.end if moment is None else moment

        def find(full_name: str) -> Document | None:
            blob = self._blob(path_of(full_name), at)
            return None if blob is None else self._document(full_name, blob)

        return find

    def place(self, full_name: str, pointer: str = "") -> str:
        """Return where a part of a schema stood at the last moment."""
        file, line = locate(self.find(), full_name, pointer)
        return f"git:{self._names[-1][:SHORT]}:{file}:{line}"

    def prefetch(self, full_names: Iterable[str]) -> None:
        """Read all contents that these types and what they use ever had, in a few processes."""
        known: set[str] = set()
        wave = set(full_names)
        while wave:
            known |= wave
            self._fetch(blob for name in wave for blob in self._blobs(name))
            found: set[str] = set()
            for name in wave:
                for blob in self._blobs(name):
                    document = self._document(name, blob)
                    if document is not None:
                        found |= document.uses
            wave = found - known

    def versions(
        self, full_name: str, renamed: Rename | None = None, *, latest: bool = False, validate: bool = True
    ) -> list[Version]:
        """Return the versions of an event type, oldest first, the one it had last at the end.

        Where the type has come by another name, its versions under that name count too: `renamed` says which one it
        was renamed from after the last moment. With `latest`, only the last version is looked for. Contents that are no
        valid schema are no versions; without `validate` they are not looked for, for those who parse versions anyway.
        """
        found: dict[str, Version] = {}
        for version in self._walk(renamed.old if renamed else full_name, self.end, validate):
            found.setdefault(canonical(version.schema), version)
            if latest:
                break
        return [*found.values()][::-1]

    def _walk(self, full_name: str, moment: int, validate: bool) -> Iterator[Version]:
        """Yield an event type's contents, latest first, through the names that it has had."""
        self.prefetch([full_name])
        previous: tuple[str, ...] | None = None
        points = self._points(full_name)
        for point in reversed(points[: bisect_right(points, moment)]):
            find = self.find(point)
            if find(full_name) is not None:
                key = self._key(full_name, point)
                if key != previous:
                    previous = key
                    version = self._version(full_name, point, find, validate)
                    if version is not None:
                        yield version
            blob = self._blob(path_of(full_name), point)
            if blob is not None and self._blob(path_of(full_name), point - 1) is None:  # it appears here
                origin = self._origin(full_name, point)
                if origin is not None:
                    yield from self._walk(origin.old, point - 1, validate)

    def _origin(self, full_name: str, moment: int) -> Rename | None:
        document = self.find(moment)(full_name)
        gone = [
            ".".join(path.removesuffix(".avsc").split("/")[1:])
            for path in self._gone[moment]
            if path.endswith(".avsc") and path.count("/") == 2
        ]
        if document is None or not gone:
            return None
        before = self.find(moment - 1)
        return predecessor(document, [there for name in gone if (there := before(name)) is not None])

    def _version(self, full_name: str, moment: int, find: Find, validate: bool) -> Version | None:
        name = f"git:{self._names[moment][:SHORT]}"
        try:
            make = bundle if validate else assemble
            return Version(name, full_name, make(full_name, _Documents(find)), find)
        except (SchemaError, RecursionError):
            self.unread[f"{name}:{path_of(full_name)}"] = None
            return None

    def _key(self, full_name: str, moment: int) -> tuple[str, ...]:
        """Return the blobs that a type consists of at a moment, what it uses included."""
        find = self.find(moment)
        names, waiting = {full_name}, [full_name]
        while waiting:
            document = find(waiting.pop())
            new = document.uses - names if document is not None else ()
            names.update(new)
            waiting.extend(new)
        return tuple(self._blob(path_of(name), moment) or "" for name in sorted(names))

    def _points(self, full_name: str) -> list[int]:
        """Return the moments at which a type may have changed: it, or something that it has ever used."""
        names, waiting = {full_name}, [full_name]
        points: set[int] = set()
        while waiting:
            name = waiting.pop()
            points.update(self._changes[path_of(name)][0] if path_of(name) in self._changes else ())
            for blob in self._blobs(name):
                document = self._document(name, blob)
                new = document.uses - names if document is not None else ()
                names.update(new)
                waiting.extend(new)
        return sorted(points)

    def _blob(self, path: str, moment: int) -> str | None:
        if path not in self._changes:
            return None
        indices, blobs = self._changes[path]
        position = bisect_right(indices, moment)
        return blobs[position - 1] if position else None

    def _blobs(self, full_name: str) -> list[str]:
        path = path_of(full_name)
        return [blob for blob in self._changes[path][1] if blob is not None] if path in self._changes else []

    def _fetch(self, blobs: Iterable[str]) -> None:
        missing = [blob for blob in blobs if blob not in self._contents]
        self._contents |= self._repository.contents(missing)

    def _document(self, full_name: str, blob: str) -> Document | None:
        key = full_name, blob
        if key not in self._documents:
            self._fetch([blob])
            document = read(full_name, self._contents[blob])
            if document is None:
                self.unread[f"{path_of(full_name)} (blob {blob[:SHORT]})"] = None
            self._documents[key] = document
        return self._documents[key]


class _Documents(Mapping[str, Mapping[str, Any]]):
    """Show the documents of a moment as `bundle` takes them."""

    def __init__(self, find: Find) -> None:
        self._find = find

    def __getitem__(self, full_name: str) -> Mapping[str, Any]:
        document = self._find(full_name)
        if document is None:
            raise KeyError(full_name)
        return document.content

    def __contains__(self, full_name: object) -> bool:
        return isinstance(full_name, str) and self._find(full_name) is not None

    def __iter__(self) -> Iterator[str]:
        raise TypeError("the documents of a moment are found by name only")

    def __len__(self) -> int:
        raise TypeError("the documents of a moment are found by name only")
