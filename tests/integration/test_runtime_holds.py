"""Keys that dead letters hold, on the real cluster: a kill, a restart, what operators see, a replay and a release."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from lockgate import records
from lockgate.avro.codec import Encoder
from tests.worlds import Raw, SharedStack, World, make_world

HANDLERS = """
    @service.handler("$work")
    def work(event: a.Made, context: Context) -> b.Sent:
        if event.item_id == "held" and event.size == 0 and not context.replay:
            raise Reject("never")
        return b.Sent(item_id=event.item_id, origin=str(event.size))

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""
QUICK = {"LOCKGATE_KAFKA_SESSION_TIMEOUT_MS": "6000", "LOCKGATE_KAFKA_HEARTBEAT_INTERVAL_MS": "500"}


def dlq(world: World, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = world.stack.lockgate("dlq", *arguments, root=world.root)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def held(world: World) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(dlq(world, "list", "--held", "--output", "json").stdout)["keys"]
    return keys


def test_a_held_key_waits_through_a_kill_and_goes_on_in_order_once_it_is_released(
    stack: SharedStack, tmp_path: Path
) -> None:
    world = make_world(stack, tmp_path, retry="[300ms]", order="key", concurrency=4, on_dead_letter="hold")
    world.write_handlers(HANDLERS)
    framing = records.frame(world.schema_id("Made"), b"")
    encoder = Encoder(world.contracts.events[f"{world.source_topic}.Made"].schema)
    parked = f"{world.source_topic}.retry.{world.worker}.parked"

    def write(*sizes: int) -> None:
        """Write an event of each size for a key that gets held, and for one that does not."""
        for key in ("held", "free"):
            for size in sizes:
                datum = {"item_id": key, "size": size, "colour": "RED", "note": None}
                world.produce([Raw(framing + encoder.encode(datum), key.encode(), (), 1)])

    def sent(key: str) -> list[str]:
        origin = [message.value() for message in world.read(world.result_topic) if message.key() == key.encode()]
        return [str(number) for value in origin for number in range(10) if str(number).encode() in (value or b"")[5:]]

    write(0, 1, 2)
    with world.running(environ=QUICK) as first:
        first.until(lambda: len(world.read(parked)) == 3, "a hold and two followers")
        first.signal(signal.SIGKILL)
        first.ended()
    write(3)
    with world.running(environ=QUICK) as second:
        second.until(lambda: set(sent("free")) == set("0123"), "another key")
        second.until(lambda: len(world.read(parked)) == 4, "one more follower")
        assert sent("held") == []
        (hold,) = held(world)
        letter = f"{world.source_topic}-1@0/{world.worker}#0"
        assert (hold["workload"], hold["key"], hold["topic"], hold["partition"]) == (
            world.worker,
            "held",
            world.source_topic,
            1,
        )
        assert (hold["reason"], hold["letter"], hold["followers"]) == ("reject", letter, 3)
        assert hold["letter_place"] == f"{world.source_topic}.dlq.{world.worker}-1@0"
        assert "3" in dlq(world, "list", "--held", "--workload", world.worker).stdout.splitlines()[1].split()
        assert "does not hold free" in dlq(world, "release", world.worker, "--key", "free", "--yes", code=2).stderr
        assert "nothing was released" in dlq(world, "release", world.worker, "--all", "--dry-run").stdout

        dlq(world, "replay", letter, "--yes")
        dlq(world, "release", world.worker, "--key", "held", "--yes")
        second.until(lambda: len(set(sent("held"))) == 4, "the letter's replay, and its followers")
        assert sent("held") == list("0123"), "what was replayed before the release goes first"
        write(4)
        second.until(lambda: "4" in sent("held"), "a record of the free key")
        second.until(lambda: not world.lag(world.worker, parked), "the commit of all that was parked")
        second.stop()
    assert held(world) == []
    assert "does not hold held" in dlq(world, "release", world.worker, "--key", "held", "--yes", code=2).stderr
    assert "Held a key" in first.text
    assert "held_keys=1" in first.text
    assert "Released a key" in second.text
