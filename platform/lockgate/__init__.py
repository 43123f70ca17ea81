"""Lockgate: a schema-governed event platform on Apache Kafka.

What a service needs is here; the packages below are for tools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from lockgate.lazy import lazily

if TYPE_CHECKING:
    from lockgate.runtime.context import Context, Tombstone
    from lockgate.runtime.delivery import Delivery
    from lockgate.runtime.inbox import Inbox
    from lockgate.runtime.producer import Producer
    from lockgate.runtime.service import Service
else:  # hidden from type checkers: they would take any misspelt name for one that is there
    # the command line's other half needs no Kafka client
    __getattr__ = lazily(
        __name__,
        {
            "Context": "lockgate.runtime.context",
            "Delivery": "lockgate.runtime.delivery",
            "Inbox": "lockgate.runtime.inbox",
            "Producer": "lockgate.runtime.producer",
            "Service": "lockgate.runtime.service",
            "Tombstone": "lockgate.runtime.context",
        },
    )

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


def __dir__() -> list[str]:
    return __all__
