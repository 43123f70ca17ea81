"""The public API as handler authors use it: mypy --strict accepts what is right, and says what is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import lockgate
from lockgate import testing

ROOT = Path(__file__).resolve().parents[2]

RIGHT = """
    import sqlite3
    from collections.abc import AsyncIterator, Iterator
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    import psycopg

    from lockgate import Context, Delivery, DeliveryError, EventError, Inbox, Producer, Reject, Service, Tombstone
    from lockgate.testing import Kit, Outcome
    from schemas import orders, payments

    service = Service("payments-service")


    @service.handler("payments-service.orders")
    def one(event: orders.OrderPlaced, context: Context) -> payments.PaymentDeclined | None:
        context.logger.info("Order received", order=event.order_id)
        headers: list[tuple[str, bytes | None]] = list(context.headers)
        when: datetime = context.timestamp
        trace: str | None = context.trace_id
        if not headers or trace is None or when.year < 2000:
            raise Reject("without a trace")
        return None


    @service.handler("payments-service.orders")
    async def coroutine(event: orders.OrderPlaced | orders.OrderCancelled) -> None: ...


    @service.handler("payments-service.orders")
    def generator(event: orders.OrderCancelled, context: Context) -> Iterator[payments.PaymentDeclined]:
        yield from ()


    @service.handler("payments-service.orders")
    async def stream(event: orders.OrderCancelled) -> AsyncIterator[payments.PaymentDeclined]:
        for _ in ():
            yield _


    @service.handler("payments-service.orders", event_type="orders.OrderPlaced")
    def plain(event: dict[str, object]) -> tuple[str, dict[str, object]]:
        return "payments.PaymentDeclined", event


    @service.handler("payments-service.orders")
    def withdraw(tombstone: Tombstone) -> None:
        key: str = tombstone.key


    def remember(event: orders.OrderCancelled, context: Context) -> None:
        inbox = Inbox("done")
        with sqlite3.connect("orders.db") as lite:
            new: bool = inbox.enter(lite, context)
        with psycopg.connect("dbname=orders") as post:
            inbox.create_table(post)
            count: int = inbox.forget(post, context.timestamp)


    def produce(order: orders.OrderPlaced) -> str:
        def delivered(delivery: Delivery) -> None:
            error: DeliveryError | None = delivery.error

        with Producer("storefront", root=Path()) as producer:
            producer.send_tombstone("orders", order.order_id)
            try:
                return producer.send(order, headers={"own": b"1"}, event_id="id", on_delivery=delivered)
            except EventError as error:
                return error.path + error.expected + error.got


    async def produce_and_wait(order: orders.OrderPlaced) -> int:
        with Producer("storefront") as producer:
            future: Future[Delivery] = producer.submit(order)
            with producer.transaction():
                producer.send(order)
            delivery: Delivery = await producer.asend(order, event_id="id")
            producer.close(timeout=5)
        place = future.result().place or delivery.place
        return -1 if place is None else place.offset


    def test_with_the_kit(kit: Kit) -> None:
        kit.send(("orders.OrderPlaced", {"order_id": "o"}))
        kit.send_poison("truncated", orders.OrderPlaced)
        kit.advance(seconds=1)
        outcome: Outcome = kit.run("payments-service.orders", service=service)
        reasons: list[str] = [letter.reason for letter in outcome.dead_letters]
        with kit.producer("storefront") as producer:
            producer.send(("orders.OrderPlaced", {}), headers={"why": reasons[0].encode()})


    # the decorator keeps the function's own type: handlers are called in unit tests as they are
    reveal_type(one)
    reveal_type(coroutine)
"""

WRONG = """
    from lockgate import Context, Producer, Reject, Service, Tombstone
    from lockgate import Handler  # attr-defined
    from lockgate.avro import Checker  # attr-defined
    from lockgate.testing import Kit
    from lockgate.testing import Kitt  # attr-defined

    service = Service("payments-service")
    service.handlers("payments-service")  # attr-defined
    service.handler(event_type="orders.OrderPlaced")  # call-arg
    service.handler("payments-service")(5)  # type-var
    Reject()  # call-arg
    Producer("storefront").send(object(), headers={"own": "text"})  # dict-item
    Producer("storefront", root="somewhere")  # arg-type
    Kit().send_poison("rotten", "orders.OrderPlaced")  # arg-type
    Kit().send("orders.OrderPlaced")  # arg-type


    def look(context: Context, tombstone: Tombstone) -> None:
        context.attempt = 2  # misc
        tombstone.value  # attr-defined
        text: str = context.key  # assignment
"""


def checked(text: str, folder: Path) -> tuple[int, list[str]]:
    """Return mypy's exit code and lines for a module of a project like this one."""
    module = folder / "module.py"
    module.write_text(textwrap.dedent(text), encoding="utf-8")
    told = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context"),
            *("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"), str(module)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert not told.stderr, told.stderr
    return told.returncode, [line.removeprefix(str(module)) for line in told.stdout.splitlines()]


def test_right_use_is_accepted_and_decorated_handlers_keep_their_types(tmp_path: Path) -> None:
    code, lines = checked(RIGHT, tmp_path)
    errors = [line for line in lines if ": error:" in line]
    assert (code, errors) == (0, [])
    one, coroutine = [line for line in lines if "Revealed type" in line]
    assert "OrderPlaced" in one
    assert "Context" in one
    assert "PaymentDeclined | None" in one.replace("Union[", "").replace(", None]", " | None")
    assert "Coroutine" in coroutine


def test_wrong_use_is_refused_where_it_stands(tmp_path: Path) -> None:
    source = textwrap.dedent(WRONG).splitlines()
    expected = {number: line.rpartition("# ")[2] for number, line in enumerate(source, 1) if "  # " in line}
    _, lines = checked(WRONG, tmp_path)
    found = [re.search(r":(\d+): error: .*\[([a-z-]+)\]$", line) for line in lines]
    assert {int(match[1]): match[2] for match in found if match} == expected


def test_the_public_names_are_frozen() -> None:
    assert lockgate.__all__ == sorted(lockgate.__all__)
    assert dir(lockgate) == lockgate.__all__
    assert set(lockgate.__all__) == {
        *("Context", "Delivery", "Inbox", "Producer", "Reject", "Service", "Tombstone"),
        *("ClusterDenied", "ClusterError", "ClusterUnavailable", "ContractsError", "DeliveryError", "EventError"),
        *("HandlerError", "LockgateError", "PlanRefused", "PoisonError", "RegistryDenied", "RegistryError"),
        *("RegistryUnavailable", "SchemaError", "SettingsError", "StackError", "UsageError"),
    }
    for name in lockgate.__all__:
        assert getattr(lockgate, name).__name__ == name


def test_the_names_of_the_kit_are_frozen() -> None:
    names = ["DeadLetter", "Kit", "MemoryRegistry", "Outcome", "Published", "Retry", "Sent"]
    assert testing.__all__ == dir(testing) == names
    for name in names:
        assert getattr(testing, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lockgate' has no attribute 'Handler'"):
        _ = lockgate.Handler  # type: ignore[attr-defined]  # that is what is shown
