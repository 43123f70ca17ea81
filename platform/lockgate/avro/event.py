"""What the generated event classes have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

__all__ = ["Event"]


@runtime_checkable
class Event(Protocol):
    """Describe a class that carries one event type; `lockgate schemas codegen` writes them.

    A datum is what Encoder takes and Decoder returns: a dict of plain values by field name. Enum symbols are `str`,
    decimals `Decimal`, `date`, `time`, `datetime` (aware; local timestamps naive) and `UUID` stand for their logical
    types. In a union, a value whose Python type does not tell the branch is a pair `(branch name, value)`.
    """

    __avro_name__: ClassVar[str]
    """The Avro full name: `orders.OrderPlaced`."""

    def to_avro(self) -> dict[str, Any]:
        """Return the event as a datum."""
        ...

    @classmethod
    def from_avro(cls, datum: Mapping[str, Any], /) -> Self:
        """Return the event that a datum of the class's own schema stands for."""
        ...
