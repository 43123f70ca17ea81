"""The orders service: takes note of every order."""

from __future__ import annotations

from lockgate import Context, Service
from schemas import orders

service = Service("orders-service")


@service.handler("orders-service")
def received(event: orders.OrderPlaced, context: Context) -> None:
    """Take note of a new order."""
    context.logger.info("Order received", order_id=event.order_id, total=str(event.total.amount))


@service.handler("orders-service")
def cancelled(event: orders.OrderCancelled, context: Context) -> None:
    """Take note of an order that will not be fulfilled."""
    context.logger.info("Order cancelled", order_id=event.order_id, reason=event.reason.value)
