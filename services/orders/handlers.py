"""Orders: keep the book of what customers have ordered and cancelled."""

from __future__ import annotations

from lockgate import Context, Service
from schemas import orders
from services.orders.book import Book

service = Service("orders-service")

book = Book()


@service.handler("orders-service")
def receive(event: orders.OrderPlaced, context: Context) -> None:
    """Enter a new order."""
    if book.enter(event):
        context.logger.info("Order received", order_id=event.order_id, lines=len(event.lines), open=book.open)
    else:
        context.logger.info("Order received again", order_id=event.order_id)


@service.handler("orders-service")
def cancel(event: orders.OrderCancelled, context: Context) -> None:
    """Close an order that will not be fulfilled."""
    book.close(event.order_id)
    context.logger.info("Order cancelled", order_id=event.order_id, reason=event.reason, open=book.open)
