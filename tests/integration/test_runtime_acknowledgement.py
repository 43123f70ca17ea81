"""An offset moves only once what its record led to is on the brokers: shown by brokers that refuse it for a while."""

from __future__ import annotations

import pytest

from lockgate.contracts import names
from lockgate.records import Coordinates
from tests.worlds import Raw, World, envelope_of, withdraw

HANDLERS = """
    @service.handler("$work")
    def work(event: a.Made, context: Context) -> b.Sent | None:
        if event.item_id.startswith("retry") and context.attempt == 1:
            raise RuntimeError("later")
        return b.Sent(item_id=event.item_id, origin="x") if event.item_id.startswith("result") else None

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""


@pytest.mark.parametrize("output", ["result", "retry", "dead-letter"])
def test_a_refused_output_holds_its_partition_until_it_is_taken(world: World, output: str) -> None:
    world.write_handlers(HANDLERS)
    topic = {
        "result": world.result_topic,
        "retry": names.retry_topic(world.source_topic, world.worker, 1),
        "dead-letter": names.dead_letter_topic(world.source_topic, world.worker),
    }[output]

    def good(item: str, partition: int) -> Raw:
        datum = {"item_id": item, "size": 1, "colour": "RED", "note": None}
        return Raw(world.encode("Made", datum), item.encode(), partition=partition)

    refused = Raw(b"poison", b"k") if output == "dead-letter" else good(f"{output}-1", 0)
    with world.running() as running:
        running.until(lambda: "Partitions assigned" in running.text, "its start")
        withdraw(world, topic)
        written = world.produce([good("before", 0), refused, good("behind", 0), good("beside", 1)])
        running.until(lambda: "did not take the outputs" in running.text, "the refusal")
        places = [record.at(world.source_topic) for record in written]
        outcomes = {}

        def seen(*indexes: int) -> bool:
            for line in world.outcomes():
                outcomes[Coordinates(line["topic"], line["partition"], line["offset"])] = line["outcome"]
            return all(places[index] in outcomes for index in indexes)

        running.until(lambda: seen(0, 3), "what stands before it and beside it")
        running.until(lambda: world.committed(world.worker, world.source_topic).get(1) == 1, "the commit beside it")
        assert places[1] not in outcomes, "nothing is said of a record before the brokers have what it led to"
        assert world.committed(world.worker, world.source_topic)[0] == refused_offset(written), "and it stays in hand"
        assert not world.read(topic)

        world.stack.apply(world.root)
        running.until(lambda: seen(1, 2), "it and what stands behind it")
        # what stands behind it had its outcome before, and is read again with it: only the commit says that it is done
        running.until(lambda: world.committed(world.worker, world.source_topic).get(0) == 3, "the commit of all")
        running.stop()
    (taken,) = world.read(topic)
    if output != "result":
        assert envelope_of(taken).source == places[1]
    assert world.committed(world.worker, world.source_topic) | {2: 0} == {0: 3, 1: 1, 2: 0}


def refused_offset(written: list[Raw]) -> int:
    return written[1].offset


def test_a_refusal_that_lasts_ends_the_process_and_the_next_one_goes_on(world: World) -> None:
    world.write_handlers(HANDLERS)
    topic = names.dead_letter_topic(world.source_topic, world.worker)
    with world.running() as running:
        running.until(lambda: "Partitions assigned" in running.text, "its start")
        withdraw(world, topic)
        world.produce([Raw(b"poison", b"k")])
        assert running.ended(50) == 2
    assert f"error: {world.worker} may not write {topic}" in running.text
    assert "next: `lockgate plan` shows rights that are missing" in running.text
    assert "Traceback" not in running.text
    assert world.committed(world.worker, world.source_topic).get(0, 0) == 0
    world.stack.apply(world.root)
    with world.running() as running:
        running.until(lambda: world.outcomes(), "the letter")
        running.stop()
    assert len(world.read(topic)) == 1
