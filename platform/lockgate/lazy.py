"""Names of a package that are imported when they are asked for: a Kafka client, say, is not always needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazily"]


def lazily(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__` (PEP 562); `places` says which module defines each name."""

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
        import importlib
        import sys

        value = getattr(importlib.import_module(places[name]), name)
        setattr(sys.modules[package], name, value)  # the next time it is simply there
        return value

    return find
