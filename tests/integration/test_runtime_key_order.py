"""The order of keys through retries on the real cluster, with processes that are killed, come and go."""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

from lockgate import records
from lockgate.avro.codec import Encoder
from tests.worlds import QUICK, Raw, SharedStack, World, make_world

HANDLERS = """
    import asyncio, json, os, random, time
    from pathlib import Path

    CALLS = Path(__file__).parents[2] / f"calls-{os.getpid()}.jsonl"

    def note(event: a.Made, what: str) -> None:
        with CALLS.open("a") as file:
            line = {"at": time.time_ns(), "key": event.item_id, "number": event.size, "what": what}
            file.write(json.dumps(line) + "\\n")

    @service.handler("$work")
    async def work(event: a.Made, context: Context) -> b.Sent:
        note(event, "begun")
        await asyncio.sleep(random.random() * 0.02)
        if event.size % 11 == 5:
            note(event, "rejected")
            raise Reject("dead-lettered, and later ones go on")
        if event.size % 7 == 3 and context.attempt <= 1 + event.size % 2:
            raise RuntimeError("the first attempts fail")
        note(event, "done")
        return b.Sent(item_id=event.item_id, origin=str(event.size))

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""
KEYS, EACH = 6, 15


def calls(world: World) -> list[dict[str, Any]]:
    lines = [line for file in world.root.glob("calls-*.jsonl") for line in file.read_text().splitlines()]
    return sorted((json.loads(line) for line in lines), key=lambda line: int(line["at"]))


def test_keys_keep_their_order_through_retries_a_kill_and_a_rebalance(stack: SharedStack, tmp_path: Path) -> None:
    world = make_world(stack, tmp_path, retry="[300ms, 600ms]", order="key", concurrency=8)
    world.write_handlers(HANDLERS)
    framing = records.frame(world.schema_id("Made"), b"")
    encoder = Encoder(world.contracts.events[f"{world.source_topic}.Made"].schema)

    def write(first: int) -> None:
        raw = []
        for number in range(first, first + EACH):
            for key in range(KEYS):
                datum = {"item_id": f"k{key}", "size": number, "colour": "RED", "note": None}
                raw.append(Raw(framing + encoder.encode(datum), f"k{key}".encode(), (), key % 3))
        world.produce(raw)

    def finished() -> set[tuple[str, int]]:
        return {(line["key"], line["number"]) for line in calls(world) if line["what"] != "begun"}

    write(0)
    with world.running(environ=QUICK) as first:
        first.until(lambda: len(finished()) >= 20, "some work")
        first.signal(signal.SIGKILL)
        first.ended()
    assert len(finished()) < KEYS * EACH
    with world.running(environ=QUICK) as second:
        second.until(lambda: len(finished()) >= KEYS * EACH * 2 // 3, "it to take over")
        write(EACH)
        with world.running(environ=QUICK) as third:
            third.until(lambda: len(finished()) == 2 * KEYS * EACH, "all of it")
            third.stop()
        second.stop()

    by_key: dict[str, list[int]] = defaultdict(list)
    for line in calls(world):
        if line["what"] != "begun" and line["number"] not in by_key[line["key"]]:
            by_key[line["key"]].append(line["number"])
    assert by_key == {f"k{key}": list(range(2 * EACH)) for key in range(KEYS)}
    results = {(message.key(), message.value()) for message in world.read(world.result_topic)}
    assert len(results) == KEYS * (2 * EACH - len([number for number in range(2 * EACH) if number % 11 == 5]))
    letters = world.read(f"{world.source_topic}.dlq.{world.worker}")
    rejected = [number for number in range(2 * EACH) if number % 11 == 5]
    assert len({(letter.key(), letter.value()) for letter in letters}) == KEYS * len(rejected)
