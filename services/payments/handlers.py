"""The payments service: asks the gateway for each order's money, and says what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from lockgate import Context, Reject, Service
from schemas import orders, payments
from services.payments import gateway

service = Service("payments-service")

LIMIT = Decimal("10000.00")
"""Orders over it are declined, whatever their currency."""


@service.handler("payments-service.orders")
def authorize(event: orders.OrderPlaced, context: Context) -> payments.PaymentAuthorized | payments.PaymentDeclined:
    """Authorize the payment of an order; decline what is over the limit, reject what nobody could ever pay."""
    total = event.total
    if total.currency not in gateway.CURRENCIES:
        raise Reject(f"unknown currency {total.currency!r}")
    if total.amount > LIMIT:
        return payments.PaymentDeclined(
            order_id=event.order_id,
            amount=total,
            reason=payments.DeclineReason.OVER_LIMIT,
            declined_at=datetime.now(UTC),
        )
    # GatewayUnavailable is no business of ours: it sends the order through the retry topics
    reference = gateway.authorize(event.order_id, total.amount, total.currency, attempt=context.attempt)
    return payments.PaymentAuthorized(
        payment_id=reference, order_id=event.order_id, amount=total, authorized_at=datetime.now(UTC)
    )


@service.handler("payments-service.orders")
def cancel(event: orders.OrderCancelled, context: Context) -> None:
    """Take note that nothing is to be paid any more."""
    context.logger.info("Payment not needed", order_id=event.order_id, reason=event.reason.value)


@service.handler("payments-service")
def authorized(event: payments.PaymentAuthorized, context: Context) -> None:
    """Book a payment."""
    context.logger.info("Payment authorized", order_id=event.order_id, amount=str(event.amount.amount))


@service.handler("payments-service")
def declined(event: payments.PaymentDeclined, context: Context) -> None:
    """Take note of a payment that will not come."""
    context.logger.info("Payment declined", order_id=event.order_id, reason=event.reason.value)
