"""One rule: what it asks for, why that matters, the usual fix, and the function that looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs

from lockgate.governance.annotations import Severity
from lockgate.governance.lint.sources import DomainSource, SchemaSource

__all__ = ["Hit", "Rule"]


@attrs.frozen
class Hit:
    """Say what a rule has found at one place of a file."""

    pointer: str
    """JSON pointer into the file."""
    message: str
    """One sentence without its full stop, names included."""
    fix: str = ""
    """Where the rule's own fix can be said more exactly."""


Look: TypeAlias = Callable[[SchemaSource], Iterator[Hit]]
LookAtDomain: TypeAlias = Callable[[DomainSource], Iterator[Hit]]


@attrs.frozen
class Rule:
    """Describe a rule; it looks at `.avsc` files, at `domain.yaml` files, or at both."""

    id: str
    severity: Severity
    sentence: str
    """What is asked for, and why."""
    fix: str
    schema: Look | None = None
    domain: LookAtDomain | None = None
