"""A kit for the tests of services: their handlers on the real loop, in this process, without brokers or a registry.

The pytest fixture `kit` gives a `Kit` of the project that the test belongs to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockgate.lazy import lazily

if TYPE_CHECKING:
    from lockgate.testing.kit import Kit
    from lockgate.testing.outcome import DeadLetter, Outcome, Published, Retry, Sent
    from lockgate.testing.registry import MemoryRegistry
else:  # hidden from type checkers: they would take any misspelt name for one that is there
    # pytest loads the plugin in every run, and the Kafka client only where it is needed
    __getattr__ = lazily(
        __name__,
        {
            "DeadLetter": "lockgate.testing.outcome",
            "Kit": "lockgate.testing.kit",
            "MemoryRegistry": "lockgate.testing.registry",
            "Outcome": "lockgate.testing.outcome",
            "Published": "lockgate.testing.outcome",
            "Retry": "lockgate.testing.outcome",
            "Sent": "lockgate.testing.outcome",
        },
    )

__all__ = ["DeadLetter", "Kit", "MemoryRegistry", "Outcome", "Published", "Retry", "Sent"]


def __dir__() -> list[str]:
    return __all__
