"""What a handler gives becomes a list, and only after it has finished."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest

from lockgate.runtime.results import collect


class Sent:
    __avro_name__: ClassVar[str] = "mail.Sent"

    def to_avro(self) -> dict[str, Any]:
        return {}


ONE, TWO, PAIR = Sent(), Sent(), ("mail.Sent", {"id": "1"})


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as found:
        yield found


async def _coroutine(result: Any) -> Any:
    await asyncio.sleep(0)
    return result


def _generator() -> Iterator[Sent | None]:
    yield ONE
    yield None
    yield TWO


async def _agenerator() -> AsyncIterator[Sent]:
    yield ONE
    await asyncio.sleep(0)
    yield TWO


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: None, []),
        (lambda: ONE, [ONE]),
        (lambda: PAIR, [PAIR]),
        (lambda: [ONE, PAIR], [ONE, PAIR]),
        (lambda: (ONE, TWO), [ONE, TWO]),
        (list, []),
        (_generator, [ONE, TWO]),
        (_agenerator, [ONE, TWO]),
        (lambda: _coroutine(None), []),
        (lambda: _coroutine(ONE), [ONE]),
        (lambda: _coroutine([PAIR]), [PAIR]),
        (lambda: _coroutine(_generator()), [ONE, TWO]),
    ],
)
def test_every_form_of_result_becomes_a_list(make: Any, expected: list[Any], runner: asyncio.Runner) -> None:
    assert collect(make(), runner) == expected


@pytest.mark.parametrize("result", [1, "text", b"bytes", {"id": "1"}, ["mail.Sent"], [{"id": "1"}], Sent])
def test_what_is_no_event_is_a_type_error(result: Any, runner: asyncio.Runner) -> None:
    with pytest.raises(TypeError, match=r"give an event object, or \(full name, dict\)"):
        collect(result, runner)


def test_a_generator_that_fails_gives_nothing(runner: asyncio.Runner) -> None:
    def failing() -> Iterator[Sent]:
        yield ONE
        raise LookupError("late")

    with pytest.raises(LookupError, match="late"):
        collect(failing(), runner)


def test_a_cancellation_that_a_handler_lets_slip_is_its_failure(runner: asyncio.Runner) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def cancelled_between() -> AsyncIterator[Sent]:
        yield ONE
        raise asyncio.CancelledError

    for result in (cancelled(), cancelled_between()):
        with pytest.raises(RuntimeError, match="cancelled from within"):
            collect(result, runner)


def test_what_ends_the_process_is_let_through(runner: asyncio.Runner) -> None:
    def leaving() -> Iterator[Sent]:
        raise SystemExit(3)
        yield ONE

    with pytest.raises(SystemExit):
        collect(leaving(), runner)
