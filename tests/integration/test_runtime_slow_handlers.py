"""A handler that outlasts the time between two polls: its partitions stay, and rebalances do not wait for it long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from confluent_kafka import Consumer

from lockgate import Context
from tests.labs import Lab, running_lab

PATIENT = {"max.poll.interval.ms": "3500", "session.timeout.ms": "3500", "heartbeat.interval.ms": "200"}
"""As short as the mock brokers' three seconds for a group to form allow."""
TOO_LONG = 10.5
LONG = 9.0


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        lab.settings = attrs.evolve(lab.settings, kafka=PATIENT)
        yield lab


def test_a_handler_three_times_as_long_as_the_poll_interval_costs_no_partition(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any]) -> None:
        seen.append(event["id"])
        if event["id"] == "slow":
            time.sleep(TOO_LONG)
        if len(seen) == 4:
            lab.stop.request()

    lab.put("a", "slow", "b")
    lab.put("c", partition=1)
    lab.run()
    assert sorted(seen) == ["a", "b", "c", "slow"], "each once"
    said = capsys.readouterr().out
    assert said.count("Partitions assigned") == 1
    assert "Partitions lost" not in said
    assert (lab.committed(0), lab.committed(1)) == (3, 1)


@pytest.mark.alone  # it holds seconds of a handler against those of a rebalance: both need the machine
def test_a_rebalance_does_not_wait_for_it_and_its_record_is_delivered_again(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, int]] = []
    config = lab.settings.client_config() | {"group.id": "work", "partition.assignment.strategy": "range"}
    other = Consumer(config | {"enable.auto.commit": False, "auto.offset.reset": "earliest"})
    joined: list[float] = []

    @lab.service.handler("work", event_type="items.Made")
    def work(event: dict[str, Any], context: Context) -> None:
        seen.append((event["id"], lab.committed(context.partition)))
        if event["id"] == "slow" and len(seen) == 2:
            other.subscribe(["items"], on_assign=lambda *_: joined.append(time.monotonic()))
            begun = time.monotonic()
            while time.monotonic() < begun + LONG:
                other.poll(0.05)
            assert joined, "the other one got its share while this handler was at work"
            assert joined[0] - begun < LONG - 1
            other.close()

    lab.put("a", "slow", "b")
    lab.stop_when(lambda: lab.committed() == 3)
    lab.run()
    assert [item for item, _ in seen if item != "a"] == ["slow", "slow", "b"]
    assert all(committed <= 1 for item, committed in seen if item == "slow"), "nothing was committed past it"
    assert "does not wait for the handler any longer" in capsys.readouterr().out
