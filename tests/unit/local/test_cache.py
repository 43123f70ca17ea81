from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from lockgate.errors import StackError
from lockgate.local.cache import Cache, cache_directory
from lockgate.local.lock import Artifact, locked


class Maven:
    """A Maven repository on this machine that counts what it is asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/")
                repository.asked[path] += 1
                if repository.failures[path] > 0:
                    repository.failures[path] -= 1
                    self.send_error(503)
                elif path not in repository.files:
                    self.send_error(404)
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(repository.files[path])))
                    self.end_headers()
                    self.wfile.write(repository.files[path])

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class World(NamedTuple):
    maven: Maven
    cache: Cache
    artifacts: tuple[Artifact, ...]
    lines: list[str]

    @property
    def jar(self) -> Path:
        return self.cache.class_path[0]

    def fill(self) -> list[str]:
        self.lines.clear()
        self.cache.fill(self.lines.append)
        return self.lines


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, content in (("quarkus-run.jar", b"run"), ("lib/a.jar", b"library")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    maven = Maven()
    monkeypatch.setenv("LOCKGATE_MAVEN_URL", maven.url)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    contents = [
        ("kafka org.example:first:jar:1", b"1" * 5000),
        ("kafka org.example:second:jar:1", b"2" * 7000),
        ("registry org.example:registry:tar.gz:all:1", archive()),
    ]
    text = "\n".join(f"{name} {len(content)} {hashlib.sha256(content).hexdigest()}" for name, content in contents)
    artifacts = locked(text)
    maven.files = {artifact.path: content for artifact, (_, content) in zip(artifacts, contents, strict=True)}
    try:
        yield World(maven, Cache(tmp_path / "cache", artifacts), artifacts, [])
    finally:
        maven.close()


def test_everything_is_fetched_once_and_the_registry_unpacked(world: World) -> None:
    world.fill()
    assert [file.read_bytes()[:1] for file in world.cache.class_path] == [b"1", b"2"]
    assert world.cache.registry_jar.read_bytes() == b"run"
    assert set(world.maven.asked.values()) == {1}


def test_a_full_cache_asks_nobody_and_says_nothing(world: World) -> None:
    world.fill()
    world.maven.files.clear()
    world.maven.asked.clear()
    assert world.fill() == []
    assert not world.maven.asked


def test_progress_counts_every_byte(world: World) -> None:
    seen: list[tuple[int, int]] = []
    world.cache.fill(world.lines.append, lambda done, total: seen.append((done, total)))
    total = sum(artifact.size for artifact in world.artifacts)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_file_with_another_checksum_is_refused_and_not_kept(world: World) -> None:
    world.maven.files[world.artifacts[0].path] = b"evil" + b"1" * 4996
    with pytest.raises(StackError, match=r"first-1\.jar is not the file that jars\.lock names"):
        world.fill()
    assert not world.jar.exists()


def test_what_has_arrived_before_a_failure_is_not_fetched_again(world: World) -> None:
    missing = world.artifacts[0].path
    content = world.maven.files.pop(missing)
    with pytest.raises(StackError, match=r"first-1\.jar cannot be fetched: .*404") as caught:
        world.fill()
    assert "kept" in (caught.value.next_step or "")
    world.maven.files[missing] = content
    arrived = [path for path in world.maven.files if (world.cache.directory / "maven" / path).exists()]
    world.maven.asked.clear()
    world.fill()
    assert not set(world.maven.asked) & set(arrived)


def test_a_server_that_stumbles_is_asked_again(world: World) -> None:
    world.maven.failures[world.artifacts[1].path] = 2
    world.fill()
    assert world.maven.asked[world.artifacts[1].path] == 3


def test_nobody_there_is_told_with_the_next_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKGATE_MAVEN_URL", "http://127.0.0.1:1")
    with pytest.raises(StackError, match="cannot be fetched") as caught:
        world.fill()
    assert "LOCKGATE_MAVEN_URL" in (caught.value.next_step or "")


@pytest.mark.parametrize("damage", [b"", b"x" * 5000])
def test_a_damaged_jar_is_told_in_one_line_and_fetched_again(world: World, damage: bytes) -> None:
    world.fill()
    world.jar.write_bytes(damage)
    lines = world.fill()
    assert [line for line in lines if "the cache was damaged" in line and "first-1.jar" in line]
    assert world.jar.read_bytes() == b"1" * 5000
    assert world.maven.asked[world.artifacts[0].path] == 2
    assert world.maven.asked[world.artifacts[1].path] == 1


def test_a_file_that_was_only_touched_is_no_damage(world: World) -> None:
    world.fill()
    world.jar.touch()
    assert world.fill() == []


@pytest.mark.parametrize("name", ["quarkus-run.jar", "lib/a.jar", "seals.json"])
def test_a_damaged_registry_is_unpacked_again_without_fetching(world: World, name: str) -> None:
    world.fill()
    (world.cache.registry / name).write_bytes(b"")
    world.maven.asked.clear()
    assert any("unpacking" in line for line in world.fill())
    assert (world.cache.registry / "lib/a.jar").read_bytes() == b"library"
    assert not world.maven.asked


def test_an_unpacking_that_was_cut_short_leaves_no_half_registry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractall", fail)
        with pytest.raises(StackError, match=r"cannot be unpacked: .*No space left"):
            world.fill()
    assert not world.cache.registry.exists()
    world.fill()
    assert world.cache.registry_jar.exists()


def test_damage_that_hides_behind_the_same_size_and_time_is_found_by_verify(world: World) -> None:
    import os

    world.fill()
    before = world.jar.stat()
    world.jar.write_bytes(b"x" * 5000)
    os.utime(world.jar, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert world.fill() == []
    assert world.cache.verify() == ("first-1.jar",)
    assert world.cache.discard_damaged() == ("first-1.jar",)
    world.fill()
    assert world.cache.verify() == ()


def test_the_archive_may_be_removed_once_it_is_unpacked(world: World) -> None:
    world.fill()
    (world.cache.directory / "maven" / world.artifacts[2].path).unlink()
    world.maven.asked.clear()
    assert world.fill() == []
    assert not world.maven.asked


def test_a_full_disk_is_told_before_anything_is_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 100))
    with pytest.raises(StackError, match="the disk is full") as caught:
        world.fill()
    assert "LOCKGATE_CACHE" in (caught.value.next_step or "")
    assert not world.maven.asked


def test_the_cache_lies_where_the_user_or_the_platform_wants_it() -> None:
    assert cache_directory({"LOCKGATE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_directory({"XDG_CACHE_HOME": "/b"}) == Path("/b/lockgate")
    assert cache_directory({}).is_relative_to(Path.home())
