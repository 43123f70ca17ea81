"""A kit for the tests of services: their handlers on the real loop, in this process, without brokers or a registry.

The pytest fixture `kit` gives a `Kit` of the project that the test belongs to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lockgate.testing.kit import Kit
    from lockgate.testing.outcome import DeadLetter, Outcome, Published, Retry, Sent
    from lockgate.testing.registry import MemoryRegistry

__all__ = ["DeadLetter", "Kit", "MemoryRegistry", "Outcome", "Published", "Retry", "Sent"]

_LAZY = {
    "DeadLetter": "lockgate.testing.outcome",
    "Kit": "lockgate.testing.kit",
    "MemoryRegistry": "lockgate.testing.registry",
    "Outcome": "lockgate.testing.outcome",
    "Published": "lockgate.testing.outcome",
    "Retry": "lockgate.testing.outcome",
    "Sent": "lockgate.testing.outcome",
}


def __getattr__(name: str) -> Any:
    """Import the kit when it is asked for: pytest loads the plugin in every run, the Kafka client only where needed."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
