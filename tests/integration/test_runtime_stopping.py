"""However a process ends, nothing is lost; where it ends in order, nothing is handled twice."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest

from lockgate.contracts import names
from tests.worlds import QUICK, Items, Running, SharedStack, World, envelope_of, eventually, headers_of, make_world

HANDLERS = """
    import os, time
    from pathlib import Path

    HERE = Path(__file__).parents[2]

    @service.handler("$work")
    def work(event: a.Made, context: Context) -> b.Sent:
        kind, _, number = event.item_id.partition("-")
        if kind == "wait" and context.attempt == 1:
            raise RuntimeError("later")
        if kind == "hang" and not (HERE / "go-on").exists():
            (HERE / "hanging").touch()
            time.sleep(60)
        time.sleep(event.size / 1000)
        return b.Sent(item_id=event.item_id, origin=str(time.time() * 1000))

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""


@pytest.fixture(scope="module")
def lab(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Items:
    world = make_world(stack, tmp_path_factory.mktemp("stopping"), retry="[3s]")
    world.write_handlers(HANDLERS)
    return Items.of(world)


def items(kind: str, count: int) -> set[str]:
    return {f"{kind}-{number}" for number in range(count)}


def test_a_stop_in_order_loses_nothing_and_repeats_nothing(lab: Items) -> None:
    world = lab.world
    lab.write("wait", 1)
    lab.write("term", 90, millis=40)

    def retried() -> list[str]:
        return [line["outcome"] for line in world.outcomes() if line["event_id"] == "wait-0"]

    with world.running() as first:
        first.until(lambda: len(lab.handled("term")) >= 5 and retried(), "some work")
        begun = time.monotonic()
        first.stop()
        assert time.monotonic() - begun < 10, "it waits neither for the retry nor for the rest of its records"
    seen = lab.handled("term")
    assert 5 <= len(seen) < 90
    assert retried() == ["retried"]

    with world.running() as second:
        second.until(lambda: len(lab.handled("term") | lab.handled("wait")) == 91, "the rest")
        second.stop()
    assert lab.handled("term") == Counter(items("term", 90)), "each is handled exactly once"
    assert lab.results("term") == Counter(items("term", 90))
    (copy,) = world.read(names.retry_topic(world.source_topic, world.worker, 1))
    (result,) = [message for message in world.read(world.result_topic) if message.key() == b"wait-0"]
    origin = (result.value() or b"").rpartition(b"wait-0")[2][1:]
    due = envelope_of(copy).due
    assert due is not None
    assert float(origin) >= due, "a restart makes no retry early"


def test_what_does_not_fit_into_a_batchs_time_is_taken_again_once(lab: Items) -> None:
    lab.write("quick", 1500)  # so that the batches grow
    lab.write("slow", 80, millis=60)
    with lab.world.running() as running:
        running.until(lambda: len(lab.handled("slow") | lab.handled("quick")) == 1580, "all of it")
        running.stop()
    assert lab.handled("quick") == Counter(items("quick", 1500))
    assert lab.handled("slow") == Counter(items("slow", 80))
    assert lab.results("slow") == Counter(items("slow", 80))


def test_a_second_signal_ends_it_at_once(lab: Items) -> None:
    world = lab.world
    lab.write("hang", 1)
    with world.running(environ=QUICK) as running:
        running.until((world.root / "hanging").exists, "the record in hand")
        running.signal(signal.SIGTERM)
        with pytest.raises(AssertionError, match="waited"):
            running.ended(patience=1.0)
        running.signal(signal.SIGINT)
        assert running.ended(patience=2.0) == 130
    assert "Traceback" not in running.text
    assert not lab.handled("hang")
    (world.root / "go-on").touch()


def test_past_its_grace_period_it_ends_whatever_it_does(lab: Items) -> None:
    world = lab.world
    (world.root / "go-on").unlink(missing_ok=True)
    (world.root / "hanging").unlink(missing_ok=True)
    if not lab.handled("hang"):
        lab.write("hang", 1)
    with world.running(environ=QUICK | {"LOCKGATE_GRACE_SECONDS": "0.5"}) as running:
        running.until((world.root / "hanging").exists, "the record in hand")
        running.signal(signal.SIGTERM)
        assert running.ended(patience=5.0) == 2
    assert "0.5 s of grace" in running.text
    (world.root / "go-on").touch()
    with world.running(environ=QUICK) as running:
        running.until(lambda: lab.handled("hang"), "what had hung: it is not lost")
        running.stop()


def test_a_killed_process_loses_nothing_and_others_come_and_go(lab: Items) -> None:
    world = lab.world
    lab.write("kill", 150, millis=15)
    with world.running(environ=QUICK) as first:
        first.until(lambda: len(lab.handled("kill")) >= 20, "some work")
        first.signal(signal.SIGKILL)
        first.ended()
    before = lab.handled("kill")
    assert len(before) < 150
    with world.running(environ=QUICK) as second, world.running(environ=QUICK) as third:

        def shares() -> bool:
            return all("Partitions assigned" in process.text for process in (second, third))

        second.until(shares, "both to join")
        lab.write("share", 300, millis=15)
        third.until(lambda: count_of(world, third) >= 10, "the third to have some work")
        third.stop()
        second.until(lambda: len(lab.handled("share")) == 300 and len(lab.handled("kill")) == 150, "all of it")
        assert count_of(world, second) >= 10
        second.stop()
    killed, shared = lab.handled("kill"), lab.handled("share")
    assert set(killed) == items("kill", 150)
    assert {item for item, times in killed.items() if times > 1} <= set(before), "only a kill repeats anything"
    assert shared == Counter(items("share", 300)), "coming and going repeats nothing"
    assert lab.results("share") == Counter(items("share", 300))
    ids: dict[str, set[bytes | None]] = {}
    for message in world.read(world.result_topic):
        ids.setdefault((message.key() or b"").decode(), set()).add(dict(headers_of(message))["ce_id"])
    assert set(ids) >= items("kill", 150)
    assert all(len(found) == 1 for found in ids.values()), "results of a repeated record have the same id"


def test_under_the_consumer_protocol_too_processes_come_and_go_and_nothing_is_repeated(lab: Items) -> None:
    world = lab.world
    environ = {"LOCKGATE_KAFKA_GROUP_PROTOCOL": "consumer"}  # KIP-848: partitions go one by one, and nobody else stops
    lab.write("one-by-one", 1)
    with world.running(environ=environ) as first:
        first.until(lambda: lab.handled("one-by-one"), "its first record")
        with world.running(environ=environ) as second:
            second.until(lambda: "Partitions assigned" in second.text, "its share")
            lab.write("shared", 300, millis=15)
            second.until(lambda: count_of(world, second) >= 10, "the second to have some work")
            second.stop()
        first.until(lambda: len(lab.handled("shared")) == 300, "all of it")
        first.stop()
    assert "Partitions given back" in first.text
    assert "Partitions lost" not in first.text + second.text
    assert "will be ignored" not in first.text, "nobody is told of settings that are another client's"
    assert lab.handled("shared") == Counter(items("shared", 300)), "each is handled exactly once"
    assert lab.results("shared") == Counter(items("shared", 300))


def count_of(world: World, running: Running) -> int:
    """Return how many records one process has handled."""
    file = world.journal / f"{world.worker}-{running.process.pid}.jsonl"
    return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0


def family(running: Running) -> list[psutil.Process]:
    running.until(lambda: running.text.count("| Started |") == 2, "both workloads to start")
    children = psutil.Process(running.process.pid).children()
    assert len(children) == 2
    return children


def gone(children: list[psutil.Process]) -> bool:
    return not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_a_service_is_a_process_a_workload_and_stops_as_one(lab: Items) -> None:
    with lab.world.running(lab.world.sink) as running:
        children = family(running)
        running.stop()
        assert gone(children)
    assert running.text.count("| Stopped |") == 2


def test_a_workload_that_dies_takes_the_service_along(lab: Items) -> None:
    with lab.world.running(lab.world.sink) as running:
        children = family(running)
        children[0].kill()
        assert running.ended() == 2
        assert gone(children)
    assert "A workload ended; the others are stopped" in running.text


def test_the_children_of_a_killed_parent_stop_in_order(lab: Items) -> None:
    with lab.world.running(lab.world.sink) as running:
        children = family(running)
        running.signal(signal.SIGKILL)
        running.ended()
        eventually(lambda: gone(children), "the children's end", why=lambda: running.text)
    assert running.text.count("| Stopped |") == 2


@pytest.fixture
def broken(lab: Items, tmp_path: Path) -> World:
    """Return the world with files of its own, to put mistakes into."""
    root = tmp_path / "broken"
    shutil.copytree(lab.world.root, root, ignore=shutil.ignore_patterns("__pycache__", "journal", "*.log"))
    return attrs.evolve(lab.world, root=root)


def refused(world: World, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run a workload that cannot start, and return what it says."""
    with world.running(*arguments, environ=environ) as running:
        assert running.ended(30) == 2
    assert "Traceback" not in running.text
    assert "error: " in running.text
    return running.text


def test_an_unknown_name_is_refused_with_the_known_ones(broken: World) -> None:
    text = refused(broken, "nobody")
    assert "neither a service nor a workload is called 'nobody'" in text
    assert broken.worker in text


def test_a_program_that_only_publishes_is_not_run(broken: World) -> None:
    for arguments in ([broken.writer], ["--workload", broken.writer]):
        assert f"{broken.writer} consumes nothing" in refused(broken, *arguments)


def test_missing_credentials_are_named(broken: World, tmp_path: Path) -> None:
    for arguments in ([], [broken.sink]):
        text = refused(broken, *arguments, environ={"LOCKGATE_HOME": str(tmp_path / "nowhere")})
        assert "no settings for" in text
        assert "lockgate up" in text


def test_the_credentials_of_another_workload_are_refused(broken: World) -> None:
    text = refused(broken, environ={"LOCKGATE_USERNAME": broken.sink})
    assert f"the settings are those of {broken.sink}" in text


def test_a_wrong_password_is_refused_without_showing_it(broken: World) -> None:
    text = refused(broken, environ={"LOCKGATE_PASSWORD": "gu3ss-it"})
    assert f"the brokers refused to authenticate {broken.worker}" in text
    assert "gu3ss-it" not in text


def test_settings_that_guarantees_rest_on_are_refused(broken: World) -> None:
    text = refused(broken, environ={"LOCKGATE_KAFKA_ACKS": "1", "LOCKGATE_KAFKA_GROUP_ID": "mine"})
    assert "LOCKGATE_KAFKA_ACKS may not be set" in text
    assert "LOCKGATE_KAFKA_GROUP_ID may not be set" in text


@pytest.mark.parametrize(("name", "value"), [("GRACE_SECONDS", "soon"), ("LOG_FORMAT", "xml"), ("LOG_LEVEL", "loud")])
def test_settings_of_the_process_itself_are_checked(broken: World, name: str, value: str) -> None:
    assert f"LOCKGATE_{name} is {value!r}" in refused(broken, environ={f"LOCKGATE_{name}": value})


def test_every_mistake_in_the_handlers_is_told_at_once(broken: World) -> None:
    broken.write_handlers("""
        @service.handler("$work")
        def gone(event: a.Gone) -> None: ...

        @service.handler("$sink")
        def sink(event: b.Sent) -> a.Made: ...

        @service.handler("nobody")
        def third(event: b.Sent) -> None: ...
    """)
    text = refused(broken)
    assert "4 mistakes in the handlers" in text
    assert f"{broken.worker} does not consume {broken.source_topic}.Gone" in text
    assert f"no handler for {broken.source_topic}.Made" in text
    assert f"it returns {broken.source_topic}.Made, which {broken.sink} does not publish" in text
    assert "has no workload 'nobody'" in text


def test_handlers_that_cannot_be_imported_are_refused_with_their_place(broken: World) -> None:
    file = broken.root / "services" / "making" / "handlers.py"
    file.write_text("import json\n\nnonsense = json.nothing\n")
    assert f"{file}:3: AttributeError" in refused(broken)
    file.write_text("def (:\n")
    assert f"{file}:1: SyntaxError" in refused(broken)
    file.unlink()
    assert "there is no services/making/handlers.py" in refused(broken)


def test_the_logs_are_json_where_nobody_looks_on(lab: Items) -> None:
    with lab.world.running(environ={"LOCKGATE_LOG_FORMAT": ""}) as running:
        running.until(lambda: '"event": "Started"' in running.text, "its start")
        running.stop()
    lines: list[dict[str, Any]] = [json.loads(text) for text in running.text.splitlines()]
    assert {"Started", "Stopped"} <= {line["event"] for line in lines}
    assert {line["group"] for line in lines} == {lab.world.worker}
