"""The demo's load: orders with a stated share of each kind of trouble, and some finished business in all domains."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from pathlib import Path

import click

from lockgate import LockgateError, Producer
from services.storefront.seed import story
from services.storefront.shop import Shares, purchases

SHARES = Shares(expensive=20, unknown_currency=100, cancelled=40, withdrawn=100)
"""One order in so many makes each kind of trouble; the gateway of the payments service adds its own."""
_HISTORY = 100
"""For one order in so many, another one that was delivered long ago."""


@click.command()
@click.option("--orders", "count", type=click.IntRange(min=1), default=2000, show_default=True, help="How many.")
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="At most so many a second; 0: no bound.")
@click.option("--report", type=click.Path(path_type=Path), help="Write what was sent as JSON to this file.")
def main(count: int, rate: float, report: Path | None) -> None:
    """Place orders as `storefront`, write finished business as `storefront.seed`; say what was sent."""
    try:
        sent, trouble = _run(count, rate)
    except LockgateError as error:
        raise click.ClickException("\n  next: ".join(filter(None, (error.message, error.next_step)))) from error
    if report is not None:
        report.write_text(json.dumps({"sent": sent, "trouble": trouble}), encoding="utf-8")
    click.echo(f"{sent.total()} events sent")


def _run(count: int, rate: float) -> tuple[Counter[str], Counter[str]]:
    seed = secrets.token_hex(4)
    sent: Counter[str] = Counter()
    trouble: Counter[str] = Counter()
    begun = time.monotonic()
    with Producer("storefront") as producer:
        for number, purchase in enumerate(purchases(count, seed=seed, shares=SHARES)):
            if rate > 0:
                time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            producer.send(purchase.order)
            sent["orders.OrderPlaced"] += 1
            if any(line.sku == "piano" for line in purchase.order.lines):
                trouble["orders over the limit, to be declined"] += 1
            if purchase.order.total.currency == "XTS":
                trouble["orders in an unknown currency, to be rejected"] += 1
            if purchase.cancellation is not None:
                producer.send(purchase.cancellation)
                sent["orders.OrderCancelled"] += 1
                trouble["cancellations, to be voided"] += 1
            if purchase.withdrawn:
                producer.send_tombstone("orders", purchase.order.order_id)
                sent["tombstones of orders"] += 1
                trouble["tombstones, to be skipped"] += 1
    with Producer("storefront.seed") as producer:
        for purchase in purchases(max(1, count // _HISTORY), seed=f"{seed}-past"):
            for event in story(purchase):
                producer.send(event)
                sent[type(event).__avro_name__] += 1
    return sent, trouble


if __name__ == "__main__":
    main()
