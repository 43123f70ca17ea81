"""Avro: schemas, what becomes of data when they change, and a strict codec. No network, no domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lockgate.avro.compatibility import check
    from lockgate.avro.findings import Finding, Witness

__all__ = ["Finding", "Witness", "check"]

_LAZY = {
    "Finding": "lockgate.avro.findings",
    "Witness": "lockgate.avro.findings",
    "check": "lockgate.avro.compatibility",
}


def __getattr__(name: str) -> Any:
    """Import the checker when it is asked for: a service that only encodes and decodes does not need it."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
