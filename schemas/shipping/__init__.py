"""The types of `shipping`, generated from the contracts by `lockgate schemas codegen`; do not edit."""

# ruff: noqa
# fmt: off

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import attrs

__all__ = [
    "ShipmentDelivered",
    "ShipmentDispatched",
]


@attrs.frozen(kw_only=True)
class ShipmentDelivered:
    """A parcel has reached the customer."""

    __avro_name__: ClassVar[str] = "shipping.ShipmentDelivered"

    shipment_id: str
    """The carrier's reference."""
    order_id: str
    """The order that was shipped."""
    delivered_at: datetime.datetime
    """UTC."""

    def to_avro(self) -> dict[str, Any]:
        """Return the datum that an encoder takes."""
        return {
            "shipment_id": self.shipment_id,
            "order_id": self.order_id,
            "delivered_at": self.delivered_at,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:
        """Return the object that a decoder's datum stands for."""
        return cls(
            shipment_id=datum["shipment_id"],
            order_id=datum["order_id"],
            delivered_at=datum["delivered_at"],
        )


@attrs.frozen(kw_only=True)
class ShipmentDispatched:
    """A parcel has left the warehouse."""

    __avro_name__: ClassVar[str] = "shipping.ShipmentDispatched"

    shipment_id: str
    """The carrier's reference."""
    order_id: str
    """The order that is shipped."""
    carrier: str
    """Who carries it."""
    dispatched_at: datetime.datetime
    """UTC."""

    def to_avro(self) -> dict[str, Any]:
        """Return the datum that an encoder takes."""
        return {
            "shipment_id": self.shipment_id,
            "order_id": self.order_id,
            "carrier": self.carrier,
            "dispatched_at": self.dispatched_at,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:
        """Return the object that a decoder's datum stands for."""
        return cls(
            shipment_id=datum["shipment_id"],
            order_id=datum["order_id"],
            carrier=datum["carrier"],
            dispatched_at=datum["dispatched_at"],
        )
