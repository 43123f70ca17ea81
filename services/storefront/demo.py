"""The shop's part of `lockgate demo`: orders, with a stated share of each kind of trouble among them.

`lockgate demo` runs this as `python -m services.storefront.demo --orders N [--rate R]` and reads JSON lines from its
standard output: `{"sent": …, "of": …}` while it goes on, and at the end `{"sent", "of", "traffic": [{"what", "events",
"share", "outcome"}]}`, where `share` is a part of 1 and `outcome` says what is to become of such an event.
"""

from __future__ import annotations

import json
import secrets
import time

import click

from lockgate import LockgateError, Producer
from services.payments.gateway import BROKEN, FLAKY
from services.storefront.seed import story
from services.storefront.shop import Shares, purchases

SHARES = Shares(expensive=20, unknown_currency=100, cancelled=40, withdrawn=100)
"""One order in so many."""
_HISTORY = 100
"""One order in so many was delivered long ago: `storefront.seed` writes what followed, into all three domains."""


@click.command()
@click.option("--orders", "count", type=click.IntRange(min=1), required=True, help="How many.")
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="At most so many a second; 0: no bound.")
def main(count: int, rate: float) -> None:
    """Place orders as `storefront`, and write some finished business as `storefront.seed`."""
    try:
        _run(count, rate)
    except LockgateError as error:
        raise click.ClickException("\n  next: ".join(filter(None, (error.message, error.next_step)))) from error


def _run(count: int, rate: float) -> None:
    seed = secrets.token_hex(4)
    placed = expensive = unknown = cancelled = withdrawn = history = 0
    begun = told = time.monotonic()
    with Producer("storefront") as producer:
        for purchase in purchases(count, seed=seed, shares=SHARES):
            if rate > 0:
                time.sleep(max(0.0, begun + placed / rate - time.monotonic()))
            producer.send(purchase.order)
            placed += 1
            expensive += any(line.sku == "piano" for line in purchase.order.lines)
            unknown += purchase.order.total.currency == "XTS"
            if purchase.cancellation is not None:
                producer.send(purchase.cancellation)
                cancelled += 1
            if purchase.withdrawn:
                producer.send_tombstone("orders", purchase.order.order_id)
                withdrawn += 1
            if time.monotonic() - told > 0.25:
                told = time.monotonic()
                _tell({"sent": placed, "of": count})
    with Producer("storefront.seed") as producer:
        for purchase in purchases(max(1, count // _HISTORY), seed=f"{seed}-past"):
            for event in story(purchase):
                producer.send(event)
                history += 1
    sent = placed + cancelled + withdrawn + history
    kinds = [
        ("orders", placed, "paid, shipped and tracked, unless one of the following"),
        ("orders over the limit", expensive, "declined"),
        ("orders in an unknown currency", unknown, "rejected: dead-lettered at once"),
        ("cancellations", cancelled, "closed, the payment voided"),
        ("tombstones", withdrawn, "skipped: no handler asks for them"),
        ("events of finished business, in all domains", history, "as any other of their type"),
    ]
    traffic = [
        {"what": what, "events": events, "share": events / sent if sent else 0.0, "outcome": outcome}
        for what, events, outcome in kinds
    ]
    traffic += [
        {"what": "payments that the gateway fails", "events": None, "share": FLAKY, "outcome": "retried"},
        {"what": "orders that the gateway always fails", "events": None, "share": BROKEN, "outcome": "dead-lettered"},
    ]
    _tell({"sent": sent, "of": sent, "traffic": traffic})


def _tell(line: object) -> None:
    click.echo(json.dumps(line))  # flushes


if __name__ == "__main__":
    main()
