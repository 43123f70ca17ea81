"""The local stack itself: started twice, killed in part, stopped and found again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from lockgate.errors import StackError, UsageError
from lockgate.local.cache import silent
from lockgate.local.processes import leftovers
from lockgate.local.programs import mark
from lockgate.local.stack import Stack
from lockgate.local.status import StackStatus

if TYPE_CHECKING:
    from tests.worlds import SharedStack

pytestmark = pytest.mark.alone  # they stop nodes, and want the whole to be well
NODES = ("kafka-1", "kafka-2", "kafka-3", "registry")


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.fixture
def local(stack: SharedStack) -> Iterator[Stack]:
    """Return the shared stack; whatever a test did to it, the next one finds it well."""
    found = stack.local
    before = pids(found)
    yield found
    for name in NODES:
        running = found.find(name)
        if running is not None:
            os.kill(running.pid, signal.SIGCONT)
    if pids(found) == before:
        return  # it only looked; who needs the whole to be well waits for that
    found.up(silent)
    wait_until_well(found)


def wait_until_well(stack: Stack) -> StackStatus:
    found = stack.status()
    deadline = time.monotonic() + 60
    while not found.is_well:  # replicas catch up
        assert time.monotonic() < deadline, found.problems
        found = stack.status()
    return found


def pids(stack: Stack) -> dict[str, int | None]:
    return {name: running.pid if (running := stack.find(name)) else None for name in NODES}


def test_a_running_stack_is_well_and_says_so(stack: SharedStack, local: Stack) -> None:
    wait_until_well(local)
    done = stack.lockgate("status", "--output", "json")
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["well"] is True
    assert found["problems"] == []
    assert {process["name"]: process["state"] for process in found["processes"]} == dict.fromkeys(NODES, "up")
    assert {process["version"] for process in found["processes"]} == {"4.3.1", "3.3.3"}
    assert all(process["pid"] and process["closed_ports"] == [] for process in found["processes"])


def test_status_for_people_names_every_process_and_port(stack: SharedStack, local: Stack) -> None:
    wait_until_well(local)
    done = stack.lockgate("status")
    assert done.returncode == 0
    for word in (*NODES, "9092", "9094", "8081", "4.3.1", "3.3.3", "All is well"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout


def test_up_twice_starts_nothing_and_is_quick(local: Stack) -> None:
    before = pids(local)
    begun = time.monotonic()
    lines: list[str] = []
    local.up(lines.append)
    assert pids(local) == before
    assert not [line for line in lines if "starting" in line]
    assert time.monotonic() - begun < 10


def test_status_counts_the_lag_of_a_group(stack: SharedStack, local: Stack) -> None:
    admin = AdminClient(local.administrator())
    topic = stack.contracts.domains[0].topic.name
    group = "lag-of-a-group"
    producer = Producer(local.administrator())
    producer.produce(topic, b"x", partition=0)
    assert producer.flush(20) == 0
    consumer = Consumer(local.administrator() | {"group.id": group, "enable.auto.commit": False})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
        consumer.commit(offsets=[TopicPartition(topic, 0, end - 1)], asynchronous=False)
    finally:
        consumer.close()
    (found,) = [status for status in local.status().groups if status.name == group]
    assert (found.lag, dict(found.topics), found.members, found.state) == (1, {topic: 1}, 0, "empty")
    admin.delete_consumer_groups([group])[group].result(timeout=20)


def test_a_killed_broker_is_named_and_up_starts_just_that_one(stack: SharedStack, local: Stack) -> None:
    before = pids(local)
    local.kill("kafka-2")
    done = stack.lockgate("status")
    assert done.returncode == 1
    assert "not well: kafka-2 is down: died" in done.stdout
    assert "kafka-1 is down" not in done.stdout

    lines: list[str] = []
    local.up(lines.append)
    assert "kafka-2 had died; starting it again" in lines
    after = pids(local)
    assert after["kafka-2"] not in (None, before["kafka-2"])
    assert {name: after[name] for name in NODES if name != "kafka-2"} == {
        name: before[name] for name in NODES if name != "kafka-2"
    }
    wait_until_well(local)


def test_a_node_that_hangs_is_not_taken_for_well(local: Stack) -> None:
    running = local.find("registry")
    assert running is not None
    os.kill(running.pid, signal.SIGSTOP)
    (registry,) = [process for process in local.status().processes if process.name == "registry"]
    assert registry.state == "not answering"
    os.kill(running.pid, signal.SIGCONT)


def test_a_node_that_is_not_described_is_an_error_with_the_names(local: Stack) -> None:
    with pytest.raises(UsageError, match="kafka-1, kafka-2, kafka-3, registry"):
        local.kill("kafka-4")


def test_no_secret_shows_in_a_process_table(local: Stack) -> None:
    secrets = [file.read_text().strip() for file in (local.home / "secrets").iterdir()]
    assert len(secrets) == 3
    for name in NODES:
        running = local.find(name)
        assert running is not None
        process = psutil.Process(running.pid)
        shown = " ".join([*process.cmdline(), *process.environ().values(), local.log(name).read_text(errors="replace")])
        assert not [secret for secret in secrets if secret in shown]


@pytest.mark.parametrize("listener", ["INTERNAL", "CONTROLLER"])
def test_who_shows_no_certificate_gets_no_answer_from_the_inner_listeners(local: Stack, listener: str) -> None:
    port = re.search(rf"{listener}://[^:]+:(\d+)", local.brokers[0].environment["KAFKA_LISTENERS"])
    assert port is not None
    context = ssl.create_default_context(cafile=str(local.identities.ca_file))

    def ask() -> bytes:
        with (
            socket.create_connection(("localhost", int(port.group(1))), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            # In TLS 1.3 the client's handshake is over before the server has asked for its certificate.
            wrapped.sendall(b"\0\0\0\0")
            return wrapped.recv(1)

    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        ask()


def test_data_and_identities_survive_down_and_up_and_the_stack_is_small(stack: SharedStack, local: Stack) -> None:
    topic = "payments"
    producer = Producer(local.administrator())
    producer.produce(topic, b"still here", partition=0)
    assert producer.flush(20) == 0
    credentials = {file.name: file.read_bytes() for file in local.credentials.iterdir()}
    local.down()
    assert pids(local) == dict.fromkeys(NODES)
    assert stack.lockgate("status").returncode == 1

    local.up(silent)
    assert wait_until_well(local).memory < 1.7 * 2**30
    assert {file.name: file.read_bytes() for file in local.credentials.iterdir()} == credentials
    consumer = Consumer(local.administrator() | {"group.id": "unused", "enable.auto.commit": False})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
        consumer.assign([TopicPartition(topic, 0, end - 1)])
        message = consumer.poll(20)
        assert message is not None
        assert message.value() == b"still here"
    finally:
        consumer.close()


def binds(server: socket.socket, port: int) -> bool:
    try:
        server.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_a_taken_port_and_a_crash_leftover_are_both_dealt_with(stack: SharedStack, local: Stack) -> None:
    leftover = local.find("kafka-3")
    assert leftover is not None
    # A crash of the machine's kind: brokers gone, one survivor that no record knows.
    for name in NODES[:2] + NODES[3:]:
        local.kill(name)
    (local.home / "run" / "kafka-3.json").unlink()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_for(lambda: binds(other, 9092))  # the kernel may hold it for a process that is dead already
        other.listen()
        done = stack.lockgate("up")
        assert done.returncode == 2
        assert re.search(rf"error: port 9092 \(kafka-1\) is taken by .* \(process {os.getpid()}\)", done.stderr)
        assert "next: " in done.stderr
        assert f"process {leftover.pid} was left behind by a crash; ended it" in done.stdout
    done = stack.lockgate("up")
    assert done.returncode == 0, done.stderr
    assert "Ready after" in done.stdout


def test_a_configuration_that_changed_is_taken_up(local: Stack, tmp_path: Path) -> None:
    before = pids(local)
    text = (local.root / "docker-compose.yaml").read_text()
    (tmp_path / "docker-compose.yaml").write_text(
        text.replace("APICURIO_DATASOURCE_JDBC_MAX_SIZE: 20", "APICURIO_DATASOURCE_JDBC_MAX_SIZE: 21")
    )
    lines: list[str] = []
    Stack(tmp_path, local.home).up(lines.append)
    assert "registry runs with an older description; starting it again" in lines
    after = pids(local)
    assert [name for name in NODES if after[name] != before[name]] == ["registry"]


def test_a_stack_in_the_foreground_goes_with_its_command_however_that_ends(stack: SharedStack, local: Stack) -> None:
    command = [sys.executable, "-m", "lockgate", "up", "--foreground"]
    for number in (signal.SIGTERM, signal.SIGKILL):
        with subprocess.Popen(command, cwd=stack.root, env=stack.environ, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "Ctrl-C" in line:
                    break
            process.send_signal(number)
            assert process.wait(90) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        wait_for(lambda: not list(leftovers(mark(local.home), set())))
        wait_for(lambda: not local.was_started("kafka-1"))
        assert pids(local) == dict.fromkeys(NODES)


def test_a_full_disk_is_told_before_anything_starts(local: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage(local.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(StackError, match=r"the disk is full: .* has 1 MB left") as caught:
        local.up(silent)
    assert "LOCKGATE_HOME" in (caught.value.next_step or "")
    assert [problem for problem in local.status().problems if "the disk is nearly full" in problem]
    monkeypatch.undo()
