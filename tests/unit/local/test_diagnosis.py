from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.errors import StackError
from lockgate.local import diagnosis
from lockgate.local.cache import Cache
from lockgate.local.compose import Program
from lockgate.local.diagnosis import explain, last_words, refuse_taken_ports

HOLD = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


def broker(port: int) -> Program:
    listeners = {"KAFKA_LISTENERS": f"CLIENT://127.0.0.1:{port}"}
    return Program(name="kafka-1", kind="kafka", version="1", environment=listeners, volumes=())


@pytest.fixture
def holder(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Hold a port in another process; return the port and the process id."""
    arguments = getattr(request, "param", [])
    command = [sys.executable, "-c", HOLD, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
        process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_free_ports_are_fine(tmp_path: Path) -> None:
    refuse_taken_ports([broker(free_port())], tmp_path)


def test_a_taken_port_is_named_with_its_holder(holder: tuple[int, int], tmp_path: Path) -> None:
    port, pid = holder
    with pytest.raises(StackError, match=rf"port {port} \(kafka-1\) is taken by python.* \(process {pid}\)") as caught:
        refuse_taken_ports([broker(port)], tmp_path)
    assert caught.value.next_step


def test_a_port_whose_holder_is_just_ending_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(diagnosis, "holder_of", lambda _: None)  # what is left of a process has no open files
        threading.Timer(0.3, server.close).start()
        refuse_taken_ports([broker(port)], tmp_path)


def test_a_port_whose_holder_nobody_knows_is_told_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(diagnosis, "holder_of", lambda _: None)
        monkeypatch.setattr(diagnosis, "_ENDING", 0.1)
        with pytest.raises(StackError, match=f"port {port} .* is taken"):
            refuse_taken_ports([broker(port)], tmp_path)


@pytest.mark.parametrize("holder", [["-Dlockgate.home=/other/state"]], indirect=True)
def test_another_projects_stack_is_called_by_its_name(holder: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(StackError, match="is taken by the stack in /other/state") as caught:
        refuse_taken_ports([broker(holder[0])], tmp_path)
    assert "LOCKGATE_HOME=/other/state lockgate down" in (caught.value.next_step or "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("java.io.IOException: No space left on device", "the disk is full"),
        ("java.net.BindException: Address already in use", "taken while it started"),
        ("ERROR Exiting Kafka due to fatal exception: wrong cluster", "wrong cluster"),
        ("nothing that blames anything", "nothing that blames"),
        ("", "it said nothing"),
    ],
)
def test_a_programs_death_is_explained_in_one_line(tmp_path: Path, line: str, message: str) -> None:
    log = tmp_path / "logs" / "kafka-1.log"
    log.parent.mkdir()
    log.write_text(f"INFO starting\n{line}\n\tat some.Class(File.java:1)\n" if line else "")
    error = explain(broker(1), log, Cache(tmp_path / "cache", ()))
    assert message in error.message
    assert "\n" not in error.message
    assert error.next_step


def test_the_words_that_blame_are_found_above_a_stack_trace(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("INFO a\nERROR the reason\n\tat some.ErrorClass(File.java:1)\nINFO closed\n")
    assert last_words(log) == "ERROR the reason"


def test_a_full_disk_is_not_buried_under_what_follows_from_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Caused by: java.io.IOException: No space left on device\nERROR Shutdown broker\n")
    assert last_words(log) == "No space left on device"


def test_a_missing_log_has_no_words(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none") == ""
