"""The events that are measured with: orders of about 95 bytes, the same in every run."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

_START = datetime(2025, 1, 10, tzinfo=UTC)


def events(count: int) -> Iterator[dict[str, Any]]:
    """Yield orders, as the data that an Avro writer takes."""
    rng = random.Random(95)
    for number in range(count):
        yield {
            "order_id": str(uuid.UUID(int=rng.getrandbits(128))),
            "customer_id": f"customer-{rng.randrange(100_000):05}",
            "sku": rng.choice(("mug-blue-01", "tea-green-2", "lamp-desk-3")),
            "quantity": rng.randint(1, 9),
            "amount": Decimal(rng.randrange(100, 99_999)) / 100,
            "currency": rng.choice(("EUR", "CHF", "USD")),
            "placed_at": _START + timedelta(milliseconds=number),
            "note": rng.choice((None, "gift")),
        }
