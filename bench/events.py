"""The events that are measured with: orders of about 95 bytes, the same in every run."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
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


def waits(count: int, keys: int | None) -> Iterator[tuple[str, int]]:
    """Yield for each record its key, out of so many or one of its own, and its handler's time: up to 5,000 µs."""
    rng = random.Random(5)
    for number in range(count):
        yield f"key-{number if keys is None else rng.randrange(keys)}", rng.randrange(5001)


def least(drawn: Iterable[tuple[str, int]], at_once: int) -> float:
    """Return the seconds that such records take at least, those of a key one by one, and so many keys at once."""
    sums: Counter[str] = Counter()
    for key, micros in drawn:
        sums[key] += micros
    return max(max(sums.values()), sums.total() / at_once) / 1e6
