"""Payments: authorize what an order costs, and keep count of what became of the money."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

from lockgate import Context, Reject, Service
from schemas import orders, payments
from services.payments.gateway import SimulatedGateway

service = Service("payments-service")

CURRENCIES = frozenset({"CHF", "EUR", "USD"})
LIMIT = Decimal("5000.00")
"""More than this, in any currency, is not paid online."""

gateway = SimulatedGateway()
authorized: Counter[str] = Counter()
"""Payments that this process has seen authorized, by currency."""
declined: Counter[str] = Counter()
"""Payments that this process has seen declined, by reason."""


@service.handler("payments-service.orders")
def authorize(event: orders.OrderPlaced, context: Context) -> payments.PaymentAuthorized | payments.PaymentDeclined:
    """Have an order's total authorized by the gateway, or decline it.

    A currency that we do not take will not become one by trying again: Reject. A gateway that does not answer may
    answer later: its GatewayUnavailable goes through, and the order walks the retry topics.
    """
    total = event.total
    if total.currency not in CURRENCIES:
        raise Reject(f"unknown currency {total.currency!r}")
    now = datetime.now(UTC)
    if total.amount > LIMIT:
        context.logger.info("Payment declined", order_id=event.order_id, amount=str(total.amount), limit=str(LIMIT))
        return payments.PaymentDeclined(
            order_id=event.order_id, amount=total, reason=payments.DeclineReason.OVER_LIMIT, declined_at=now
        )
    payment_id = gateway.authorize(event.order_id, total.amount, attempt=context.attempt)
    context.logger.info("Payment authorized", order_id=event.order_id, payment_id=payment_id)
    return payments.PaymentAuthorized(payment_id=payment_id, order_id=event.order_id, amount=total, authorized_at=now)


@service.handler("payments-service.orders")
def void(event: orders.OrderCancelled, context: Context) -> None:
    """Give up the authorization of a cancelled order; voiding what was never authorized is no mistake."""
    gateway.void(event.order_id)
    context.logger.info("Payment voided", order_id=event.order_id)


@service.handler("payments-service")
def record(event: payments.PaymentAuthorized | payments.PaymentDeclined, context: Context) -> None:
    """Keep count of payments by what became of them."""
    if isinstance(event, payments.PaymentAuthorized):
        authorized[event.amount.currency] += 1
    else:
        declined[event.reason] += 1
    context.logger.info("Payment recorded", authorized=authorized.total(), declined=declined.total())
