from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from lockgate.cli import stack as commands
from lockgate.cli.options import Project
from lockgate.local.lag import GroupStatus
from lockgate.local.status import ProcessStatus, StackStatus

BROKER = ProcessStatus(
    name="kafka-1",
    kind="kafka",
    version="4.3.1",
    state="up",
    ports=(9092, 19091),
    closed_ports=(),
    pid=77,
    memory=200 << 20,
    seconds=3725.0,
    detail="",
)
GROUP = GroupStatus(name="reader", state="stable", members=2, lag=7, topics={"orders": 7, "orders.retry.reader.1": 0})
WELL = StackStatus(processes=(BROKER,), groups=(GROUP,), problems=(), topics=3)
ILL = attrs.evolve(
    WELL,
    processes=(attrs.evolve(BROKER, state="down", pid=None, memory=None, seconds=None, closed_ports=(9092, 19091)),),
    groups=(),
    problems=("kafka-1 is down: died",),
)


def status(monkeypatch: pytest.MonkeyPatch, found: StackStatus, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(commands, "stack_of", lambda _: SimpleNamespace(status=lambda: found))
    done = CliRunner().invoke(commands.status, list(arguments), obj=Project(Path()), standalone_mode=False)
    return done.return_value, done.output


def test_a_well_stack_exits_0_and_shows_lag_by_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = status(monkeypatch, WELL)
    assert code == 0
    assert "kafka-1  kafka 4.3.1  up     77   9092,19091  200 MB  1 h 2 min" in text
    assert "reader  stable  2        7    orders 7\n" in text
    assert "All is well: 3 topics, 200 MB resident in all" in text


def test_a_stack_that_is_not_well_exits_1_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = status(monkeypatch, ILL)
    assert code == 1
    assert "not well: kafka-1 is down: died\n  next: " in text
    assert "All is well" not in text


def test_the_json_shape_is_the_documented_one(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = status(monkeypatch, ILL, "--output", "json")
    found: dict[str, Any] = json.loads(text)
    assert code == 1
    assert found.keys() == {"well", "problems", "processes", "topics", "groups"}
    assert found["well"] is False
    assert found["processes"][0] == {
        "name": "kafka-1",
        "kind": "kafka",
        "version": "4.3.1",
        "state": "down",
        "ports": [9092, 19091],
        "closed_ports": [9092, 19091],
        "pid": None,
        "memory": None,
        "seconds": None,
        "detail": "",
    }
    _, text = status(monkeypatch, WELL, "--output", "json")
    assert json.loads(text)["groups"] == [
        {
            "name": "reader",
            "state": "stable",
            "members": 2,
            "lag": 7,
            "topics": {"orders": 7, "orders.retry.reader.1": 0},
            "paused": None,
        }
    ]


def test_a_group_that_lags_is_no_fault_of_the_stack() -> None:
    assert WELL.is_well
    assert WELL.groups[0].lag > 0
