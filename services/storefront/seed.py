"""Fill all three domains with finished business: `python -m services.storefront.seed --orders N`.

The workload `storefront.seed` is the one producer that writes all three domains. It gives a new cluster a past: orders
that were paid, dispatched and delivered.
"""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

import click

from lockgate import LockgateError, Producer
from schemas import payments, shipping
from services.storefront.shop import Purchase, purchases


def story(purchase: Purchase) -> tuple[Any, ...]:
    """Return what happened to one purchase, from the order to the delivery."""
    order, now = purchase.order, datetime.now(UTC)
    shipment_id = str(uuid.uuid5(uuid.NAMESPACE_OID, order.order_id))
    return (
        order,
        payments.PaymentAuthorized(
            payment_id=f"seed-{order.order_id}", order_id=order.order_id, amount=order.total, authorized_at=now
        ),
        shipping.ShipmentDispatched(
            shipment_id=shipment_id, order_id=order.order_id, carrier="Fleet", dispatched_at=now
        ),
        shipping.ShipmentDelivered(shipment_id=shipment_id, order_id=order.order_id, delivered_at=now),
    )


@click.command()
@click.option("--orders", "count", type=click.IntRange(min=1), default=100, show_default=True, help="How many.")
def main(count: int) -> None:
    """Write some orders with everything that followed, and say how many events the brokers have."""
    sent = 0
    try:
        with Producer("storefront.seed") as producer:
            for purchase in purchases(count, seed=f"seed-{secrets.token_hex(4)}"):
                for event in story(purchase):
                    producer.send(event)
                    sent += 1
    except LockgateError as error:
        raise click.ClickException("\n  next: ".join(filter(None, (error.message, error.next_step)))) from error
    click.echo(f"{count} orders with all that followed: {sent} events")


if __name__ == "__main__":
    main()
