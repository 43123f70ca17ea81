"""What a workload tells of itself: every metric is documented, can be read at any time, and breaks nothing."""

from __future__ import annotations

import importlib
import re
import socket
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest
from confluent_kafka import Consumer, Producer

from lockgate import Service, SettingsError
from lockgate.contracts.model import OutageSpec, Workload
from lockgate.errors import PoisonReason
from lockgate.records import Place
from lockgate.runtime.assembly import assemble
from lockgate.runtime.dispatch import dispatch_table
from lockgate.runtime.exposition import UNREADABLE, Collector, exposed
from lockgate.runtime.metrics import METRICS, Source
from lockgate.runtime.patience import Patience
from lockgate.runtime.signals import Stop
from tests.labs import HERE, FakeRegistry, contracts_with

parser = pytest.importorskip("prometheus_client.parser")
ROOT = Path(__file__).resolve().parents[3]
PLACE = ("items", 0)


class Known:
    """Ends of partitions, without brokers."""

    def __init__(self) -> None:
        self.ends: dict[Place, int] = {PLACE: 10}

    def lags(self, committed: Mapping[Place, int | None]) -> dict[Place, int]:
        return {place: self.ends[place] - (offset or 0) for place, offset in committed.items()}


def ignore(event: dict[str, Any]) -> None:
    """Handle nothing."""


def source(**fields: Any) -> Source:
    """Return the source of a workload that is never run: its clients reach nobody."""
    bare = Workload("work", "service", ("items.Made",), ("mail.Sent",), (), HERE)
    workload = attrs.evolve(bare, **fields)
    contracts = contracts_with(workload)
    registry: Any = FakeRegistry()
    service = Service("service")
    service.handler("work", event_type="items.Made")(ignore)
    reaching_nobody = {"bootstrap.servers": "", "log_level": 0}
    assembly = assemble(
        contracts,
        workload,
        dispatch_table(contracts, workload, service),
        registry=registry,
        consumer=lambda: Consumer(reaching_nobody | {"group.id": "work"}),
        producer=lambda: Producer(reaching_nobody),
        patience=Patience(),
        stop=Stop(1),
        journal=None,
    )
    return Source(assembly, Known())


def values(collector: Collector) -> dict[tuple[str, str], float]:
    """Return what a collector gives by name and labels, the workload's name left out."""
    found = {}
    for family in collector.collect():
        for sample in family.samples:
            assert sample.labels["workload"] == "work"
            labels = ",".join(f"{name}={text}" for name, text in sample.labels.items() if name != "workload")
            found[sample.name, labels] = sample.value
    return found


ALL: dict[str, dict[str, Any]] = {
    "flat": {},
    "concurrent": {"concurrency": 2},
    "keys": {"order": "key", "retry_ms": (1,)},
    "exactly-once": {"exactly_once": True},
}


class TestTable:
    def documented(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
        for name, kind, labels in re.findall(r"^\| `(lockgate_\w+)` \| (\w+) \| (.*?) ?\| \S.* \|$", text, re.M):
            yield name, kind, tuple(re.findall(r"`(\w+)`", labels))

    def test_every_metric_is_documented_and_every_one_that_is_documented_is_there(self) -> None:
        there = [(metric.name, metric.kind, metric.labels) for metric in METRICS] + [(UNREADABLE, "counter", ())]
        assert sorted(self.documented()) == sorted(there)

    def test_names_follow_prometheus_conventions(self) -> None:
        for metric in METRICS:
            assert re.fullmatch(r"lockgate_[a-z_]+", metric.name)
            assert metric.name.endswith("_total") == (metric.kind == "counter")
            assert metric.kind != "summary" or metric.name.endswith("_seconds")

    def test_no_label_can_have_any_number_of_values(self) -> None:
        labels = {label for metric in METRICS for label in metric.labels}
        assert not labels & {"key", "event_id", "offset", "exception", "message"}


@pytest.mark.parametrize("kind", ALL)
def test_every_metric_can_be_read_before_anything_has_happened(kind: str) -> None:
    found = values(Collector(source(**ALL[kind])))
    assert found[UNREADABLE, ""] == 0
    assert found["lockgate_outage_state", "state=closed"] == 1
    assert {name for name, _ in found if "key" in name} == (
        {"lockgate_waiting_keys", "lockgate_held_keys"} if kind == "keys" else set()
    )
    assert ("lockgate_transactions_total", "ending=committed") in found or kind in ("flat", "concurrent")


def test_what_has_not_happened_yet_is_zero_and_not_missing() -> None:
    found = values(Collector(source(retry_ms=(1, 2))))
    assert {labels for name, labels in found if name == "lockgate_retries_total"} == {"tier=1", "tier=2"}
    letters = {labels for name, labels in found if name == "lockgate_dead_letters_total"}
    assert {f"stage=read,reason={reason}" for reason in get_args(PoisonReason)} < letters
    assert {"stage=handle,reason=reject", "stage=handle,reason=error", "stage=publish,reason=too-large"} < letters


def test_values_are_those_of_the_moment_at_which_somebody_asks() -> None:
    told = source(outage=OutageSpec(failing=90, of=2, probe_ms=500))
    collector, assembly = Collector(told), told.assembly
    progress = assembly.intake.offsets.assign(PLACE)
    progress.read_to(7)
    progress.committed(7)
    assembly.loop.handling.add(1.5, 3)
    assembly.parts.outcomes.counts["handled"] += 3
    assembly.parts.outcomes.letters["read", "truncated"] += 1
    assembly.loop.outage.failed("a")
    before = values(collector)
    assembly.loop.outage.failed("b")
    found = values(collector)
    assert found["lockgate_partition_lag", "topic=items,partition=0"] == 3
    assert (found["lockgate_handling_seconds_count", ""], found["lockgate_handling_seconds_sum", ""]) == (3, 1.5)
    assert found["lockgate_records_total", "outcome=handled"] == 3
    assert found["lockgate_dead_letters_total", "stage=read,reason=truncated"] == 1
    assert found["lockgate_assigned_partitions", "topic=items"] == 1
    assert (before["lockgate_outage_state", "state=open"], found["lockgate_outage_state", "state=open"]) == (0, 1)
    assert found["lockgate_outages_total", ""] == 1
    assert found["lockgate_outage_wait_seconds", ""] == 0.5
    assert (found["lockgate_outage_window_records", ""], found["lockgate_outage_threshold_ratio", ""]) == (2, 0.9)


def test_a_metric_that_cannot_be_read_is_left_out_and_counted_and_costs_nothing_else() -> None:
    def broken(_: Source) -> Any:
        raise RuntimeError("dictionary changed size during iteration")

    spoilt = tuple(
        attrs.evolve(metric, read=broken) if metric.name == "lockgate_paused" else metric for metric in METRICS
    )
    collector = Collector(source(), spoilt)
    values(collector)
    found = values(collector)
    assert found[UNREADABLE, ""] == 2
    assert {name for name, _ in values(Collector(source()))} - {name for name, _ in found} == {"lockgate_paused"}


class TestExposition:
    def test_whoever_asks_gets_prometheus_text(self) -> None:
        with exposed(source(), "127.0.0.1", 0) as address, urllib.request.urlopen(address) as answer:  # noqa: S310  # ours
            text = answer.read().decode()
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = {family.name for family in parser.text_string_to_metric_families(text)}
        assert {"lockgate_records", "lockgate_outage_state", "lockgate_handling_seconds"} < families
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(address)  # noqa: S310  # it was ours

    @pytest.mark.parametrize("kind", ALL)
    def test_prometheus_own_request_gets_openmetrics(self, kind: str) -> None:
        openmetrics = importlib.import_module("prometheus_client.openmetrics.parser")
        accept = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4"}
        with exposed(source(**ALL[kind]), "127.0.0.1", 0) as address:
            request = urllib.request.Request(address, headers=accept)  # noqa: S310  # ours
            with urllib.request.urlopen(request) as answer:  # noqa: S310  # ours
                assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
                families = list(openmetrics.text_string_to_metric_families(answer.read().decode()))
        assert {"lockgate_records", "lockgate_workload_info"} < {family.name for family in families}

    def test_a_port_that_is_taken_is_told(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            taken = pytest.raises(SettingsError, match=f"127.0.0.1:{port}: Address already in use")
            with taken as told, exposed(source(), "127.0.0.1", port):
                pass
        assert "LOCKGATE_METRICS_PORT" in (told.value.next_step or "")

    def test_an_address_that_is_not_this_machines_is_told(self) -> None:
        with pytest.raises(SettingsError, match=r"192\.0\.2\.1:0"), exposed(source(), "192.0.2.1", 0):
            pass

    def test_without_the_library_it_is_said_how_to_install_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        with pytest.raises(SettingsError, match="not installed") as told, exposed(source(), "127.0.0.1", 0):
            pass
        assert "pip install 'lockgate[observability]'" in (told.value.next_step or "")
