"""Avro: schemas, what becomes of data when they change, and a strict codec. No network, no domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockgate.lazy import lazily

if TYPE_CHECKING:
    from lockgate.avro.compatibility import check
    from lockgate.avro.findings import Finding, Witness
else:  # hidden from type checkers: they would take any misspelt name for one that is there
    # a service that only encodes and decodes needs no checker
    __getattr__ = lazily(
        __name__,
        {
            "Finding": "lockgate.avro.findings",
            "Witness": "lockgate.avro.findings",
            "check": "lockgate.avro.compatibility",
        },
    )

__all__ = ["Finding", "Witness", "check"]


def __dir__() -> list[str]:
    return __all__
