"""The types of `common`, generated from the contracts by `lockgate schemas codegen`; do not edit."""

# ruff: noqa
# fmt: off

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Self

import attrs

__all__ = [
    "Money",
]


@attrs.frozen(kw_only=True)
class Money:
    """An amount in one currency."""

    __avro_name__: ClassVar[str] = "common.Money"

    amount: Decimal
    """Two decimal places."""
    currency: str
    """ISO 4217 code, such as EUR."""

    def to_avro(self) -> dict[str, Any]:
        """Return the datum that an encoder takes."""
        return {
            "amount": self.amount,
            "currency": self.currency,
        }

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:
        """Return the object that a decoder's datum stands for."""
        return cls(
            amount=datum["amount"],
            currency=datum["currency"],
        )
