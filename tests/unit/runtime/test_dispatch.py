"""Handlers and contract have to fit together, and every mistake is told at the start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Optional, Self

import pytest

from lockgate import Context, HandlerError, Service, Tombstone
from lockgate.contracts.model import Contracts, Domain, EventType, Location, Owner, TopicSpec, Workload
from lockgate.contracts.model import Service as DeclaredService
from lockgate.runtime.dispatch import Table, dispatch_table

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore[import-not-found]  # the mistake under test

HERE = Location("service.yaml", 3)
OWNER = Owner("Team", "@team")


class _Event:
    def to_avro(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_avro(cls, _: Any, /) -> Self:
        return cls()


class Made(_Event):
    __avro_name__: ClassVar[str] = "items.Made"


class Gone(_Event):
    __avro_name__: ClassVar[str] = "items.Gone"


class Sent(_Event):
    __avro_name__: ClassVar[str] = "mail.Sent"


class Unlisted(_Event):
    __avro_name__: ClassVar[str] = "items.Unlisted"


def contracts(consumes: tuple[str, ...] = ("items.Made", "items.Gone")) -> Contracts:
    def domain(name: str, *events: str) -> Domain:
        kinds = tuple(EventType(f"{name}.{event}", {"type": "record", "name": event}, HERE) for event in events)
        return Domain(name, OWNER, TopicSpec(name, 1, 1, -1), "id", "FULL", kinds, (), (), HERE)

    work = Workload("work", "service", consumes, ("mail.Sent",), (), HERE)
    other = Workload("other", "service", ("mail.Sent",), (), (), HERE)
    declared = DeclaredService("service", "service", OWNER, (work, other), HERE)
    return Contracts(Path(), (domain("items", "Made", "Gone", "Unlisted"), domain("mail", "Sent")), (declared,))


def table(*handlers: Callable[..., Any], **kinds: Callable[..., Any]) -> Table:
    service = Service("service")
    for handler in handlers:
        service.handler("work")(handler)
    for kind, handler in kinds.items():
        service.handler("work", event_type=f"items.{kind}")(handler)

    @service.handler("other")
    def other(event: Sent) -> None: ...

    return dispatch_table(contracts(), contracts().workload("work"), service)


def both(event: Made | Gone, context: Context) -> None: ...


def test_one_handler_may_take_several_types() -> None:
    found = table(both)
    assert found.events.keys() == {"items.Made", "items.Gone"}
    assert found.tombstone is None
    assert found.events["items.Made"].build == Made.from_avro
    assert found.events["items.Gone"].build == Gone.from_avro
    assert found.events["items.Made"].contextual


def test_each_type_may_have_a_handler_of_its_own_and_tombstones_too() -> None:
    def made(event: Made) -> Sent | None:
        return None

    def gone(event: Optional[Gone] = None) -> None: ...  # noqa: UP045  # the old spelling, with a type that is none
    def dead(event: Tombstone) -> None: ...

    with pytest.raises(HandlerError, match="NoneType, which is no event class"):
        table(made, gone, dead)

    def really_gone(event: Gone) -> Iterator[Sent]:
        yield Sent()

    found = table(made, really_gone, dead)
    assert found.tombstone is not None
    assert found.tombstone.function is dead
    assert not found.events["items.Made"].contextual


def test_a_handler_may_take_plain_dicts() -> None:
    def made(event: dict[str, Any], context: Context) -> None: ...

    found = table(Made=made, Gone=made)
    assert found.events["items.Made"].build is None


def test_the_decorator_returns_the_function_itself() -> None:
    assert Service("s").handler("work")(both) is both


def test_results_may_be_generators_lists_and_coroutines() -> None:
    async def made(event: Made) -> list[Sent]:
        return []

    async def gone(event: Gone) -> AsyncIterator[Sent]:
        yield Sent()

    assert table(made, gone).events.keys() == {"items.Made", "items.Gone"}


def refused(*handlers: Callable[..., Any], **kinds: Callable[..., Any]) -> str:
    with pytest.raises(HandlerError) as caught:
        table(*handlers, **kinds)
    return str(caught.value)


def test_a_listed_type_without_a_handler_is_a_mistake() -> None:
    def made(event: Made) -> None: ...

    assert "work: no handler for items.Gone, which service.yaml:3 lists" in refused(made)


def test_a_handler_for_a_type_that_is_not_listed_is_a_mistake() -> None:
    def unlisted(event: Unlisted) -> None: ...

    assert "work does not consume items.Unlisted; list it under `consumes` in service.yaml:3" in refused(both, unlisted)


def test_a_type_goes_to_one_handler_only() -> None:
    def again(event: Made) -> None: ...
    def dead(event: Tombstone) -> None: ...

    def dead_again(event: Tombstone) -> None: ...

    text = refused(both, again, dead, dead_again)
    assert "items.Made already goes to" in text
    assert "tombstones already goes to" in text


def test_an_annotation_that_is_only_there_for_type_checkers_is_explained() -> None:
    def missing(event: Missing) -> None: ...

    assert "name Missing, which is not there at run time; import it outside of `if TYPE_CHECKING:`" in refused(
        both, missing
    )


def test_an_event_needs_an_annotation_that_is_an_event() -> None:
    def bare(event): ...  # type: ignore[no-untyped-def]  # the mistake under test
    def wrong(event: int) -> None: ...

    text = refused(both, bare, wrong)
    assert "its parameter 'event' needs an annotation" in text
    assert "annotated with int, which is no event class" in text


def test_parameters_that_nobody_gives_are_a_mistake() -> None:
    def many(event: Made, context: Context, more: int) -> None: ...
    def keyword(event: Made, *, more: int) -> None: ...
    def nothing() -> None: ...
    def no_context(event: Made, more: int) -> None: ...

    text = refused(both, many, keyword, nothing, no_context)
    assert text.count("nobody gives it its parameter 'more'") == 2
    assert "its parameter 'more' is no Context" in text
    assert "a handler takes (event) or (event, context)" in text


def test_defaults_are_left_alone() -> None:
    def relaxed(event: Made | Gone, context: Context, more: int = 1, *rest: int, last: int = 2) -> None: ...

    assert table(relaxed).events["items.Made"].contextual


def test_a_result_that_may_not_be_published_is_told_from_its_annotation() -> None:
    def wrong(event: Made) -> Iterator[Gone | None]:
        yield None

    assert "it returns items.Gone, which work does not publish; list it under `publishes`" in refused(both, wrong)


def test_workloads_and_services_that_do_not_exist_are_mistakes() -> None:
    service = Service("other-name")
    service.handler("work")(both)
    service.handler("nope")(both)
    with pytest.raises(HandlerError) as caught:
        dispatch_table(contracts(), contracts().workload("work"), service)
    text = str(caught.value)
    assert "Service('other-name') stands for no service; service.yaml:3 says 'service'" in text
    assert "service has no workload 'nope' (work, other)" in text
    assert "other: no handler for mail.Sent" in text
    assert text.startswith("3 mistakes in the handlers of service:")


def test_a_mistake_names_function_and_line() -> None:
    text = refused(both, lambda _: None)
    assert "<lambda> (line " in text
