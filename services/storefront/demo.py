"""The demo's load: orders with a stated share of each kind of trouble, and a little history in all three domains."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from pathlib import Path

import click

from lockgate import LockgateError, Producer
from services.storefront.seed import story
from services.storefront.shop import Shares, purchases

_SHARES = Shares(expensive=50, unknown_currency=100, cancelled=40, withdrawn=200)
_HISTORIES = 20


@click.command()
@click.option("--orders", "count", type=click.IntRange(1), default=2000, show_default=True, help="How many to place.")
@click.option("--report", type=click.Path(path_type=Path), help="Write what was sent as JSON to this file.")
def main(count: int, report: Path | None) -> None:
    """Place orders and write histories; say which troubles are among them."""
    sent: Counter[str] = Counter()
    trouble: Counter[str] = Counter()
    run = secrets.token_hex(3)
    try:
        with Producer("storefront") as producer:
            for number, purchase in enumerate(purchases(count, seed=f"order-{run}", shares=_SHARES), 1):
                producer.send(purchase.order)
                sent["orders.OrderPlaced"] += 1
                trouble["orders over the limit, to be declined"] += number % _SHARES.expensive == 0
                trouble["orders in an unknown currency, to be rejected"] += number % _SHARES.unknown_currency == 1
                if purchase.cancellation is not None:
                    producer.send(purchase.cancellation)
                    sent["orders.OrderCancelled"] += 1
                if purchase.withdrawn:
                    producer.send_tombstone("orders", purchase.order.order_id)
                    sent["orders tombstone"] += 1
        with Producer("storefront.seed") as producer:
            for purchase in purchases(_HISTORIES, seed=f"past-{run}"):
                for event in story(purchase):
                    producer.send(event)
                    sent[event.__avro_name__] += 1
    except LockgateError as error:
        raise click.ClickException("\n  next: ".join(filter(None, (error.message, error.next_step)))) from error
    if report is not None:
        report.write_text(json.dumps({"sent": sent, "trouble": trouble}), encoding="utf-8")


if __name__ == "__main__":
    main()
