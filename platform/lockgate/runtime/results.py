"""What handlers return or yield, as a plain list."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping
from typing import Any

__all__ = ["awaited", "collect", "drained", "is_event", "listed"]


def is_event(value: object) -> bool:
    """Tell whether a value can be published: an event object, or `(full name, dict)`."""
    if isinstance(value, tuple):
        return len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], Mapping)  # a pair
    return hasattr(type(value), "__avro_name__") and hasattr(value, "to_avro")


def collect(result: Any, runner: asyncio.Runner) -> list[Any]:
    """Run a handler's coroutine or generator to its end and return its events; raise what the handler raises.

    Raise TypeError for anything that is no event.
    """
    if inspect.isawaitable(result):
        result = runner.run(awaited(result))
    if isinstance(result, AsyncIterable):
        result = runner.run(drained(result))
    return listed(result)


def listed(result: Any) -> list[Any]:
    """Return the events in what a handler returned in the end; raise TypeError for anything that is no event."""
    if result is None:
        return []
    if is_event(result):
        return [result]
    if isinstance(result, Iterable) and not isinstance(result, (str, bytes, Mapping)):
        events = [event for event in result if event is not None]
        for event in events:
            if not is_event(event):
                raise TypeError(f"the handler gave a {type(event).__name__} among its events: {_HELP}")
        return events
    raise TypeError(f"the handler returned a {type(result).__name__}: {_HELP}")


_HELP = "give an event object, or (full name, dict)"


async def awaited(result: Awaitable[Any]) -> Any:
    """Return what a handler's coroutine returns."""
    try:
        return await result
    except asyncio.CancelledError as error:
        # a cancellation that the handler let slip is its failure; nobody else cancels this task
        raise RuntimeError("the handler was cancelled from within") from error


async def drained(result: AsyncIterable[Any]) -> list[Any]:
    """Return what a handler's async generator yields."""
    try:
        return [event async for event in result]
    except asyncio.CancelledError as error:
        raise RuntimeError("the handler was cancelled from within") from error
