"""The user's cache of programs: fetched once, checked against the lock file, shared by every project."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lockgate.errors import StackError
from lockgate.local.download import Fetched, download, repository
from lockgate.local.lock import Artifact, locked

__all__ = ["Cache", "Fetched", "cache_directory", "silent"]

_REGISTRY_START = "quarkus-run.jar"


def cache_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return `LOCKGATE_CACHE`, or `lockgate` in the platform's folder for caches."""
    environ = os.environ if environ is None else environ
    if environ.get("LOCKGATE_CACHE"):
        return Path(environ["LOCKGATE_CACHE"]).expanduser().absolute()
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]) / "lockgate"
    home = Path.home()
    return home / "Library/Caches/lockgate" if sys.platform == "darwin" else home / ".cache/lockgate"


def silent(*_: object) -> None:
    """Take progress and say nothing."""


class Cache:
    """Hold the locked files on this machine.

    A file counts as whole while its size and time of change are those seen when its checksum was last computed; that
    costs a `stat` a file. `verify` computes every checksum again.
    """

    def __init__(self, directory: Path, artifacts: Iterable[Artifact] | None = None) -> None:
        self.directory = directory
        self._artifacts = locked() if artifacts is None else tuple(artifacts)
        self._seals = directory / "seals.json"

    def fill(self, progress: Callable[[str], None], fetched: Fetched = silent) -> None:
        """Fetch what is missing and repair what is damaged; do nothing, offline, where all is there.

        `progress` gets a line for each thing done. Raise StackError where a file cannot be fetched or is not the one
        that the lock file names.
        """
        with self.locked(progress):
            missing = self._missing(progress)
            if missing:
                self._fetch(missing, progress, fetched)
                self._seal_all(missing)
            self._unpack(progress)

    def verify(self) -> tuple[str, ...]:
        """Return the names of the files that do not hold what the lock file says, every byte read."""
        damaged = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sums = pool.map(lambda artifact: _sha256(self._file(artifact)), self._artifacts)
            damaged = [
                artifact.file for artifact, found in zip(self._artifacts, sums, strict=True) if found != artifact.sha256
            ]
        if not self._unpacked_is_whole(thorough=True):
            damaged.append(self.registry.name)
        return tuple(damaged)

    def discard_damaged(self) -> tuple[str, ...]:
        """Remove what `verify` finds damaged, so that the next `fill` brings it anew; return the names."""
        damaged = self.verify()
        for artifact in self._artifacts:
            if artifact.file in damaged:
                self._file(artifact).unlink(missing_ok=True)
        if self.registry.name in damaged:
            shutil.rmtree(self.registry, ignore_errors=True)
        return damaged

    @property
    def class_path(self) -> tuple[Path, ...]:
        """Return Kafka's jars, in the lock file's order."""
        return tuple(self._file(artifact) for artifact in self._artifacts if artifact.program == "kafka")

    @property
    def registry(self) -> Path:
        """Return the folder that holds the unpacked registry."""
        return self.directory / self._archive.file.removesuffix(f".{self._archive.type}")

    @property
    def registry_jar(self) -> Path:
        """Return the jar that starts the registry."""
        return self.registry / _REGISTRY_START

    def version(self, program: str) -> str:
        """Return the version of `kafka` or `registry` that is locked."""
        main = "kafka_2.13" if program == "kafka" else self._archive.name
        return next(artifact.version for artifact in self._artifacts if artifact.name == main)

    @property
    def _archive(self) -> Artifact:
        return next(artifact for artifact in self._artifacts if artifact.program == "registry")

    def _file(self, artifact: Artifact) -> Path:
        return self.directory / "maven" / artifact.path

    # What is there

    def _missing(self, progress: Callable[[str], None]) -> list[Artifact]:
        seals = self._read_seals()
        missing, fresh = [], dict(seals)
        for artifact in self._artifacts:
            file = self._file(artifact)
            seal = _seal(file)
            if seal is None:
                # Whoever needs the room may remove the registry's archive: it is only needed to unpack it.
                if artifact is not self._archive or not self._unpacked_is_whole():
                    missing.append(artifact)
                continue
            if seals.get(artifact.path) == [*seal, artifact.sha256]:
                continue
            if _sha256(file) == artifact.sha256:
                fresh[artifact.path] = [*seal, artifact.sha256]
            else:
                progress(f"the cache was damaged: {file} is not the file that jars.lock names; fetching it again")
                file.unlink(missing_ok=True)
                missing.append(artifact)
        if fresh != seals:
            self._write_seals(fresh)
        return missing

    def _read_seals(self) -> dict[str, list[object]]:
        try:
            seals = json.loads(self._seals.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # without seals every checksum is computed once more
        return seals if isinstance(seals, dict) else {}

    def _seal_all(self, artifacts: Iterable[Artifact]) -> None:
        # Their checksums were computed on the way in.
        fresh = {artifact.path: [*(_seal(self._file(artifact)) or ()), artifact.sha256] for artifact in artifacts}
        self._write_seals(self._read_seals() | fresh)

    def _write_seals(self, seals: Mapping[str, list[object]]) -> None:
        draft = self._seals.with_suffix(".draft")
        draft.write_text(json.dumps(seals), encoding="utf-8")
        draft.replace(self._seals)

    def _fetch(self, missing: list[Artifact], progress: Callable[[str], None], fetched: Fetched) -> None:
        total = sum(artifact.size for artifact in missing)
        # The registry's archive lies in the cache twice: packed while it is unpacked, and unpacked.
        needed = total + (2 * self._archive.size if self._archive in missing else 0)
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            raise StackError(
                f"the disk is full: {self.directory} needs {needed >> 20} MB and has {free >> 20} MB",
                next_step="free some room, or move the cache with LOCKGATE_CACHE",
            )
        base = repository()
        progress(f"fetching {len(missing)} files, {total >> 20} MB, from {base}")
        download([(artifact, self._file(artifact)) for artifact in missing], base, fetched)

    # The registry's folder

    def _unpack(self, progress: Callable[[str], None]) -> None:
        if self._unpacked_is_whole():
            return
        archive, folder = self._file(self._archive), self.registry
        if folder.exists():
            progress(f"the cache was damaged: {folder} is not what was unpacked there; unpacking it again")
            shutil.rmtree(folder)
        if not archive.exists():
            self._fetch([self._archive], progress, silent)
            self._seal_all([self._archive])
        progress(f"unpacking {archive.name}")
        draft = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        try:
            with tarfile.open(archive) as packed:
                # The checksum vouches for the archive; the filter came with 3.11.4, and later versions ask for it.
                if hasattr(tarfile, "data_filter"):
                    packed.extractall(draft, filter="data")
                else:
                    packed.extractall(draft)  # noqa: S202  # see above
            seals = {
                str(file.relative_to(draft)): [*(_seal(file) or ()), _sha256(file)]
                for file in sorted(draft.rglob("*"))
                if file.is_file()
            }
            (draft / "seals.json").write_text(json.dumps(seals), encoding="utf-8")
            draft.rename(folder)
        except (OSError, tarfile.TarError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise StackError(
                f"{archive} cannot be unpacked: {error}",
                next_step="free some room, or move the cache with LOCKGATE_CACHE",
            ) from error

    def _unpacked_is_whole(self, *, thorough: bool = False) -> bool:
        try:
            seals = json.loads((self.registry / "seals.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        for name, (size, changed, sha256) in seals.items():
            file = self.registry / name
            if _seal(file) != (size, changed) or (thorough and _sha256(file) != sha256):
                return False
        return bool(seals)

    @contextmanager
    def locked(self, progress: Callable[[str], None]) -> Iterator[None]:
        """Keep other processes from changing the cache while the block runs."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            handle = (self.directory / "lock").open("w")
        except OSError as error:
            raise StackError(
                f"{self.directory}: cannot be written: {error.strerror}", next_step="move the cache with LOCKGATE_CACHE"
            ) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress("waiting: another lockgate fills the cache")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _seal(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return None
