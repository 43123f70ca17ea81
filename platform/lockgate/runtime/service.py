"""A service: the handlers of its workloads, registered by decorator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

__all__ = ["Registration", "Service"]

_F = TypeVar("_F", bound=Callable[..., Any])


@attrs.frozen
class Registration:
    """Hold one use of the decorator, unchecked: the contracts are not known yet."""

    workload: str
    function: Callable[..., Any]
    event_type: str | None


class Service:
    """Collect the handlers of one service; `name` is the one in its `service.yaml`.

    `lockgate run` imports `services.<folder>.handlers` and takes the `Service` it finds there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.registrations: list[Registration] = []

    def __repr__(self) -> str:
        return f"Service({self.name!r})"

    def handler(self, workload: str, *, event_type: str | None = None) -> Callable[[_F], _F]:
        """Register a function for the events of a workload, and return the function as it is.

        Its first parameter's annotation says which events it takes: a generated class, a union of several, or
        Tombstone. With `event_type` (a full name, `orders.OrderPlaced`) it takes that event as a plain dict instead.
        The second parameter, if there is one, is the Context. What the function returns or yields is published after
        it has finished: an event, `(full name, dict)`, or an iterable of them; None publishes nothing.

        It may be a coroutine function or an (async) generator. It may raise Reject to dead-letter the event at once;
        any other exception sends the event through the workload's retry topics.
        """

        def register(function: _F) -> _F:
            self.registrations.append(Registration(workload, function, event_type))
            return function

        return register
