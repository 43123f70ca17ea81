"""The book of open orders, as this process has seen them."""

from __future__ import annotations

from schemas import orders


class Book:
    """Hold the open orders of the partitions that this process reads.

    Events are delivered at least once, and out of order where one of them had to be retried, so entering an order twice
    and closing one that was never entered are both ordinary.
    """

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._closed: set[str] = set()

    @property
    def open(self) -> int:
        """Return how many orders are open."""
        return len(self._open)

    def enter(self, order: orders.OrderPlaced) -> bool:
        """Enter an order; return whether it is new. One that was cancelled before it arrived stays closed."""
        if order.order_id in self._open or order.order_id in self._closed:
            return False
        self._open.add(order.order_id)
        return True

    def close(self, order_id: str) -> None:
        """Close an order."""
        self._open.discard(order_id)
        self._closed.add(order_id)
