"""What topics hold before they are read: the same records in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from bench.events import events

__all__ = ["LOADS", "Load"]

Encode = Callable[[dict[str, Any]], bytes]
Raw = tuple[bytes, bytes, int]
"""A record: value, key, and partition (-1: where the key belongs)."""


@attrs.frozen
class Load:
    """Describe what one topic holds."""

    domain: str
    event: str
    records: Callable[[int, Encode], Iterator[Raw]]
    """So many of them, in order."""

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


LOADS = {load.domain: load for load in (Load("market", "OrderPlaced", _orders), Load("sink", "OrderTaken", _orders))}
