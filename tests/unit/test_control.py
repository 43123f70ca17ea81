"""What operators ask of workloads: a record that is understood, or that changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.control import ControlState


@given(st.builds(ControlState, st.booleans(), st.text(), st.text(), st.text()))
def test_what_is_written_is_what_is_read(state: ControlState) -> None:
    assert ControlState.decode(state.encode()) == state


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"null",
        b"[]",
        b'"paused"',
        b"{}",
        b'{"paused": true}',
        b'{"paused": "yes", "by": "a", "at": "b"}',
    ],
)
def test_what_is_not_understood_says_nothing(value: bytes | None) -> None:
    assert ControlState.decode(value) is None


@given(st.binary())
def test_no_record_is_a_failure(value: bytes) -> None:
    ControlState.decode(value)
