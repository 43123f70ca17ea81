"""A simulated payment gateway that fails now and then, the same way for the same order each time."""

from __future__ import annotations

import hashlib
from decimal import Decimal

__all__ = ["CURRENCIES", "GatewayUnavailable", "authorize"]

CURRENCIES = frozenset({"CHF", "EUR", "GBP", "USD"})
"""What the gateway settles in."""

_SHARES = ((5, 99), (15, 2), (60, 1))
"""Of 1,000 orders the first 5 fail at every attempt, those up to 15 at the first two, those up to 60 at the first."""


class GatewayUnavailable(Exception):  # noqa: N818  # says what is wrong; the service tries again
    """Report a gateway that did not answer."""


def authorize(order_id: str, amount: Decimal, currency: str, *, attempt: int) -> str:
    """Return the reference of an authorized payment; raise GatewayUnavailable where the gateway does not answer.

    `attempt` counts from 1.
    """
    digest = hashlib.sha256(order_id.encode()).digest()
    draw = int.from_bytes(digest[:4], "big") % 1000
    failures = next((failures for below, failures in _SHARES if draw < below), 0)
    if attempt <= failures:
        raise GatewayUnavailable(f"no answer from the gateway for {amount} {currency}")
    return f"pay-{digest[4:12].hex()}"
