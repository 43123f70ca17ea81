"""The metrics of running workloads: what they say agrees with what was done, whatever the loop."""

from __future__ import annotations

import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from lockgate import Reject, records
from lockgate.avro.codec import Encoder
from lockgate.connection import Settings
from lockgate.contracts.model import OutageSpec
from lockgate.runtime.clients import connect_onlooker
from lockgate.runtime.ends import Ends
from lockgate.runtime.exposition import Collector
from lockgate.runtime.metrics import Source
from tests.labs import LETTERS, Lab, running_lab, started, stopped
from tests.worlds import Raw, Running, SharedStack, World, eventually, make_world

parser = pytest.importorskip("prometheus_client.parser")
TIER = "items.retry.work.1"


class Told:
    """What metrics say at one moment."""

    def __init__(self, families: Any) -> None:
        self._samples = [sample for family in families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """Return the sum of all values of a metric with such labels; 0 where there is none."""
        samples = (sample for sample in self._samples if sample.name == f"lockgate_{name}")
        return float(sum(sample.value for sample in samples if labels.items() <= sample.labels.items()))

    def lag(self) -> float | None:
        """Return the lag of all partitions; None where nothing is known of it."""
        return self("partition_lag") if self.has("partition_lag") else None

    def has(self, name: str) -> bool:
        return any(sample.name == f"lockgate_{name}" for sample in self._samples)


@contextmanager
def asked(lab: Lab) -> Iterator[Callable[[], Told]]:
    """Ask a running lab."""
    eventually(lambda: hasattr(lab, "assembly"), "the loop")
    ends = Ends(lambda: connect_onlooker(lab.settings, "work"))
    collector = Collector(Source(lab.assembly, ends))
    yield lambda: Told(collector.collect())
    ends.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        lab.make("items", TIER, "items.retry.work.parked", "mail", LETTERS)
        yield lab


LOOPS: dict[str, dict[str, Any]] = {
    "flat": {},
    "threads": {"concurrency": 3, "order": "none"},
    "keys": {"concurrency": 3, "order": "key"},
    "exactly-once": {"exactly_once": True},
}


@pytest.mark.parametrize("loop", LOOPS)
def test_every_loop_counts_what_became_of_records(lab: Lab, loop: str) -> None:
    lab.declare(retry_ms=(300,), **LOOPS[loop])

    def handle(event: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
        if event["id"].startswith("bad"):
            raise ValueError("bad")
        if event["id"] == "never":
            raise Reject("never")
        return ("mail.Sent", {"id": event["id"]}) if event["id"].startswith("mail") else None

    lab.service.handler("work", event_type="items.Made")(handle)
    lab.put("a", "poison", "bad-1", "mail-1", "never", "bad-2", "mail-2", "b")
    topics = ("items", TIER, "items.retry.work.parked") if loop == "keys" else ("items", TIER)
    thread = started(lab, topics)
    with asked(lab) as ask:
        eventually(lambda: ask()("records_total", outcome="dead-lettered") == 4, "the outcomes")
        eventually(lambda: ask().lag() == 0, "the commits")
        told = ask()
    stopped(lab, thread)
    assert told("records_total", outcome="handled") == 4
    assert told("records_total", outcome="retried") == told("retries_total", tier="1") == 2
    assert told("dead_letters_total", stage="read", reason="empty-value") == 1
    assert told("dead_letters_total", stage="handle", reason="reject") == 1
    assert told("dead_letters_total", stage="handle", reason="error") == 2
    assert told("dead_letters_total") == 4 == len(lab.read(LETTERS))
    assert told("results_total", topic="mail", event_type="mail.Sent") == 2 == len(lab.read("mail"))
    assert told("records_taken_total") >= 10
    assert told("handling_seconds_count") >= (9 if loop == "threads" else 10)
    assert told("handling_seconds_sum") > 0
    assert told("assigned_partitions", topic="items") == 4
    assert told("joined") == told("rebalances_total", kind="assigned") == 1
    assert told("records_in_hand") == told("handlers_at_work") == told("unreadable_metrics_total") == 0
    assert told("last_commit_timestamp_seconds") > 1e9
    transactional = loop in ("keys", "exactly-once")
    assert (told("transactions_total", ending="committed") > 0) == transactional
    assert (told("transaction_seconds_count") > 0) == transactional
    assert (told("settling_seconds_count") > 0) == (not transactional)
    assert (told("commits_total") > 0) == (loop != "exactly-once")
    assert told.has("held_keys") == (loop == "keys")


@pytest.mark.parametrize("loop", ["flat", "threads", "keys"])
def test_an_open_breaker_is_seen_and_so_is_what_comes_in_meanwhile(lab: Lab, loop: str) -> None:
    lab.declare(retry_ms=(300,), outage=OutageSpec(failing=80, of=5, probe_ms=100), **LOOPS[loop])
    away = True

    def handle(event: dict[str, Any]) -> None:
        if away:
            raise ConnectionError("the database is away")

    lab.service.handler("work", event_type="items.Made")(handle)
    lab.put(*(f"a-{number}" for number in range(20)))
    topics = ("items", TIER, "items.retry.work.parked") if loop == "keys" else ("items", TIER)
    thread = started(lab, topics)
    with asked(lab) as ask:
        eventually(lambda: ask()("outage_probes_total") >= 2 and ask()("outage_state", state="open"), "an open breaker")
        told = ask()
        assert told("outage_state") == told("outages_total") == 1, "one state at a time"
        assert told("outage_wait_seconds") > 0.1, "longer with each probe"
        assert (told("outage_window_records"), told("outage_threshold_ratio")) == (5, 0.8)
        lag = told("partition_lag", topic="items")
        assert lag >= 15
        lab.put(*(f"b-{number}" for number in range(7)))
        assert ask()("partition_lag", topic="items") == lag + 7, "although nothing is fetched"
        away = False
        eventually(lambda: ask()("outage_state", state="closed"), "the end of it")
        eventually(lambda: ask()("records_total", outcome="handled") == 27, "all of them")
        eventually(lambda: ask().lag() == 0, "the commits")
        assert ask()("outages_total") == 1
    stopped(lab, thread)


def test_a_pause_is_seen(lab: Lab) -> None:
    lab.service.handler("work", event_type="items.Made")(lambda event: None)  # noqa: ARG005  # a handler takes one
    lab.put("a")
    thread = started(lab)
    with asked(lab) as ask:
        eventually(lambda: ask()("records_total", outcome="handled") == 1 and not ask()("paused"), "the record")
        lab.control.paused = True
        eventually(lambda: ask()("paused") == 1, "the pause")
    stopped(lab, thread)


def test_keys_that_wait_and_that_are_held_are_counted(lab: Lab) -> None:
    lab.declare(retry_ms=(60_000,), order="key", on_dead_letter="hold")

    def handle(event: dict[str, Any]) -> None:
        raise Reject("never") if event["id"] == "held" else ValueError("later")

    lab.service.handler("work", event_type="items.Made")(handle)
    lab.put("held", "waits", "held", "waits", "waits")
    thread = started(lab, ("items", TIER, "items.retry.work.parked"))
    with asked(lab) as ask:
        eventually(lambda: ask()("parked_total") == 3, "the parked records")
        told = ask()
        assert (told("held_keys"), told("waiting_keys"), told("waiting_copies")) == (1, 2, 5)
    stopped(lab, thread)


class Narrow:
    """A producer whose brokers refuse some records of the parked topic for their size, at first."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def produce(self, topic: str, value: Any, key: Any, partition: int, *, on_delivery: Any, headers: Any) -> None:
        if topic == "items.retry.work.parked":
            on_delivery(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), None)
        else:
            self._producer.produce(topic, value, key, partition, on_delivery=on_delivery, headers=headers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def __len__(self) -> int:
        return len(self._producer)


def test_a_record_that_does_not_fit_into_the_parked_topic_counts_as_dead_lettered(lab: Lab) -> None:
    lab.declare(retry_ms=(60_000,), order="key")
    lab.producers = Narrow

    def handle(event: dict[str, Any]) -> None:
        raise ValueError("later")

    lab.service.handler("work", event_type="items.Made")(handle)
    lab.put("a", "a")
    thread = started(lab, ("items", TIER, "items.retry.work.parked"))
    with asked(lab) as ask:
        eventually(lambda: lab.read(LETTERS), "the pointer")
        eventually(lambda: ask()("records_total", outcome="dead-lettered") == 1, "its outcome")
        told = ask()
        assert (told("retries_total"), told("parked_total")) == (1, 0)
    stopped(lab, thread)


def test_records_whose_outputs_the_brokers_did_not_take_are_counted(lab: Lab) -> None:
    lab.failures = [1]
    lab.service.handler("work", event_type="items.Made")(lambda event: ("mail.Sent", {"id": "m"}))  # noqa: ARG005  # a handler takes one
    lab.put("a")
    thread = started(lab)
    with asked(lab) as ask:
        eventually(lambda: ask()("records_total", outcome="handled") == 1, "the second attempt")
        assert ask()("untaken_records_total") == 1
        assert ask()("results_total") == 1
    stopped(lab, thread)


class TestEnds:
    def test_what_is_not_known_here_is_asked_of_the_group(self, lab: Lab) -> None:
        lab.service.handler("work", event_type="items.Made")(lambda event: None)  # noqa: ARG005  # a handler takes one
        lab.put("a", "b")
        thread = started(lab)
        eventually(lambda: lab.committed() == 2, "the commit")
        stopped(lab, thread)
        lab.put("c", "d", "e")
        ends = Ends(lambda: connect_onlooker(lab.settings, "work"))
        assert ends.lags({("items", 0): None, ("items", 1): 0}) == {("items", 0): 3, ("items", 1): 0}
        ends.close()
        assert ends.lags({("items", 0): 0}) == {}

    def test_where_nobody_answers_nothing_is_said_and_nobody_asked_at_once_again(self) -> None:
        now, nowhere = [0.0], Settings("127.0.0.1:1")
        ends = Ends(lambda: connect_onlooker(nowhere, "work"), clock=lambda: now[0])
        assert ends.lags({("items", 0): 0}) == {}
        now[0] = 9.0
        begun = time.monotonic()
        assert ends.lags({("items", 0): 0}) == {}
        assert time.monotonic() - begun < 1.0
        ends.close()


HANDLERS = """
    from pathlib import Path

    AWAY = Path(__file__).parents[2] / "away"

    @service.handler("$work")
    def work(event: a.Made, context: Context) -> b.Sent | None:
        if AWAY.exists():
            raise ConnectionError("the database is away")
        if event.size == 1 and context.attempt == 1:
            raise ValueError("not yet")
        if event.size == 2:
            raise Reject("never")
        return b.Sent(item_id=event.item_id, origin="here") if event.size == 3 else None

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""


def ask(running: Running, workload: str) -> Told:
    """Ask a process where its log says that metrics are."""
    (address,) = re.findall(rf"{re.escape(workload)} \| Metrics \|.* at=(http://\S+/metrics)", running.text)
    with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310  # a process of this test's own
        return Told(parser.text_string_to_metric_families(answer.read().decode()))


def made(world: World, *sizes: int) -> list[Raw]:
    """Write events that differ in size, all into one partition."""
    framing = records.frame(world.schema_id("Made"), b"")
    encoder = Encoder(world.contracts.events[f"{world.source_topic}.Made"].schema)
    raw = []
    for size in sizes:
        datum = {"item_id": f"k{size}", "size": size, "colour": "RED", "note": None}
        raw.append(Raw(framing + encoder.encode(datum), f"k{size}".encode()))
    return world.produce(raw)


@pytest.mark.parametrize("fields", [{}, {"exactly_once": "true"}], ids=["at-least-once", "exactly-once"])
def test_on_real_brokers_a_process_tells_what_it_has_done_and_when_it_stands_still(
    stack: SharedStack, tmp_path: Path, fields: dict[str, Any]
) -> None:
    world = make_world(stack, tmp_path, outage="{failing: 80, of: 5, probe: 200ms}", **fields)
    world.write_handlers(HANDLERS)
    made(world, 0, 1, 2, 3, 0)
    world.produce([Raw(b"", b"k"), Raw(b"no magic", b"k")])
    topic = world.source_topic
    with world.running(environ={"LOCKGATE_METRICS_PORT": "0"}) as running:
        running.until(lambda: "| Metrics |" in running.text, "the address")
        running.until(lambda: ask(running, world.worker)("records_total") == 8, "the outcomes")
        running.until(lambda: ask(running, world.worker).lag() == 0, "the commits")
        told = ask(running, world.worker)
        (world.root / "away").touch()
        made(world, *[0] * 20)
        running.until(lambda: ask(running, world.worker)("outage_state", state="open") == 1, "an open breaker")
        running.until(lambda: ask(running, world.worker)("partition_lag", topic=topic) > 10, "what waits")
        (world.root / "away").unlink()
        running.until(lambda: ask(running, world.worker)("records_total", outcome="handled") == 24, "the rest")
        running.until(lambda: ask(running, world.worker)("outage_state", state="closed") == 1, "the end of the outage")
        running.stop()
    outcomes = {
        what: told("records_total", outcome=what) for what in ("handled", "retried", "dead-lettered", "skipped")
    }
    assert outcomes == {"handled": 4, "retried": 1, "dead-lettered": 3, "skipped": 0}
    assert told("retries_total", tier="1") == 1
    assert told("dead_letters_total", stage="read", reason="empty-value") == 1
    assert told("dead_letters_total", stage="read", reason="no-magic-byte") == 1
    assert told("dead_letters_total", stage="handle", reason="reject") == 1
    assert told("results_total", topic=world.result_topic) == 1
    assert told("assigned_partitions", topic=topic) == 3
    assert 8 <= told("records_taken_total") <= 9, "the retry once more if it came before it was due; no ends"
    assert told("workload_info", workload=world.worker, version="0.1.0") == 1
    assert told("outages_total") == told("unreadable_metrics_total") == 0


def test_the_children_of_a_service_have_a_port_each(world: World) -> None:
    world.write_handlers(HANDLERS)
    workloads = [workload.name for workload in world.contracts.service(f"{world.name}-work").workloads]
    with socket.create_server(("127.0.0.1", 0)) as one:
        first = one.getsockname()[1]
    with world.running(f"{world.name}-work", "--metrics-port", str(first)) as running:
        running.until(lambda: running.text.count("| Metrics |") == 2, "both addresses")
        for port, workload in enumerate(workloads, first):
            assert f"at=http://127.0.0.1:{port}/metrics" in running.text
            assert ask(running, workload)("workload_info", workload=workload) == 1
        running.stop()


def test_a_port_that_is_taken_ends_the_process_with_one_line(world: World) -> None:
    world.write_handlers(HANDLERS)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with world.running("--workload", world.worker, "--metrics-port", str(port)) as running:
            assert running.ended() == 2
    assert f"error: metrics cannot be had at 127.0.0.1:{port}: Address already in use" in running.text
    assert "Traceback" not in running.text
