"""Log lines: their shape is what people grep for, and no record's content may break it."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from lockgate.errors import SettingsError
from lockgate.runtime.context import Context
from lockgate.runtime.logs import _Bridge, bridge, configure, line, logger_for

CLOCK = r"at=\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def logged(form: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure(stream, {"LOCKGATE_LOG_FORMAT": form, "LOCKGATE_LOG_LEVEL": level})
    return stream


def context() -> Context:
    headers = [("ce_id", b"id-7"), ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
    return Context("orders-consumer", "orders", 3, 1842, b"o-1", headers, 0, attempt=2)


def test_a_line_has_date_level_name_event_and_fields() -> None:
    stream = logged("text")
    context().logger.info("Order received", order="o 1")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \| INFO \| orders-consumer \| Order received \| topic=orders partition=3 offset=1842 "
        r"group=orders-consumer event_id=id-7 attempt=2 trace_id=0af7651916cd43dd8448eb211c80319c "
        rf'order="o 1" {CLOCK}\n',
        stream.getvalue(),
    )


def test_a_line_of_json_holds_the_same() -> None:
    stream = logged("json")
    context().logger.warning("Order received", lines=2)
    written = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written.pop("at"))
    assert written == {
        "level": "warning",
        "logger": "orders-consumer",
        "event": "Order received",
        "topic": "orders",
        "partition": 3,
        "offset": 1842,
        "group": "orders-consumer",
        "event_id": "id-7",
        "attempt": 2,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "lines": 2,
    }


@given(st.text(), st.text())
def test_no_content_starts_a_line_or_a_field_of_its_own(event: str, value: str) -> None:
    text = line(None, "info", {"level": "info", "event": event, "value": value})
    assert text.splitlines() == [text]
    assert text.isprintable()
    shown = re.search(rf" \| value=(.*) {CLOCK}$", text)
    assert shown is not None
    assert (json.loads(shown[1]) if shown[1].startswith('"') else shown[1]) == value


@given(st.text())
def test_no_content_ends_a_line_of_json(value: str) -> None:
    stream = logged("json")
    logger_for("work").info(value, value=value)
    (text,) = stream.getvalue().splitlines()
    assert text.isprintable()
    assert (json.loads(text)["event"], json.loads(text)["value"]) == (value, value)


def test_an_exception_follows_its_line_and_forges_none() -> None:
    stream = logged("text")
    try:
        raise ValueError("broken\n2025-01-10 | INFO | forged\x9b\u2028")
    except ValueError:
        logger_for("work").exception("Failed")
    first, *rest = stream.getvalue().splitlines()
    assert " | ERROR | work | Failed | " in first
    assert rest[0] == "  Traceback (most recent call last):"
    assert rest[-2:] == ["  ValueError: broken", "  2025-01-10 | INFO | forged\\u009b\\u2028"]


def test_what_is_below_the_level_is_left_out() -> None:
    stream = logged("text", "Warning")
    logger_for("work").info("quiet")
    assert stream.getvalue() == ""


def test_a_terminal_gets_text_and_anything_else_json() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, start in ((Terminal(), "2"), (io.StringIO(), "{")):
        configure(stream, {})
        logger_for("work").info("Started")
        assert stream.getvalue().startswith(start)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"LOCKGATE_LOG_FORMAT": "xml"}, "LOCKGATE_LOG_FORMAT is 'xml'; it may be text or json"),
        ({"LOCKGATE_LOG_LEVEL": "loud"}, "LOCKGATE_LOG_LEVEL is 'loud'; it may be debug, info, warning or error"),
    ],
)
def test_words_that_it_does_not_know_are_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        configure(io.StringIO(), environ)


def test_the_client_librarys_lines_join_ours() -> None:
    stream = logged("text")
    bridge("work").log(logging.ERROR, "FAIL [thrd:%s]", "one\ntwo")
    bridge("work").info("left out")
    ignored = (
        "Configuration property group.protocol is a consumer property and will be ignored by this producer instance"
    )
    bridge("work").warning("CONFWARN %s", ignored)
    assert re.search(r'\| ERROR \| work \| Kafka client \| said="FAIL \[thrd:one\\ntwo\]" at=', stream.getvalue())
    assert stream.getvalue().count("\n") == 1


def test_what_the_client_library_says_again_and_again_is_left_out_and_counted() -> None:
    stream, now = logged("json"), 0.0
    logger = logging.Logger("client")
    logger.addHandler(_Bridge("work", {}, lambda: now))
    for millis in range(100):
        now = millis / 10
        logger.error("FAIL [thrd:a:1/bootstrap]: Connection refused (after %dms in state CONNECT)", millis)
        logger.error("FAIL [thrd:b:1/bootstrap]: Connection refused (after %dms in state CONNECT)", millis)
    now = 31
    logger.error("FAIL [thrd:a:1/bootstrap]: Connection refused (after 0ms in state CONNECT)")
    said = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [(text["said"][11:12], text.get("left_out")) for text in said] == [("a", None), ("b", None), ("a", 99)]


def test_no_more_lines_of_the_client_library_are_remembered_than_have_a_point() -> None:
    logged("text")
    handler = _Bridge("work", {})
    for number in range(1000):
        handler.emit(logging.LogRecord("client", logging.ERROR, "", 0, f"line {number}", None, None))
    assert len(handler._said) <= 100
