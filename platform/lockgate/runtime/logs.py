"""Log lines: readable ones on a terminal, JSON elsewhere."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

from lockgate.errors import SettingsError
from lockgate.records import Place

__all__ = ["bridge", "configure", "line", "logger_for", "partitions_text"]

_FORMATS = ("text", "json")
_SAID_AGAIN = 30.0
"""Seconds after which a Kafka client's line may be repeated."""
_MOST_SAID = 100
"""Different lines of a Kafka client that are remembered."""


def configure(stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
    """Set structlog up for this process: text on a terminal, JSON otherwise, or what `LOCKGATE_LOG_FORMAT` says.

    Logs go to standard error. `LOCKGATE_LOG_LEVEL` (default `info`) leaves out what is below. Raise SettingsError for
    words that neither knows.
    """
    stream = sys.stderr if stream is None else stream
    environ = os.environ if environ is None else environ
    form = environ.get("LOCKGATE_LOG_FORMAT") or ("text" if stream.isatty() else "json")
    if form not in _FORMATS:
        raise SettingsError(f"LOCKGATE_LOG_FORMAT is {form!r}; it may be {' or '.join(_FORMATS)}")
    level = environ.get("LOCKGATE_LOG_LEVEL") or "info"
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise SettingsError(f"LOCKGATE_LOG_LEVEL is {level!r}; it may be debug, info, warning or error")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            line if form == "text" else _json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def logger_for(name: str, **bound: object) -> Any:
    """Return a logger whose lines stand under a workload's or a service's name."""
    return structlog.get_logger().bind(logger=name, **bound)


def line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """Render `2025-01-10 | INFO | orders-consumer | Order received | topic=… partition=… at=14:03:22.123Z`."""
    now = datetime.now(UTC)
    exception = event.pop("exception", None)
    level = str(event.pop("level", "info")).upper()
    head = [f"{now:%Y-%m-%d}", level, str(event.pop("logger", "lockgate")), _text(event.pop("event", ""))]
    fields = [f"{name}={_value(value)}" for name, value in event.items()]
    fields.append(f"at={now:%H:%M:%S}.{now.microsecond // 1000:03d}Z")
    text = " | ".join([*head, " ".join(fields)])
    if exception is None:
        return text
    # indented: what an exception says may look like a log line, but never begins where one does
    return "\n".join([text, *(f"  {_plain(part)}" for part in str(exception).split("\n"))])


def _json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"at": now, "level": event.pop("level", "info"), "logger": event.pop("logger", "lockgate")}
    return _plain(json.dumps(head | {"event": event.pop("event", "")} | dict(event), default=str, ensure_ascii=False))


def _text(value: object) -> str:
    """Keep a record's content from starting a line of its own."""
    text = str(value)
    return text if text.isprintable() else _quoted(text)


def _value(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and text and not any(mark in text for mark in ' "=|\\')
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    return _plain(json.dumps(text, ensure_ascii=False))


def _plain(text: str) -> str:
    """Write as JSON does what a terminal could obey or take for the end of a line: control characters of any kind."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


_FOR_ANOTHER_CLIENT = "property and will be ignored by this"
"""What a client says of each setting that is the other kind's: a process gives its settings to all that it has."""


class _Bridge(logging.Handler):
    """Hand what librdkafka says on to structlog.

    While all brokers are away it begins anew with all of them again and again, and forgets what it has said of them:
    some twenty lines a second, for as long as that lasts.
    """

    def __init__(self, name: str, bound: Mapping[str, object], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._name = name
        self._bound = bound
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}  # when, and how often since then

    def emit(self, record: logging.LogRecord) -> None:
        """Log one line of the client library's, unless it has said so lately."""
        text = record.getMessage()
        if _FOR_ANOTHER_CLIENT in text:
            return
        what = text.partition(" (after ")[0]  # behind it: how long that took
        now = self._clock()
        at, left_out = self._said.get(what, (float("-inf"), 0))
        if now - at < _SAID_AGAIN:
            self._said[what] = (at, left_out + 1)
            return
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said[what] = (now, 0)
        again = {"left_out": left_out} if left_out else {}
        logger_for(self._name, **self._bound).log(record.levelno, "Kafka client", said=text, **again)


def bridge(name: str, **bound: object) -> logging.Logger:
    """Return the logger to give to a Kafka client, so that its lines join ours under a workload's name.

    `bound` is what every line tells.
    """
    logger = logging.Logger(f"lockgate.kafka.{name}", logging.WARNING)  # not in the global tree
    logger.addHandler(_Bridge(name, bound))
    return logger


def partitions_text(places: Iterable[Place]) -> str:
    """Return partitions by topic, runs of numbers joined: `orders:0-2,5`."""
    numbers: dict[str, list[int]] = {}
    for topic, number in sorted(places):
        numbers.setdefault(topic, []).append(number)
    return " ".join(f"{topic}:{_runs(found)}" for topic, found in numbers.items()) or "none"


def _runs(numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)
