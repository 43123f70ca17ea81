"""The error tree."""

from __future__ import annotations

import inspect

import pytest

from lockgate import errors
from lockgate.errors import ContractsError, EventError, LockgateError, Problem, Reject

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, Exception) and value.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_tree_that_the_docstring_draws(kind: type[Exception]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__name__ in errors.__all__


def test_a_reject_is_a_decision_and_no_failure_of_lockgate() -> None:
    assert not issubclass(Reject, LockgateError)
    assert Reject("unknown currency").reason == "unknown currency"


def test_several_mistakes_are_reported_together_in_the_order_of_the_files() -> None:
    error = ContractsError([Problem("b.yaml", 2, "two"), Problem("a.yaml", 10, "ten"), Problem("a.yaml", 9, "nine")])
    assert str(error) == "3 mistakes in the contracts:\n  a.yaml:9: nine\n  a.yaml:10: ten\n  b.yaml:2: two"


def test_a_mistake_says_what_to_do_next_where_that_is_known() -> None:
    assert str(Problem("a.yaml", 1, "no such field: owners", "did you mean owner?")) == (
        "a.yaml:1: no such field: owners (did you mean owner?)"
    )


def test_an_event_error_names_the_field_what_was_expected_and_what_was_there() -> None:
    assert str(EventError("a.Made", "lines[2].size", "int", "str 'x'")) == (
        "a.Made at lines[2].size: expected int, got str 'x'"
    )
