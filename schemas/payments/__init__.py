"""The types of `payments`, generated from the contracts by `lockgate schemas codegen`; do not edit."""

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
    "DeclineReason",
    "PaymentAuthorized",
    "PaymentDeclined",
]


class DeclineReason(enum.StrEnum):
    """Why a payment was declined."""

    UNKNOWN = "UNKNOWN"
    OVER_LIMIT = "OVER_LIMIT"
    CANCELLED = "CANCELLED"


@attrs.frozen(kw_only=True)
class PaymentAuthorized:
    """The payment gateway has authorized the payment of an order."""

    __avro_name__: ClassVar[str] = "payments.PaymentAuthorized"

    payment_id: str
    """The gateway's reference."""
    order_id: str
    """The order that is paid."""
    amount: common.Money
    """What was authorized."""
    authorized_at: datetime.datetime
    """UTC."""

    def to_avro(self) -> dict[str, Any]:
        """Return the datum that an encoder takes."""
        return {
            "payment_id": self.payment_id,
            "order_id": self.order_id,
            "amount": self.amount.to_avro(),
            "authorized_at": self.authorized_at,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:
        """Return the object that a decoder's datum stands for."""
        return cls(
            payment_id=datum["payment_id"],
            order_id=datum["order_id"],
            amount=common.Money.from_avro(datum["amount"]),
            authorized_at=datum["authorized_at"],
        )


@attrs.frozen(kw_only=True)
class PaymentDeclined:
    """The payment of an order was declined; the order will not be shipped."""

    __avro_name__: ClassVar[str] = "payments.PaymentDeclined"

    order_id: str
    """The order that is not paid."""
    amount: common.Money
    """What was asked for."""
    reason: DeclineReason = DeclineReason.UNKNOWN
    """Why."""
    declined_at: datetime.datetime
    """UTC."""

    def to_avro(self) -> dict[str, Any]:
        """Return the datum that an encoder takes."""
        return {
            "order_id": self.order_id,
            "amount": self.amount.to_avro(),
            "reason": self.reason.value,
            "declined_at": self.declined_at,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:
        """Return the object that a decoder's datum stands for."""
        return cls(
            order_id=datum["order_id"],
            amount=common.Money.from_avro(datum["amount"]),
            reason=DeclineReason(datum["reason"]),
            declined_at=datum["declined_at"],
        )
