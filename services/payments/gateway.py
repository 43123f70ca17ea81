"""A payment gateway that fails now and then, always in the same way for the same order."""

from __future__ import annotations

import hashlib
import uuid
from decimal import Decimal

FLAKY = 0.08
"""Share of calls that fail, each attempt for itself."""
BROKEN = 0.005
"""Share of orders that fail at every attempt."""
_PAYMENTS = uuid.UUID("8d6b2c4e-3f0a-5d1c-9a37-1b7f5e2c9d40")


class GatewayUnavailable(Exception):  # noqa: N818  # named as the gateway's own client library would
    """The gateway did not answer; it may answer later."""


class SimulatedGateway:
    """Stand in for a payment gateway; shares are parts of 1.

    Whether a call fails follows from the order and the attempt alone, so that every process sees the same gateway and a
    run can be repeated.
    """

    def __init__(self, *, flaky: float = FLAKY, broken: float = BROKEN) -> None:
        self._flaky = flaky
        self._broken = broken

    def authorize(self, order_id: str, amount: Decimal, *, attempt: int) -> str:
        """Return the payment's id: the same for the same order, so that a second call is no second payment.

        Raise GatewayUnavailable where the gateway does not answer.
        """
        if _draw(order_id) < self._broken:
            raise GatewayUnavailable(f"the gateway does not answer for {order_id}")
        if _draw(f"{order_id}/{attempt}") < self._flaky:
            raise GatewayUnavailable(f"the gateway did not answer in time for {order_id}, {amount}")
        return str(uuid.uuid5(_PAYMENTS, order_id))

    def void(self, order_id: str) -> None:
        """Give up an order's authorization, if there is one."""


def _draw(text: str) -> float:
    """Return a number in [0, 1) that follows from a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / (1 << 48)
