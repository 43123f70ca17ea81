"""A password is rotated under a workload that runs in two processes: nothing is lost, nothing ends."""

from __future__ import annotations

import json
import time
from functools import partial

from tests.worlds import Raw, Running, World, eventually

HANDLERS = """
    @service.handler("$work")
    def work(event: a.Made, context: Context) -> b.Sent:
        return b.Sent(item_id=event.item_id, origin="x")

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""


def test_running_processes_take_up_a_rotated_password_and_lose_nothing(world: World) -> None:
    world.write_handlers(HANDLERS)
    sent: list[str] = []

    def produce(name: str) -> None:
        items = [f"{name}-{number}" for number in range(6)]
        rest = {"size": 1, "colour": "RED", "note": None}
        values = [world.encode("Made", {"item_id": item, **rest}) for item in items]
        world.produce(
            Raw(v, item.encode(), partition=n % 3) for n, (item, v) in enumerate(zip(items, values, strict=True))
        )
        sent.extend(items)

    def arrived() -> set[bytes | None]:
        return {message.key() for message in world.read(world.result_topic)}

    def all_arrived() -> bool:
        return arrived() == {item.encode() for item in sent}

    def started(process: Running) -> bool:
        return "Partitions assigned" in process.text

    # the producers' connections end when they are idle for so long: the next result needs another login; not less, for
    # a consumer that joins is idle until the other members have noticed, with their next heartbeat
    idle = {"LOCKGATE_KAFKA_CONNECTIONS_MAX_IDLE_MS": "5000"}
    with world.running(environ=idle) as one, world.running(environ=idle) as other:
        for process in (one, other):
            process.until(partial(started, process), "its start")
        produce("before")
        eventually(all_arrived, "results before the rotation")
        old = world.settings(world.worker).password
        rotated = world.stack.lockgate("rotate", world.worker, "--output", "json", root=world.root)
        assert rotated.returncode == 0, rotated.stderr
        assert json.loads(rotated.stdout)["brokers"] == 3
        new = world.settings(world.worker).password
        assert new != old
        assert new is not None
        assert new not in rotated.stdout + rotated.stderr

        produced = time.monotonic()

        def taken_up() -> bool:
            nonlocal produced
            if time.monotonic() > produced + 7:  # the connections have ended by then
                produce(f"during-{len(sent)}")
                produced = time.monotonic()
            return all("the new one is used" in process.text for process in (one, other))

        eventually(taken_up, "the new password to be taken up", 60, lambda: one.text + other.text)
        # and a process that starts now shares the work with one that has lived on
        other.process.kill()
        with world.running() as third:
            third.until(partial(started, third), "its start")
            produce("after")
            eventually(all_arrived, "every result", 60, lambda: one.text + third.text)
            assert one.process.poll() is None
            for process in (one, third):
                process.stop()
    assert new not in one.text + other.text


def test_who_is_in_no_contract_is_refused_before_anything_is_written(world: World) -> None:
    before = world.settings(world.worker).password
    ended = world.stack.lockgate("rotate", world.worker, "nobody", root=world.root)
    assert ended.returncode == 2
    assert "no principal of the contracts is called nobody" in ended.stderr
    assert world.settings(world.worker).password == before
