"""Lockgate: a schema-governed event platform on Apache Kafka.

What a service needs is here; the packages below are for tools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lockgate.errors import (
    ClusterDenied,
    ClusterError,
    ClusterUnavailable,
    ContractsError,
    DeliveryError,
    EventError,
    HandlerError,
    LockgateError,
    PlanRefused,
    PoisonError,
    RegistryDenied,
    RegistryError,
    RegistryUnavailable,
    Reject,
    SchemaError,
    SettingsError,
    StackError,
    UsageError,
)

if TYPE_CHECKING:
    from lockgate.runtime.context import Context, Tombstone
    from lockgate.runtime.delivery import Delivery
    from lockgate.runtime.inbox import Inbox
    from lockgate.runtime.producer import Producer
    from lockgate.runtime.service import Service

__all__ = [
    "ClusterDenied",
    "ClusterError",
    "ClusterUnavailable",
    "Context",
    "ContractsError",
    "Delivery",
    "DeliveryError",
    "EventError",
    "HandlerError",
    "Inbox",
    "LockgateError",
    "PlanRefused",
    "PoisonError",
    "Producer",
    "RegistryDenied",
    "RegistryError",
    "RegistryUnavailable",
    "Reject",
    "SchemaError",
    "Service",
    "SettingsError",
    "StackError",
    "Tombstone",
    "UsageError",
]

_LAZY = {
    "Context": "lockgate.runtime.context",
    "Delivery": "lockgate.runtime.delivery",
    "Inbox": "lockgate.runtime.inbox",
    "Producer": "lockgate.runtime.producer",
    "Service": "lockgate.runtime.service",
    "Tombstone": "lockgate.runtime.context",
}


def __getattr__(name: str) -> Any:
    """Import the runtime when it is asked for: the command line's other half needs no Kafka client."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
