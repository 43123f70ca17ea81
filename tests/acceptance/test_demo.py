"""`lockgate demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.worlds import SharedStack


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(stack: SharedStack, folder: Path) -> subprocess.CompletedProcess[str]:
    return stack.lockgate(
        "demo", "--orders", "300", "--report", str(folder / "report.json"), timeout=280, environ={"COLUMNS": "200"}
    )


@pytest.fixture(scope="module")
def report(demo: subprocess.CompletedProcess[str], folder: Path) -> dict[str, object]:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    found: dict[str, object] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


def test_it_exits_0_because_the_books_balance(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "The books balance: nothing is lost." in demo.stdout
    assert "How `handled` is counted" in demo.stdout


def test_the_report_holds_the_balance(report: dict[str, dict[str, int]]) -> None:
    balance = report["balance"]
    assert set(balance) == {"written", "handled", "skipped", "dead_lettered", "lost", "duplicated"}
    assert balance["lost"] == 0
    assert balance["written"] == balance["handled"] + balance["skipped"] + balance["dead_lettered"] > 1200


def test_every_workload_that_reads_has_its_line(
    report: dict[str, list[dict[str, object]]], stack: SharedStack, demo: subprocess.CompletedProcess[str]
) -> None:
    reading = {name for name, workload in stack.contracts.workloads.items() if workload.consumes}
    assert {line["workload"] for line in report["readers"]} == reading
    assert all(name in demo.stdout for name in reading)


def test_each_kind_of_trouble_is_among_the_load(report: dict[str, dict[str, int]]) -> None:
    assert all(count > 0 for count in report["trouble"].values())
    assert len(report["trouble"]) == 4
    assert report["retried"]


def test_every_kind_of_poison_lies_where_it_should(report: dict[str, dict[str, object]]) -> None:
    assert set(report["poisoned"]) == {
        "empty-value",
        "foreign-schema-id",
        "index-out-of-range",
        "key-mismatch",
        "malformed",
        "no-magic-byte",
        "trailing-bytes",
        "truncated",
        "unknown-schema-id",
    }
    assert report["poison"]["wrong"] == []


def test_every_trespasser_was_refused(report: dict[str, list[dict[str, object]]]) -> None:
    assert [attempt for attempt in report["attempts"] if not attempt["refused"]] == []
    assert {attempt["action"] for attempt in report["attempts"]} == {"read", "write", "join", "register", "connect"}


def test_downstream_matches_upstream(report: dict[str, dict[str, object]]) -> None:
    downstream = report["downstream"]
    assert downstream["missing"] == downstream["orphaned"] == []
    assert downstream["results"] == downstream["events"]


def test_a_stack_that_was_up_before_stays_up(
    stack: SharedStack, demo: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert all(stack.local.is_running(program.name) for program in stack.local.programs)
    assert "lockgate dlq list" in demo.stdout
