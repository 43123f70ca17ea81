"""The types of `orders`, generated from the contracts by `lockgate schemas codegen`; do not edit."""

# ruff: noqa
# fmt: off

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import attrs

from schemas import common

__all__ = [
    "CancellationReason",
    "OrderCancelled",
    "OrderLine",
    "OrderPlaced",
]


class CancellationReason(enum.StrEnum):
    """Why an order was cancelled."""

    UNKNOWN = "UNKNOWN"
    CUSTOMER_REQUEST = "CUSTOMER_REQUEST"
    OUT_OF_STOCK = "OUT_OF_STOCK"


@attrs.frozen(kw_only=True)
class OrderCancelled:
    """An order will not be fulfilled."""

    __avro_name__: ClassVar[str] = "orders.OrderCancelled"

    order_id: str
    """The order."""
    reason: CancellationReason = CancellationReason.UNKNOWN
    """Why."""
    cancelled_at: datetime.datetime
    """UTC."""

    def to_avro(self) -> dict[str, Any]:
        """Return the datum that an encoder takes."""
        return {
            "order_id": self.order_id,
            "reason": self.reason.value,
            "cancelled_at": self.cancelled_at,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:
        """Return the object that a decoder's datum stands for."""
        return cls(
            order_id=datum["order_id"],
            reason=CancellationReason(datum["reason"]),
            cancelled_at=datum["cancelled_at"],
        )


@attrs.frozen(kw_only=True)
class OrderLine:
    """One article of an order."""

    __avro_name__: ClassVar[str] = "orders.OrderLine"

    sku: str
    """Stock keeping unit."""
    quantity: int
    """Pieces, at least one."""
    price: common.Money
    """Of one piece."""

    def to_avro(self) -> dict[str, Any]:
        """Return the datum that an encoder takes."""
        return {
            "sku": self.sku,
            "quantity": self.quantity,
            "price": self.price.to_avro(),
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:
        """Return the object that a decoder's datum stands for."""
        return cls(
            sku=datum["sku"],
            quantity=datum["quantity"],
            price=common.Money.from_avro(datum["price"]),
        )


@attrs.frozen(kw_only=True)
class OrderPlaced:
    """A customer has placed an order."""

    __avro_name__: ClassVar[str] = "orders.OrderPlaced"

    order_id: str
    """Identifies the order in every domain."""
    customer_id: str
    """Who ordered."""
    lines: list[OrderLine]
    """What was ordered."""
    total: common.Money
    """To be paid."""
    placed_at: datetime.datetime
    """UTC."""
    note: str | None = None
    """What the customer wrote, if anything."""

    def to_avro(self) -> dict[str, Any]:
        """Return the datum that an encoder takes."""
        return {
            "order_id": self.order_id,
            "customer_id": self.customer_id,
            "lines": [item.to_avro() for item in self.lines],
            "total": self.total.to_avro(),
            "placed_at": self.placed_at,
            "note": self.note,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:
        """Return the object that a decoder's datum stands for."""
        return cls(
            order_id=datum["order_id"],
            customer_id=datum["customer_id"],
            lines=[OrderLine.from_avro(item) for item in datum["lines"]],
            total=common.Money.from_avro(datum["total"]),
            placed_at=datum["placed_at"],
            note=datum["note"],
        )
