"""From registered handlers to a table by event type, checked against the contracts before anything runs."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from lockgate.contracts.model import Contracts, Workload
from lockgate.errors import HandlerError
from lockgate.runtime.context import Context, Tombstone
from lockgate.runtime.service import Registration, Service

__all__ = ["Handler", "Table", "dispatch_table"]

_PARAMETERS = 2
_SIGNATURE = "a handler takes (event) or (event, context)"


@attrs.frozen
class Handler:
    """Hold what the record path needs to call a handler."""

    function: Callable[..., Any]
    build: Callable[[dict[str, Any]], Any] | None
    """Makes the event object of a decoded datum; None where the handler takes the dict."""
    contextual: bool
    """Whether the function takes a Context as its second argument."""


@attrs.frozen
class Table:
    """Hold the handlers of one workload."""

    events: Mapping[str, Handler]
    """By the event type's full name; exactly the types that the contract lists."""
    tombstone: Handler | None


def dispatch_table(contracts: Contracts, workload: Workload, service: Service) -> Table:
    """Return the handlers of a workload; raise HandlerError with every mistake in all of the service's handlers."""
    declared = contracts.service(workload.service)
    mistakes = []
    if service.name != declared.name:
        mistakes.append(f"Service({service.name!r}) stands for no service; {declared.location} says {declared.name!r}")
    tables = {}
    for other in declared.workloads:
        own = [registration for registration in service.registrations if registration.workload == other.name]
        tables[other.name] = _table(contracts, other, own, mistakes)
    for registration in service.registrations:
        if registration.workload not in tables:
            known = ", ".join(tables)
            mistakes.append(
                f"{_name(registration)}: {declared.name} has no workload {registration.workload!r} ({known})"
            )
    if mistakes:
        listing = "\n".join(f"  {mistake}" for mistake in mistakes)
        noun = "mistake" if len(mistakes) == 1 else "mistakes"
        raise HandlerError(f"{len(mistakes)} {noun} in the handlers of {declared.name}:\n{listing}")
    return tables[workload.name]


def _table(contracts: Contracts, workload: Workload, registrations: list[Registration], mistakes: list[str]) -> Table:
    events: dict[str, tuple[Registration, Handler]] = {}
    tombstone: tuple[Registration, Handler] | None = None
    broken = False
    for registration in registrations:
        try:
            handlers = dict(_handlers(contracts, workload, registration))
        except HandlerError as error:
            mistakes.append(f"{_name(registration)}: {error}")
            broken = True
            continue
        for event_type, handler in handlers.items():
            earlier = tombstone if event_type is None else events.get(event_type)
            if earlier is not None:
                what = "tombstones" if event_type is None else event_type
                mistakes.append(f"{_name(registration)}: {what} already goes to {_name(earlier[0])}")
            elif event_type is None:
                tombstone = (registration, handler)
            elif event_type not in workload.consumes:
                mistakes.append(
                    f"{_name(registration)}: {workload.name} does not consume {event_type}; "
                    f"list it under `consumes` in {workload.location}"
                )
            else:
                events[event_type] = (registration, handler)
    if not broken:  # a handler that could not be read may be the missing one
        mistakes.extend(
            f"{workload.name}: no handler for {event_type}, which {workload.location} lists under `consumes`"
            for event_type in workload.consumes
            if event_type not in events
        )
    return Table({event_type: handler for event_type, (_, handler) in events.items()}, tombstone and tombstone[1])


def _handlers(
    contracts: Contracts, workload: Workload, registration: Registration
) -> Iterator[tuple[str | None, Handler]]:
    """Yield event types (None for tombstones) with their handler; raise HandlerError for what makes no sense."""
    function = registration.function
    parameters = _parameters(function)
    try:
        hints = typing.get_type_hints(inspect.unwrap(function))
    except NameError as error:
        raise HandlerError(
            f"its annotations name {error.name}, which is not there at run time; "
            "import it outside of `if TYPE_CHECKING:`"
        ) from error
    except Exception as error:  # a class body or a default may run anything while annotations are evaluated
        raise HandlerError(f"its annotations cannot be evaluated: {error}") from error
    _check_results(contracts, workload, hints.get("return"))
    contextual = len(parameters) == _PARAMETERS
    if contextual and hints.get(parameters[1], Context) is not Context:
        raise HandlerError(f"its parameter {parameters[1]!r} is no Context: {_SIGNATURE}")
    if registration.event_type is not None:
        yield registration.event_type, Handler(function, None, contextual)
        return
    annotation = hints.get(parameters[0])
    if annotation is None:
        raise HandlerError(f"its parameter {parameters[0]!r} needs an annotation: an event class, or Tombstone")
    for choice in _choices(annotation):
        if choice is Tombstone:
            yield None, Handler(function, None, contextual)
        elif _event_name(choice) is not None:
            yield _event_name(choice), Handler(function, choice.from_avro, contextual)
        else:
            raise HandlerError(
                f"its parameter {parameters[0]!r} is annotated with {_shown(choice)}, which is no event class; "
                "take a generated class, or a dict together with event_type=…"
            )


def _parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of the one or two parameters that a handler is called with."""
    names: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        optional = parameter.default is not inspect.Parameter.empty
        if parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
            if len(names) < _PARAMETERS:
                names.append(parameter.name)
                continue
        elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue  # *args and **kwargs take nothing
        if not optional:
            raise HandlerError(f"nobody gives it its parameter {parameter.name!r}: {_SIGNATURE}")
    if not names:
        raise HandlerError(_SIGNATURE)
    return names


def _check_results(contracts: Contracts, workload: Workload, annotation: Any) -> None:
    """Refuse an annotated result that the workload may not publish; what is not annotated is checked when published."""
    for name in _events_in(annotation):
        if name not in workload.publishes:
            known = "" if name in contracts.events else ", and no domain promises it"
            raise HandlerError(
                f"it returns {name}, which {workload.name} does not publish{known}; "
                f"list it under `publishes` in {workload.location}"
            )


def _events_in(annotation: Any) -> Iterator[str]:
    name = _event_name(annotation)
    if name is not None:
        yield name
    for argument in typing.get_args(annotation):
        yield from _events_in(argument)


def _choices(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _choices(argument)
    else:
        yield annotation


def _event_name(annotation: Any) -> str | None:
    name = getattr(annotation, "__avro_name__", None) if isinstance(annotation, type) else None
    return name if isinstance(name, str) and hasattr(annotation, "from_avro") else None


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _name(registration: Registration) -> str:
    function = inspect.unwrap(registration.function)
    name = getattr(function, "__qualname__", repr(function))
    code = getattr(function, "__code__", None)
    module = getattr(function, "__module__", "?")
    return f"{module}.{name}" + (f" (line {code.co_firstlineno})" if code is not None else "")
