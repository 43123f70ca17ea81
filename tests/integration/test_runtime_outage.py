"""An outage of what handlers work with, whatever the loop: intake stops, retry topics stay empty, all comes later."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate import records
from lockgate.avro.codec import Encoder
from lockgate.contracts.model import OutageSpec
from tests.labs import LETTERS, Lab, running_lab, started, stopped
from tests.worlds import Raw, SharedStack, eventually, make_world

TIERS = ("items.retry.work.1", "items.retry.work.2", "items.retry.work.parked")
OF = 10
LOOPS: dict[str, dict[str, Any]] = {
    "unordered": {"concurrency": 4, "order": "none"},
    "partitions": {"concurrency": 4, "order": "partition"},
    "keys": {"concurrency": 4, "order": "key"},
}


class Downstream:
    """What handlers work with: there, or away."""

    def __init__(self) -> None:
        self.away = False
        self.calls: list[str] = []
        self.done: list[str] = []

    def use(self, item: str) -> None:
        self.calls.append(item)
        if self.away:
            raise ConnectionError("the database is away")
        self.done.append(item)


@pytest.fixture
def downstream() -> Downstream:
    return Downstream()


@pytest.fixture
def lab(request: pytest.FixtureRequest, downstream: Downstream) -> Iterator[Lab]:
    loop, _, kind = request.param.partition("/")
    with running_lab() as lab:
        lab.declare(retry_ms=(300, 300), outage=OutageSpec(failing=100, of=OF, probe_ms=100), **LOOPS[loop])
        lab.make("items", *TIERS, "mail", LETTERS)

        async def task(event: dict[str, Any]) -> None:
            await asyncio.sleep(0.002)
            downstream.use(event["id"])

        def thread(event: dict[str, Any]) -> None:
            time.sleep(0.002)
            downstream.use(event["id"])

        lab.service.handler("work", event_type="items.Made")(task if kind == "tasks" else thread)
        yield lab


LOOP = pytest.mark.parametrize("lab", ["unordered/tasks", "partitions", "keys"], indirect=True)


def topics(lab: Lab) -> tuple[str, ...]:
    return ("items", *TIERS) if lab.workload.parks else ("items", *TIERS[:2])


def probed(lab: Lab, times: int = 3) -> bool:
    """Tell whether there were so many probes."""
    return bool(lab.control.looks) and lab.loop.outage.probes >= times


def sent(lab: Lab) -> list[str]:
    """Return what went to a retry topic or was dead-lettered."""
    return [message.key().decode() for topic in (*TIERS, LETTERS) for message in lab.read(topic)]


@LOOP
def test_retry_topics_are_not_flooded_and_all_is_handled_once_it_is_over(lab: Lab, downstream: Downstream) -> None:
    downstream.away = True
    items = [f"{'abcd'[number % 4]}{number}" for number in range(60)]
    for item in items:
        lab.put(item, partition="abcd".index(item[0]))
    thread = started(lab, topics(lab))
    eventually(lambda: probed(lab), "some probes")
    lab.control.paused = True  # a pause during an outage is one like any other
    assert downstream.done == []
    downstream.away = False
    looks = lab.control.looks
    eventually(lambda: lab.control.looks > looks + 2, "further looks at the control topic: polling goes on")
    lab.control.paused = False
    eventually(lambda: set(downstream.done) == set(items), "all of them", why=lambda: str(downstream.done))
    eventually(lambda: [lab.committed(number) for number in range(4)] == [15] * 4, "the commits")
    stopped(lab, thread)
    assert len(downstream.done) == 60
    assert lab.read(LETTERS) == []
    assert len(sent(lab)) < OF
    assert lab.loop.outage.opened == 1


@pytest.mark.parametrize("lab", ["keys/tasks"], indirect=True)
def test_keys_keep_their_order_through_an_outage_and_a_stop(lab: Lab, downstream: Downstream) -> None:
    downstream.away = True
    keys = [f"key-{number}" for number in range(20)]
    for _ in range(3):
        lab.put(*keys)
    thread = started(lab, topics(lab))
    eventually(lambda: probed(lab), "some probes")
    stopped(lab, thread)
    assert lab.read(LETTERS) == []
    tiers = [message.key() for tier in TIERS[:2] for message in lab.read(tier)]
    assert len(tiers) == len(set(tiers)) < OF, "one record of a key fails, and waits"
    assert {message.key() for message in lab.read(TIERS[2])} <= set(tiers), "followers of those alone are parked"
    assert downstream.done == []


HANDLERS = """
    import asyncio, json, time
    from pathlib import Path

    ROOT = Path(__file__).parents[2]

    @service.handler("$work")
    async def work(event: a.Made, context: Context) -> b.Sent:
        await asyncio.sleep(0.002)
        if (ROOT / "away").exists():
            raise ConnectionError("the database is away")
        with (ROOT / "done.jsonl").open("a") as file:
            file.write(json.dumps([event.item_id, event.size]) + "\\n")
        return b.Sent(item_id=event.item_id, origin=str(event.size))

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""


@pytest.mark.parametrize(
    "fields",
    [{"concurrency": 8}, {"concurrency": 8, "order": "key"}, {"exactly_once": "true"}],
    ids=["concurrent", "keys", "exactly-once"],
)
def test_on_real_brokers_an_outage_of_some_seconds_passes_and_leaves_nothing_behind(
    stack: SharedStack, tmp_path: Path, fields: dict[str, Any]
) -> None:
    world = make_world(stack, tmp_path, retry="[2s, 4s]", outage="{failing: 90, of: 10, probe: 200ms}", **fields)
    world.write_handlers(HANDLERS)
    framing = records.frame(world.schema_id("Made"), b"")
    encoder = Encoder(world.contracts.events[f"{world.source_topic}.Made"].schema)
    keys, each = 30, 10

    def done() -> list[tuple[str, int]]:
        file = world.root / "done.jsonl"
        return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []

    raw = []
    for number in range(each):
        for key in range(keys):
            datum = {"item_id": f"k{key}", "size": number, "colour": "RED", "note": None}
            raw.append(Raw(framing + encoder.encode(datum), f"k{key}".encode(), (), key % 3))
    (world.root / "away").touch()
    world.produce(raw)
    with world.running() as running:
        running.until(lambda: running.text.count("A record is a probe") >= 3, "probes")
        assert done() == []
        (world.root / "away").unlink()
        running.until(lambda: len(set(done())) == keys * each, "all of them")
        running.stop()

    assert len(done()) == len(world.read(world.result_topic)) == keys * each, "each once"
    assert world.read(f"{world.source_topic}.dlq.{world.worker}") == []
    assert len(world.read(f"{world.source_topic}.retry.{world.worker}.1")) <= 10
    assert "outages" in running.text
    if "order" in fields:
        for key in range(keys):
            assert [number for name, number in done() if name == f"k{key}"] == list(range(each))
