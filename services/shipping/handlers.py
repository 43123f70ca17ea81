"""The shipping service: dispatches what is paid."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from lockgate import Context, Service
from schemas import payments, shipping

service = Service("shipping-service")

CARRIERS = ("Heron", "Kestrel", "Swift")


@service.handler("shipping-service.payments")
def dispatch(event: payments.PaymentAuthorized) -> shipping.ShipmentDispatched:
    """Dispatch a paid order; the same payment twice is the same shipment."""
    reference = uuid.uuid5(uuid.NAMESPACE_OID, event.payment_id)
    return shipping.ShipmentDispatched(
        shipment_id=str(reference),
        order_id=event.order_id,
        carrier=CARRIERS[reference.int % len(CARRIERS)],
        dispatched_at=datetime.now(UTC),
    )


@service.handler("shipping-service")
def dispatched(event: shipping.ShipmentDispatched, context: Context) -> None:
    """Take note of a parcel on its way."""
    context.logger.info("Order dispatched", order_id=event.order_id, carrier=event.carrier)


@service.handler("shipping-service")
def delivered(event: shipping.ShipmentDelivered, context: Context) -> None:
    """Take note of a parcel that has arrived."""
    context.logger.info("Order delivered", order_id=event.order_id)
