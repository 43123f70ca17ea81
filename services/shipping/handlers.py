"""Shipping: send what is paid, and know what is on its way."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from lockgate import Context, Service
from schemas import payments, shipping

service = Service("shipping-service")

CARRIERS = ("Fleet", "Parcel One", "Swift")
_SHIPMENTS = uuid.UUID("b1f3f0d2-6c57-5a0e-8f3c-54f0a7d9e611")

under_way: set[str] = set()
"""Shipments that this process has seen leave and not yet arrive."""


@service.handler("shipping-service.payments")
def dispatch(event: payments.PaymentAuthorized, context: Context) -> shipping.ShipmentDispatched:
    """Hand a paid order to a carrier.

    The same payment gives the same shipment and carrier, so that a payment that is read twice ships nothing twice.
    """
    shipment = uuid.uuid5(_SHIPMENTS, event.payment_id)
    carrier = CARRIERS[shipment.int % len(CARRIERS)]
    context.logger.info("Shipment dispatched", order_id=event.order_id, shipment_id=str(shipment), carrier=carrier)
    return shipping.ShipmentDispatched(
        shipment_id=str(shipment), order_id=event.order_id, carrier=carrier, dispatched_at=datetime.now(UTC)
    )


@service.handler("shipping-service")
def track(event: shipping.ShipmentDispatched | shipping.ShipmentDelivered, context: Context) -> None:
    """Follow shipments until they arrive."""
    if isinstance(event, shipping.ShipmentDispatched):
        under_way.add(event.shipment_id)
    else:
        under_way.discard(event.shipment_id)
    context.logger.info("Shipment tracked", shipment_id=event.shipment_id, under_way=len(under_way))
