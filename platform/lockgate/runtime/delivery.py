"""What becomes of an event that a program sends, told by callback or by future."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import attrs

from lockgate.errors import DeliveryError
from lockgate.records import Coordinates

__all__ = ["Delivery", "OnDelivery", "resolve", "running"]


@attrs.frozen
class Delivery:
    """Say what became of one event: `error` is None where the brokers have it."""

    event_type: str
    event_id: str
    place: Coordinates | None
    error: DeliveryError | None


OnDelivery = Callable[[Delivery], None]


def running() -> Future[Delivery]:
    """Return a future for an event that is about to be sent."""
    future: Future[Delivery] = Future()
    future.set_running_or_notify_cancel()  # nobody can take back what was sent
    return future


def resolve(future: Future[Delivery], delivery: Delivery) -> None:
    """Let a future tell what became of its event."""
    if delivery.error is None:
        future.set_result(delivery)
    else:
        future.set_exception(delivery.error)
