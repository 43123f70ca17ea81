"""What topics hold before they are read: the same records in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any

import attrs

from bench.events import events, waits

__all__ = ["LOADS", "Load"]

Encode = Callable[[dict[str, Any]], bytes]
PARTITIONS = 6
"""Of topics that are written partition by partition."""
Raw = tuple[bytes, bytes, int]
"""A record: value, key, and partition (-1: where the key belongs)."""


@attrs.frozen
class Load:
    """Describe what one topic holds."""

    domain: str
    event: str
    records: Callable[[int, Encode], Iterator[Raw]]
    """So many of them, in order."""
    readable: Callable[[int], int] = lambda count: count
    """How many of so many can be decoded."""
    size: Callable[[int], int] = lambda count: count
    """How many there are where so many are asked for."""

    @property
    def topic(self) -> str:
        """Return the topic's name."""
        return f"bench.{self.domain}"

    @property
    def event_type(self) -> str:
        """Return the full name of the event type."""
        return f"{self.domain}.{self.event}"


def _orders(count: int, encode: Encode) -> Iterator[Raw]:
    for event in events(count):
        yield encode(event), event["order_id"].encode(), -1


def _blend(count: int, encode: Encode) -> Iterator[Raw]:
    """Yield orders, every hundredth of which cannot be decoded."""
    for number, (value, key, partition) in enumerate(_orders(count, encode)):
        yield (_poison(number // 100, value) if number % 100 == 50 else value), key, partition


def _waste(count: int, encode: Encode) -> Iterator[Raw]:
    """Yield what cannot be decoded, between one order at the beginning and one at the end of each partition."""
    for number, (value, key, _) in enumerate(_orders(count, encode)):
        edge = number < PARTITIONS or number >= count - PARTITIONS
        yield (value if edge else _poison(number, value)), key, number % PARTITIONS


def _poison(number: int, value: bytes) -> bytes:
    """Return a value that ends too early, or one that is no Avro at all."""
    return value[:40] if number % 2 else b"{" + value[1:]


def _line(count: int, encode: Encode, keys: int | None = None) -> Iterator[Raw]:
    """Yield orders whose quantity is what their handler waits for, in microseconds."""
    for event, (key, micros) in zip(events(count), waits(count, keys), strict=True):
        yield encode(event | {"order_id": key, "quantity": micros}), key.encode(), 0


def _hundred(count: int, encode: Encode) -> Iterator[Raw]:
    return _line(count, encode, 100)


def _nothing(count: int, encode: Encode) -> Iterator[Raw]:
    """Yield nothing: what is read is sent while it is read."""
    return iter(())


def _long(count: int, encode: Encode) -> Iterator[Raw]:
    """Yield the same few orders again and again: it is their number that matters."""
    return islice(cycle(list(_orders(min(count, 10_000), encode))), count)


LOADS = {
    load.domain: load
    for load in (
        Load("market", "OrderPlaced", _orders),
        Load("sink", "OrderTaken", _orders),
        Load("blend", "OrderPlaced", _blend, lambda count: count - (count + 49) // 100),
        Load("line", "OrderPlaced", _line),
        Load("hundred", "OrderPlaced", _hundred),
        Load("tick", "OrderPlaced", _nothing, size=lambda _: 0),
        Load("long", "OrderPlaced", _long),
        Load("waste", "OrderPlaced", _waste, lambda _: 2 * PARTITIONS),
    )
}
