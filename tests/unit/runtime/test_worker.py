"""What keeps a workload from starting, before it reaches for anything outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lockgate import Service, SettingsError
from lockgate.contracts.load import load
from lockgate.runtime.signals import Stop
from lockgate.runtime.worker import run_workload
from tests.projects import PROJECT, changed, write_project


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
