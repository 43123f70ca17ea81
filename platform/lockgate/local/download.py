"""Bringing locked files from a Maven repository: several at a time, each of them whole or not at all."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from lockgate.errors import StackError
from lockgate.local.lock import Artifact

__all__ = ["Fetched", "download", "repository"]

Fetched = Callable[[int, int], None]
"""Told while files are fetched: bytes that are there, bytes in all."""

_MAVEN_CENTRAL = "https://repo.maven.apache.org/maven2"
_CONNECTIONS = 8
_CHUNK = 1 << 18
_TRIES = 3


def repository() -> str:
    """Return the repository's URL: Maven Central's, or `LOCKGATE_MAVEN_URL`."""
    return os.environ.get("LOCKGATE_MAVEN_URL", _MAVEN_CENTRAL).rstrip("/")


def download(wanted: Iterable[tuple[Artifact, Path]], base: str, fetched: Fetched) -> None:
    """Bring files to their places; what has arrived stays there if another one does not.

    Raise StackError where a file cannot be fetched or written, or is not the one that the lock file names.
    """
    # The largest first: the small ones fill the gaps.
    files = sorted(wanted, key=lambda pair: -pair[0].size)
    meter = _Meter(sum(artifact.size for artifact, _ in files), fetched)
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    with (
        httpx.Client(timeout=httpx.Timeout(30.0), limits=limits, follow_redirects=True) as client,
        ThreadPoolExecutor(_CONNECTIONS) as pool,
    ):
        jobs = [pool.submit(_download_one, client, base, artifact, file, meter) for artifact, file in files]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            meter.stopped = True
            pool.shutdown(cancel_futures=True)
            raise


def _download_one(client: httpx.Client, base: str, artifact: Artifact, file: Path, meter: _Meter) -> None:
    url = f"{base}/{artifact.path}"
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    last: Exception | None = None
    for _ in range(_TRIES):
        got = 0
        digest = hashlib.sha256()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with client.stream("GET", url) as response, draft.open("wb") as out:
                response.raise_for_status()
                for chunk in response.iter_bytes(_CHUNK):
                    if meter.stopped:
                        return
                    out.write(chunk)
                    digest.update(chunk)
                    got += len(chunk)
                    meter.add(len(chunk))
            if digest.hexdigest() != artifact.sha256:
                raise StackError(
                    f"{url} is not the file that jars.lock names: its SHA-256 is {digest.hexdigest()}, "
                    f"not {artifact.sha256}",
                    next_step="something answers in Maven Central's place; name a mirror with LOCKGATE_MAVEN_URL",
                )
            draft.replace(file)
            return
        except (httpx.HTTPStatusError, httpx.TransportError) as error:
            last = error
            meter.add(-got)
            answered = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 500
            if answered < 500 and answered != 429:
                break
        except OSError as error:
            raise StackError(
                f"{file}: cannot be written: {error.strerror}",
                next_step="free some room, or move the cache with LOCKGATE_CACHE",
            ) from error
        finally:
            draft.unlink(missing_ok=True)
    raise StackError(
        f"{url} cannot be fetched: {' '.join(str(last).split()) or type(last).__name__}",
        next_step="check the network (HTTPS_PROXY is honoured), or name a mirror with LOCKGATE_MAVEN_URL; "
        "what has arrived is kept",
    ) from last


class _Meter:
    """Add up what all connections bring."""

    def __init__(self, total: int, fetched: Fetched) -> None:
        self._total, self._fetched, self._done = total, fetched, 0
        self._lock = threading.Lock()
        self.stopped = False

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._fetched(self._done, self._total)
