"""What a handler learns about a record."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest
import structlog

from lockgate import Context

CONTEXT = Context("work", "items", 2, 40, b"k", (("ce_id", b"e1"),), 1_736_500_000_123)
TRACE = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


def test_a_context_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        CONTEXT.offset = 41  # type: ignore[misc]  # the mistake under test


def test_the_time_is_utc_to_the_millisecond() -> None:
    assert CONTEXT.timestamp == datetime(2025, 1, 10, 9, 6, 40, 123_000, tzinfo=UTC)


def test_an_event_without_an_id_is_known_by_its_coordinates() -> None:
    assert CONTEXT.event_id == "e1"
    assert attrs.evolve(CONTEXT, headers=()).event_id == "items-2@40"
    assert attrs.evolve(CONTEXT, headers=(("ce_id", None),)).event_id == "items-2@40"
    assert attrs.evolve(CONTEXT, headers=(("ce_id", b"\xff"),)).event_id == "\ufffd"


def test_the_trace_id_is_there_where_the_record_has_one() -> None:
    assert CONTEXT.trace_id is None
    assert attrs.evolve(CONTEXT, headers=(TRACE,)).trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_logger_names_the_record() -> None:
    with structlog.testing.capture_logs() as lines:
        CONTEXT.logger.info("Order received", order="o-1")
        attrs.evolve(CONTEXT, headers=(TRACE,), replay=1, attempt=3).logger.warning("Again")
    first, again = lines
    assert first == {
        "logger": "work", "log_level": "info", "event": "Order received", "order": "o-1", "topic": "items",
        "partition": 2, "offset": 40, "group": "work", "event_id": "e1", "attempt": 1,
    }  # fmt: skip
    assert (again["replay"], again["attempt"], again["trace_id"]) == (1, 3, "4bf92f3577b34da6a3ce929d0e0e4736")
