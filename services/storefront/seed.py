"""The one producer that writes all three domains: a small history to look at. `python -m services.storefront.seed`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from lockgate import LockgateError, Producer
from schemas import orders, payments, shipping
from services.storefront import baskets

_Event = (
    orders.OrderPlaced
    | payments.PaymentAuthorized
    | payments.PaymentDeclined
    | shipping.ShipmentDispatched
    | shipping.ShipmentDelivered
)


def history(order: orders.OrderPlaced) -> Iterator[_Event]:
    """Yield an order and everything that came of it, in all three domains."""
    now = datetime.now(UTC)
    yield order
    if int(order.order_id.rpartition("-")[2]) % 10 == 9:
        yield payments.PaymentDeclined(
            order_id=order.order_id, amount=order.total, reason=payments.DeclineReason.UNKNOWN, declined_at=now
        )
        return
    shipment = f"shipment-{order.order_id}"
    yield payments.PaymentAuthorized(
        payment_id=f"payment-{order.order_id}", order_id=order.order_id, amount=order.total, authorized_at=now
    )
    yield shipping.ShipmentDispatched(shipment_id=shipment, order_id=order.order_id, carrier="Heron", dispatched_at=now)
    yield shipping.ShipmentDelivered(shipment_id=shipment, order_id=order.order_id, delivered_at=now)


@click.command()
@click.option("--orders", "count", type=click.IntRange(1), default=20, show_default=True, help="How many histories.")
@click.option("--seed", default="past", show_default=True, help="Begins every order's id.")
def main(count: int, seed: str) -> None:
    """Write past orders with their payments and shipments."""
    sent = 0
    try:
        with Producer("storefront.seed") as producer:
            for order in baskets.place(count, seed):
                for event in history(order):
                    producer.send(event)
                    sent += 1
    except LockgateError as error:
        raise click.ClickException(f"{error}" + (f"\n  next: {error.next_step}" if error.next_step else "")) from error
    click.echo(f"{sent} events sent and acknowledged to three domains", err=True)


if __name__ == "__main__":
    main()
