from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lockgate.errors import StackError
from lockgate.local.guard import guarded
from lockgate.local.processes import Processes, Running, end, is_alive, leftovers
from lockgate.local.programs import mark

SLEEP = [sys.executable, "-c", "import time; print('hello', flush=True); time.sleep(120)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('hello', flush=True); time.sleep(120)",
]


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path / "run")
    yield found
    found.stop(found.names(), 0)


def start(processes: Processes, folder: Path, command: list[str] = SLEEP, name: str = "one") -> Running:
    log = folder / f"{name}.log"
    running = processes.start(name, command, {"PATH": os.environ["PATH"]}, log, "d1")
    wait_for(lambda: "hello" in log.read_text())
    return running


def test_a_started_process_is_found_again_by_another_object(processes: Processes, tmp_path: Path) -> None:
    running = start(processes, tmp_path)
    assert Processes(tmp_path / "run").find("one") == running


def test_it_has_a_session_of_its_own(processes: Processes, tmp_path: Path) -> None:
    running = start(processes, tmp_path)
    assert os.getsid(running.pid) == running.pid != os.getsid(0)


def test_it_gets_the_given_environment_and_no_other(processes: Processes, tmp_path: Path) -> None:
    running = start(processes, tmp_path)
    assert set(psutil.Process(running.pid).environ()) <= {"PATH", "LC_CTYPE"}


def test_a_stopped_process_leaves_no_record(processes: Processes, tmp_path: Path) -> None:
    running = start(processes, tmp_path)
    assert processes.stop(["one"], 10) == ()
    assert not is_alive(running.pid, running.started)
    assert not processes.was_started("one")


def test_who_does_not_listen_is_ended_and_named(processes: Processes, tmp_path: Path) -> None:
    running = start(processes, tmp_path, STUBBORN)
    assert processes.stop(["one"], 0.2) == ("one",)
    assert not is_alive(running.pid, running.started)


def test_a_killed_process_keeps_its_record(processes: Processes, tmp_path: Path) -> None:
    start(processes, tmp_path)
    processes.kill("one")
    assert processes.find("one") is None
    assert processes.was_started("one")


def test_a_recycled_process_id_is_never_touched(processes: Processes, tmp_path: Path) -> None:
    running = start(processes, tmp_path)
    file = tmp_path / "run" / "one.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"started": record["started"] - 3600}))
    assert processes.find("one") is None
    processes.kill("one")
    processes.stop(["one"], 0)
    assert is_alive(running.pid, running.started)
    end(running.pid, running.started)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_record_is_no_process(processes: Processes, tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "one.json").write_text(text)
    assert processes.find("one") is None


def test_a_program_that_is_not_there_is_one_clear_line(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="one cannot be started: /no/such"):
        processes.start("one", ["/no/such"], {}, tmp_path / "log", "d")


def test_a_process_without_a_record_is_found_by_its_mark(processes: Processes, tmp_path: Path) -> None:
    running = start(processes, tmp_path, [*SLEEP, mark(tmp_path)])
    assert list(leftovers(mark(tmp_path), {running.pid})) == []
    ((pid, started),) = leftovers(mark(tmp_path), set())
    assert pid == running.pid
    end(pid, started)
    assert not is_alive(pid, started)


def test_a_mark_is_not_the_beginning_of_another(processes: Processes, tmp_path: Path) -> None:
    start(processes, tmp_path, [*SLEEP, mark(tmp_path / "longer")])
    assert list(leftovers(mark(tmp_path), set())) == []


# The guard

STARTER = """
import sys, time
from pathlib import Path
from lockgate.local.guard import guarded
from lockgate.local.processes import Processes
home = Path(sys.argv[1])
with guarded(home) as guard:
    import subprocess
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], start_new_session=True)
    guard.entrust(other.pid)
    (home / "other").write_text(str(other.pid))
    Processes(home / "run").start(
        "one", [sys.executable, "-c", "import time; time.sleep(120)"], {}, home / "log", "d")
    print("ready", flush=True)
    time.sleep(120)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_guarded_ends_with_its_parent_however_that_ends(tmp_path: Path, number: signal.Signals) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
        running = Processes(tmp_path / "run").find("one")
        assert running is not None
        other = psutil.Process(int((tmp_path / "other").read_text()))
        starter.send_signal(number)
    wait_for(lambda: not is_alive(running.pid, running.started))
    wait_for(lambda: not other.is_running() or other.status() == psutil.STATUS_ZOMBIE)
    wait_for(lambda: not Processes(tmp_path / "run").was_started("one"))


def test_a_block_that_raises_leaves_nothing(processes: Processes, tmp_path: Path) -> None:
    started = []

    def run() -> None:
        with guarded(tmp_path):
            started.append(start(processes, tmp_path))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not is_alive(started[0].pid, started[0].started)


def test_a_released_guard_ends_nothing(processes: Processes, tmp_path: Path) -> None:
    with guarded(tmp_path):
        running = start(processes, tmp_path)
    assert is_alive(running.pid, running.started)
