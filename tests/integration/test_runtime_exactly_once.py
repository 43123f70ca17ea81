"""Exactly once on real brokers: kills in the middle, zombies, records that are too large, and who reads committed."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from contextlib import suppress

import attrs
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from lockgate.contracts import names
from lockgate.runtime.channel import Channel
from lockgate.runtime.clients import connect_consumer, connect_producer
from lockgate.runtime.patience import Patience
from lockgate.runtime.transactions import Ending, Transactions
from tests.worlds import QUICK, Items, SharedStack, eventually, make_world, quiet, withdraw

HANDLERS = """
    import json, os, time
    from pathlib import Path

    HERE = Path(__file__).parents[2]

    @service.handler("$work")
    def work(event: a.Made, context: Context) -> b.Sent | None:
        with (HERE / "seen.jsonl").open("a") as file:
            file.write(json.dumps([event.item_id, os.getpid()]) + chr(10))
        kind, _, number = event.item_id.partition("-")
        if kind == "zombie":
            (HERE / "hanging").touch()
            while not (HERE / "go-on").exists():
                time.sleep(0.05)
        if kind == "retry" and context.attempt == 1:
            raise RuntimeError("later")
        if kind == "reject":
            raise Reject("never")
        time.sleep(event.size / 1000)
        origin = os.urandom(600_000).hex() if kind == "large" else "x"
        return None if kind == "quiet" else b.Sent(item_id=event.item_id, origin=origin)

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""

LOOKED = "Waiting for the committed offsets of partitions that came"

BRIEF = QUICK | {"LOCKGATE_KAFKA_TRANSACTION_TIMEOUT_MS": "3000"}


class Lab(Items):
    """Also count the calls of the handler."""

    def seen(self, kind: str) -> list[tuple[str, int]]:
        """Return each call of the handler: item and process."""
        file = self.world.root / "seen.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(item, pid) for item, pid in map(json.loads, lines) if item.startswith(f"{kind}-")]

    def settled(self) -> bool:
        """Tell whether the group has come to the end of everything that there is to read."""
        topics = (self.world.source_topic, names.retry_topic(self.world.source_topic, self.world.worker, 1))
        return not any(self.world.lag(self.world.worker, topic) for topic in topics)


@pytest.fixture(scope="module")
def lab(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    world = make_world(stack, tmp_path_factory.mktemp("once"), retry="[300ms]", partitions=2, exactly_once="true")
    world.write_handlers(HANDLERS)
    return Lab.of(world)


def items(kind: str, count: int) -> Counter[str]:
    return Counter(f"{kind}-{number}" for number in range(count))


def test_every_kind_of_output_and_its_offsets_are_committed_and_nothing_is_left_behind(lab: Lab) -> None:
    written = [lab.write(kind, 3) for kind in ("plain", "retry", "reject", "quiet", "large")]
    with lab.world.running(environ=BRIEF) as running:
        running.until(lab.settled, "the end of everything")
        running.until(lambda: len(lab.results("retry")) == 3, "the retries' results")
        running.until(lab.settled, "the end of the retries")
        running.stop()
    assert (lab.results("plain"), lab.results("retry")) == (items("plain", 3), items("retry", 3))
    assert (lab.letters("reject"), lab.letters("large")) == (items("reject", 3), items("large", 3))
    assert Counter(item for item, _ in lab.seen("large")) == items("large", 3), "its handler is not run again for it"
    assert "Dead-lettered" in running.text
    assert len(lab.world.outcomes()) == sum(map(len, written)) + 3


def test_what_is_too_large_costs_its_neighbours_nothing(lab: Lab) -> None:
    for _ in range(3):
        lab.write("good", 4)
        lab.write("large", 1)
    with lab.world.running(environ=BRIEF) as running:
        running.until(lambda: len(lab.results("good")) == 4, "the results around it")
        running.until(lab.settled, "the end of everything")
        running.stop()
    good = lab.results("good")
    assert "did not take" not in running.text, "nothing was read again"
    assert set(good.values()) == {3}


def test_while_no_letter_may_be_written_nothing_is_taken_and_afterwards_all_goes_on(lab: Lab) -> None:
    world = lab.world
    topic = names.dead_letter_topic(world.source_topic, world.worker)
    letters = lab.letters("reject")
    with world.running(environ=BRIEF) as running:
        running.until(lambda: "Partitions assigned" in running.text, "its start")
        withdraw(world, topic)
        lab.write("reject", 1)
        running.until(lambda: "did not take the outputs" in running.text, "the refusal")
        (behind,) = lab.write("behind", 1)
        running.until(lambda: running.text.count("did not take the outputs") > 1, "the next refusal")
        assert f"to={topic}" in running.text, "it says what it waits for"
        assert world.committed(world.worker, world.source_topic)[behind.partition] < behind.offset
        assert not lab.results("behind")
        world.stack.apply(world.root)
        running.until(lambda: lab.results("behind") == items("behind", 1), "what stood behind it")
        running.until(lab.settled, "the end of everything")
        running.stop()
    assert lab.letters("reject") == letters + items("reject", 1), "the letter, once"


def test_kills_in_the_middle_repeat_no_result(lab: Lab) -> None:
    lab.write("kill", 400, millis=3)
    for some in (30, 120, 240):
        with lab.world.running(environ=BRIEF) as running:
            running.until(lambda some=some: len(lab.seen("kill")) >= some, "some work")  # type: ignore[misc]  # bound
            running.signal(signal.SIGKILL)
            running.ended()
    with lab.world.running(environ=BRIEF) as running:
        running.until(lambda: len(lab.results("kill")) == 400, "all of it")
        running.until(lab.settled, "the end of everything")
        running.stop()
    assert lab.results("kill") == items("kill", 400), "nothing lost, nothing twice"
    assert len(lab.seen("kill")) > 400, "although handlers were run again"


def test_a_process_that_was_taken_for_dead_repeats_no_result(lab: Lab) -> None:
    world = lab.world
    for name in ("hanging", "go-on"):
        (world.root / name).unlink(missing_ok=True)
    lab.write("zombie", 1)
    with world.running(environ=BRIEF) as zombie:
        zombie.until((world.root / "hanging").exists, "the record in hand")
        os.kill(zombie.process.pid, signal.SIGSTOP)  # as a long pause of its machine would
        with world.running(environ=BRIEF) as heir:
            heir.until(lambda: heir.process.pid in {pid for _, pid in lab.seen("zombie")}, "the record in other hands")
            (world.root / "go-on").touch()
            heir.until(lambda: lab.results("zombie") == items("zombie", 1), "its result")
            os.kill(zombie.process.pid, signal.SIGCONT)
            zombie.until(lambda: "Partitions lost" in zombie.text, "its awakening")
            zombie.stop()
            heir.stop()
    assert lab.results("zombie") == items("zombie", 1)


def test_a_partition_is_not_begun_anew_where_a_rebalance_comes_while_its_offset_is_not_known(lab: Lab) -> None:
    world, topic = lab.world, lab.world.source_topic
    lab.write("done", 12)
    with world.running(environ=BRIEF) as running:
        running.until(lambda: lab.results("done") == items("done", 12), "all of it")
        running.until(lab.settled, "the end of everything")
        running.stop()
    positions = [TopicPartition(topic, *entry) for entry in world.committed(world.worker, topic).items()]
    assert len(positions) == 2
    settings = world.settings(world.worker)
    settings = attrs.evolve(settings, kafka={**settings.kafka, "transaction.timeout.ms": "60000"})
    own = names.transactional_id_prefix(world.worker) + "open"
    killed = connect_producer(settings, world.worker, quiet, own)  # what a killed process leaves behind
    nobody = connect_consumer(settings, world.worker, quiet)
    try:
        killed.init_transactions(10)
        killed.begin_transaction()
        killed.send_offsets_to_transaction(positions, nobody.consumer_group_metadata(), 10)
        with world.running() as first:
            first.until(lambda: "Partitions assigned" in first.text, "its share")
            with world.running() as second:
                second.until(lambda: "Partitions assigned" in second.text, "its share")
                lab.write("after", 4)
                with suppress(
                    AssertionError
                ):  # a client that does not begin anew gives no record, and nothing is to be seen
                    both = (first, second)
                    first.until(lambda: any(LOOKED in each.text for each in both), "a record of it", patience=3)
                killed.abort_transaction(10)
                first.until(lambda: lab.results("after") == items("after", 4), "what was written then")
                first.until(lab.settled, "the end of everything")
                second.stop()
            first.stop()
    finally:
        nobody.close()
    assert lab.results("done") == items("done", 12)
    assert Counter(item for item, _ in lab.seen("done")) == items("done", 12), "nothing is handled again"


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_processes_come_and_go_under_either_group_protocol(lab: Lab, protocol: str) -> None:
    environ = {"LOCKGATE_KAFKA_GROUP_PROTOCOL": protocol}
    with lab.world.running(environ=environ) as first:
        with lab.world.running(environ=environ) as second:
            for running in (first, second):
                running.until(lambda running=running: "Partitions assigned" in running.text, "its share")  # type: ignore[misc]  # bound
            lab.write(protocol, 120, millis=20)
            second.until(lambda: {second.process.pid} <= {pid for _, pid in lab.seen(protocol)}, "some work")
            second.stop()
        first.until(lambda: len(lab.results(protocol)) == 120, "all of it")
        first.until(lab.settled, "the end of everything")
        first.stop()
    assert lab.results(protocol) == items(protocol, 120)
    assert Counter(item for item, _ in lab.seen(protocol)) == items(protocol, 120), "coming and going repeats nothing"


def test_brokers_refuse_a_transaction_that_shows_a_membership_of_the_past(lab: Lab) -> None:
    world = lab.world
    (raw,) = lab.write("fenced", 1)
    settings = world.settings(world.worker)
    own = names.transactional_id_prefix(world.worker) + "test"
    channel = Channel(lambda: connect_producer(settings, world.worker, quiet, own))
    transactions = Transactions(channel, world.worker, Patience())
    positions = [TopicPartition(world.source_topic, raw.partition, raw.offset + 1)]
    first, second = (connect_consumer(settings, world.worker, quiet) for _ in range(2))
    try:
        join(world.source_topic, first)
        taken = first.consumer_group_metadata()
        join(world.source_topic, second, first)
        ending, error = transactions.run([], positions, taken)
        assert ending is Ending.ABORTED
        assert error is not None
        assert error.code() == KafkaError.ILLEGAL_GENERATION
        assert world.committed(world.worker, world.source_topic).get(raw.partition, 0) <= raw.offset
        assert transactions.run([], positions, first.consumer_group_metadata()) == (Ending.COMMITTED, None)
        assert world.committed(world.worker, world.source_topic)[raw.partition] == raw.offset + 1
    finally:
        first.close()
        second.close()


def join(topic: str, consumer: Consumer, *others: Consumer) -> None:
    """Let a consumer join its group, while the others of the group go on polling."""
    generations: list[int] = []
    consumer.subscribe([topic], on_assign=lambda *_: generations.append(1))

    def happened() -> bool:
        for each in (consumer, *others):
            each.poll(0.1)
        return bool(generations)

    eventually(happened, "its assignment")
