"""Pausing a workload: all of its processes stop taking records, also those that start meanwhile, and go on later."""

from __future__ import annotations

import json
from pathlib import Path

from tests.worlds import Raw, SharedStack, eventually, make_world


def test_a_paused_workload_takes_nothing_survives_restarts_and_goes_on(stack: SharedStack, tmp_path: Path) -> None:
    world = make_world(stack, tmp_path, partitions=4)
    world.write_handlers("""
        @service.handler("$work")
        def handle(event: a.Made) -> None: ...
        @service.handler("$sink")
        def take(event: b.Sent) -> None: ...
    """)
    value = world.encode("Made", {"item_id": "i", "note": None, "size": 1, "colour": "RED"})
    one_each = [Raw(value, b"i", partition=partition) for partition in range(4)]

    def ask(verb: str, *arguments: str) -> None:
        done = stack.lockgate(verb, world.worker, *arguments, root=world.root)
        assert done.returncode == 0, done.stderr

    with world.running() as first, world.running() as second:
        world.produce(one_each)
        first.until(lambda: len(world.outcomes()) == 4, "the first records")
        ask("pause", "--why", "the warehouse moves")
        for running in (first, second):
            running.until(lambda running=running: "Paused" in running.text, "the pause")  # type: ignore[misc]  # mypy infers no default
            assert "the warehouse moves" in running.text
        world.produce(one_each)

        # a process that starts now takes nothing either, though all partitions become its own
        first.stop()
        second.stop()
        with world.running() as third:
            third.until(lambda: third.text.count(f"{world.source_topic}:0-3") >= 1, "all partitions")
            third.until(lambda: "Paused" in third.text, "the pause")
            status = json.loads(stack.lockgate("status", "--output", "json").stdout)
            (group,) = (group for group in status["groups"] if group["name"] == world.worker)
            assert (group["paused"]["by"], group["paused"]["why"]) == ("admin", "the warehouse moves")
            assert group["topics"][world.source_topic] == 4
            assert len(world.outcomes()) == 4

            ask("resume")
            third.until(lambda: len(world.outcomes()) == 8, "the records that waited")
            world.produce(one_each)
            third.until(lambda: len(world.outcomes()) == 12, "further records")
            third.stop()
    eventually(lambda: sum(world.committed(world.worker, world.source_topic).values()) == 12, "the commits")
    assert len(world.outcomes()) == 12, "nothing twice"
