"""Made-up orders: most of them fine, a stated share of each kind of trouble."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from schemas import common, orders

__all__ = ["OVER_LIMIT", "UNKNOWN_CURRENCY", "cancellations", "place"]

OVER_LIMIT = 20
"""Of 1,000 orders, how many are over every limit."""
UNKNOWN_CURRENCY = 10
"""Of 1,000 orders, how many are in a currency that does not exist."""
CANCELLED = 30
"""Of 1,000 orders, how many are cancelled afterwards."""

_ARTICLES = (("teapot", "24.90"), ("kettle", "59.00"), ("cup", "7.50"), ("saucer", "4.20"), ("strainer", "11.00"))


def place(count: int, seed: str) -> Iterator[orders.OrderPlaced]:
    """Yield orders; the same seed gives the same ones, but for their time."""
    dice = random.Random(seed)  # noqa: S311  # made-up baskets need no secrecy
    for number in range(count):
        trouble = number % 1000
        currency = dice.choice(("EUR", "EUR", "EUR", "USD", "GBP", "CHF"))
        if trouble < UNKNOWN_CURRENCY:
            currency = "ZZZ"
        lines = [_line(dice, currency) for _ in range(dice.randint(1, 3))]
        total = sum((line.price.amount * line.quantity for line in lines), Decimal(0))
        if UNKNOWN_CURRENCY <= trouble < UNKNOWN_CURRENCY + OVER_LIMIT:
            total = Decimal("25000.00")
        yield orders.OrderPlaced(
            order_id=f"{seed}-{number:06d}",
            customer_id=f"customer-{dice.randrange(500):03d}",
            lines=lines,
            total=common.Money(amount=total, currency=currency),
            placed_at=datetime.now(UTC),
        )


def cancellations(placed: Iterator[orders.OrderPlaced]) -> Iterator[orders.OrderPlaced | orders.OrderCancelled]:
    """Yield the orders, some of them followed by their cancellation."""
    for number, order in enumerate(placed):
        yield order
        if number % 1000 >= 1000 - CANCELLED:
            yield orders.OrderCancelled(
                order_id=order.order_id,
                reason=orders.CancellationReason.CUSTOMER_REQUEST,
                cancelled_at=datetime.now(UTC),
            )


def _line(dice: random.Random, currency: str) -> orders.OrderLine:
    sku, price = dice.choice(_ARTICLES)
    return orders.OrderLine(
        sku=sku, quantity=dice.randint(1, 4), price=common.Money(amount=Decimal(price), currency=currency)
    )
