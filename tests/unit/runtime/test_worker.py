"""What keeps a workload from starting, before it reaches for anything outside."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from lockgate import ClusterUnavailable, Service, SettingsError
from lockgate.contracts.load import load
from lockgate.errors import RegistryDenied
from lockgate.runtime import worker
from lockgate.runtime.logs import logger_for
from lockgate.runtime.patience import Patience
from lockgate.runtime.signals import Stop
from lockgate.runtime.worker import _Start, run_workload
from tests.projects import PROJECT, changed, write_project


class Refusing:
    """An encoder whose registry refuses the login for a while, or for ever."""

    def __init__(self, times: int) -> None:
        self.times = times

    def look_up(self) -> None:
        self.times -= 1
        if self.times >= 0:
            raise RegistryDenied("the registry refused POST /subjects: 401 Unauthorized")


class Moments(Stop):
    """A stop that is not requested, and that never waits."""

    def wait(self, seconds: float) -> bool:  # noqa: ARG002  # as the stop's own
        return False


def start(seconds: float) -> _Start:
    workload: Any = None
    intake: Any = None
    return _Start(workload, intake, Patience(seconds), Moments(), logger_for("gardener"))


def test_a_refusal_of_the_registry_at_the_start_is_borne_for_a_while() -> None:
    encoder: Any = Refusing(3)
    start(30).look_up(encoder)
    assert encoder.times == -1


def test_a_refusal_of_the_registry_that_lasts_is_told() -> None:
    encoder: Any = Refusing(10**9)
    with pytest.raises(RegistryDenied, match="401 Unauthorized"):
        start(0.05).look_up(encoder)
    assert encoder.times < 10**9 - 1


class Hours:
    """A clock that goes on when somebody waits, and a stop and a control topic that wait."""

    def __init__(self, answers_after: float) -> None:
        self.now = 0.0
        self.topic = "control.gardener"
        self.requested = False
        self.waits = 0
        self._answers_after = answers_after

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits += 1
        self.now += seconds
        return False

    def read(self, timeout: float) -> bool:
        if self.now >= self._answers_after:
            return True
        self.now += timeout
        return False


def hear(hours: Hours, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let a start wait for the control topic; return the lines that it logs."""
    monkeypatch.setattr(worker, "time", hours)
    workload: Any = SimpleNamespace(name="gardener")
    nobody: Any = None
    stop: Any = hours
    control: Any = hours
    with capture_logs() as lines:
        _Start(workload, nobody, Patience(), stop, logger_for("gardener")).hear(control)
    return lines


def test_the_control_topic_is_waited_for_with_a_pause_and_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = Hours(answers_after=31)
    lines = hear(hours, monkeypatch)
    assert hours.waits == 11, "a pause after each attempt"
    assert [(line["event"], line["waited_s"]) for line in lines] == [
        ("Waiting for the control topic", 0),
        ("Waiting for the control topic", 12),
        ("Waiting for the control topic", 24),
    ]


def test_a_control_topic_that_nobody_tells_of_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = Hours(answers_after=float("inf"))
    with pytest.raises(
        ClusterUnavailable, match=r"no broker tells gardener whether it is paused: control\.gardener"
    ) as end:
        hear(hours, monkeypatch)
    assert 60 < hours.now < 66
    assert end.value.next_step is not None


def test_the_order_of_keys_through_retries_needs_the_classic_group_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = changed("services/kitchen/service.yaml", "retry: [1s, 1m]", "retry: [1s]\n    order: key")
    contracts = load(write_project(tmp_path, {**PROJECT, **files}))
    service = Service("kitchen-service")
    for workload in contracts.service("kitchen-service").workloads:
        for event_type in workload.consumes:

            @service.handler(workload.name, event_type=event_type)
            def handle(event: dict[str, Any]) -> None: ...

    monkeypatch.setenv("LOCKGATE_BOOTSTRAP_SERVERS", "unused:1")
    monkeypatch.setenv("LOCKGATE_KAFKA_GROUP_PROTOCOL", "consumer")
    with pytest.raises(SettingsError, match="takes over all partitions of a number at once"):
        run_workload(contracts, contracts.workload("kitchen-service.garden"), Stop(), service=service)
