"""The shop: orders as customers place them, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import attrs

from schemas import common, orders

_ARTICLES = {"tea": Decimal("4.90"), "mug": Decimal("12.50"), "kettle": Decimal("39.00"), "lamp": Decimal("84.25")}
_EXPENSIVE = ("piano", Decimal("7800.00"))
_CURRENCIES = ("EUR", "EUR", "EUR", "CHF", "USD")


@attrs.frozen
class Shares:
    """Say which orders make trouble: one in so many of each kind, and none where it is 0."""

    expensive: int = 0
    """Over the limit of what is paid online."""
    unknown_currency: int = 0
    cancelled: int = 0
    """An OrderCancelled follows."""
    withdrawn: int = 0
    """A tombstone follows: the customer wants to be forgotten."""


@attrs.frozen
class Purchase:
    """Hold one order and what follows it."""

    order: orders.OrderPlaced
    cancellation: orders.OrderCancelled | None
    withdrawn: bool


def purchases(count: int, *, seed: str, shares: Shares | None = None) -> Iterator[Purchase]:
    """Yield purchases; order ids begin with `seed`, everything but the time follows from it."""
    shares = shares or Shares()
    rng = random.Random(seed)  # noqa: S311  # customers, no secrets
    for number in range(1, count + 1):
        order_id = f"{seed}-{number:06}"
        # Offsets keep the kinds apart: an order that is both expensive and in an unknown currency would show one only.
        expensive = _is_due(number, shares.expensive, 0)
        currency = "XTS" if _is_due(number, shares.unknown_currency, 1) else rng.choice(_CURRENCIES)
        lines = [_line(rng, currency) for _ in range(rng.randint(1, 4))]
        if expensive:
            sku, price = _EXPENSIVE
            lines.append(orders.OrderLine(sku=sku, quantity=1, price=common.Money(amount=price, currency=currency)))
        now = datetime.now(UTC)
        yield Purchase(
            orders.OrderPlaced(
                order_id=order_id,
                customer_id=f"customer-{rng.randrange(500):03}",
                lines=lines,
                total=common.Money(amount=sum_of(lines), currency=currency),
                placed_at=now,
                note="please ring twice" if rng.random() < 0.05 else None,
            ),
            orders.OrderCancelled(
                order_id=order_id, reason=orders.CancellationReason.CUSTOMER_REQUEST, cancelled_at=now
            )
            if _is_due(number, shares.cancelled, 2)
            else None,
            _is_due(number, shares.withdrawn, 3),
        )


def sum_of(lines: list[orders.OrderLine]) -> Decimal:
    """Return what some lines cost together."""
    return sum((line.price.amount * line.quantity for line in lines), Decimal("0.00"))


def _is_due(number: int, one_in: int, offset: int) -> bool:
    return one_in > 0 and number % one_in == offset % one_in


def _line(rng: random.Random, currency: str) -> orders.OrderLine:
    sku, price = rng.choice(sorted(_ARTICLES.items()))
    return orders.OrderLine(sku=sku, quantity=rng.randint(1, 3), price=common.Money(amount=price, currency=currency))
