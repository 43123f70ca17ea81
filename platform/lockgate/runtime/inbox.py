"""The inbox pattern: a table in the user's own database that knows which events a handler has done."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from lockgate import records
from lockgate.errors import UsageError
from lockgate.runtime.context import Context

__all__ = ["Connection", "Cursor", "Inbox"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?", re.ASCII)
_PLACEHOLDERS = {"qmark": "?", "format": "%s", "pyformat": "%s"}
_IDLE = 0
"""libpq's word for a connection that is in no transaction (PQTRANS_IDLE)."""


class Cursor(Protocol):
    """What is asked of a DB-API cursor."""

    @property
    def rowcount(self) -> int:
        """Return how many rows the last statement has changed."""

    def execute(self, operation: Any, parameters: Sequence[Any] = ..., /) -> Any:
        """Run a statement."""

    def close(self) -> Any:
        """Let go of it."""


class Connection(Protocol):
    """What is asked of a DB-API connection (PEP 249)."""

    def cursor(self) -> Cursor:
        """Return a new cursor."""


class Inbox:
    """Remember events in a table beside a handler's own data, in the handler's own transaction.

    Delivery is at least once: an event may come again, after a crash, a rebalance or a replay. What a handler does in
    one database it does once if it enters the event there in the same transaction:

        with connection.transaction():  # psycopg; of sqlite3, `with connection:`
            if inbox.enter(connection, context):
                connection.execute("UPDATE account SET …")

    SQLite and PostgreSQL, through any DB-API module that writes parameters as `?` or `%s`. `table` may name a schema,
    as `billing.inbox`; raise UsageError for what is no plain name.
    """

    def __init__(self, table: str = "lockgate_inbox") -> None:
        if not _NAME.fullmatch(table):
            raise UsageError(
                f"{table!r} is no name for a table", next_step="use letters, digits and _, as lockgate_inbox"
            )
        self._table = table

    def create_table(self, connection: Connection) -> None:
        """Make the table where it is not there yet, in the caller's transaction; it needs no other migration."""
        self._run(
            connection,
            f"CREATE TABLE IF NOT EXISTS {self._table} (workload TEXT NOT NULL, source TEXT NOT NULL, "
            "event_id TEXT NOT NULL, entered_ms BIGINT NOT NULL, PRIMARY KEY (workload, source, event_id))",
        )

    def enter(self, connection: Connection, context: Context) -> bool:
        """Enter the event in hand; return whether it is new: False means that it was done, and committed, before.

        An event is known by its CloudEvents source and id (by its coordinates where it has no id), for each workload
        apart. A second delivery at the same time waits until the first one's transaction has ended. Raise UsageError
        where the connection commits each statement by itself: the entry would outlive a handler that fails behind it.
        """
        if _commits_by_itself(connection):
            raise UsageError(
                "the connection commits each statement by itself, so an event would count as done before it is",
                next_step="begin a transaction first, or turn autocommit off",
            )
        source = (records.header(context.headers, records.CE_SOURCE) or b"").decode("utf-8", "replace")
        sign = _placeholder(connection)
        return (
            self._run(
                connection,
                f"INSERT INTO {self._table} (workload, source, event_id, entered_ms) "  # noqa: S608  # a checked name
                f"VALUES ({sign}, {sign}, {sign}, {sign}) ON CONFLICT DO NOTHING",
                context.workload,
                source,
                context.event_id,
                time.time_ns() // 1_000_000,
            )
            == 1
        )

    def forget(self, connection: Connection, before: datetime) -> int:
        """Delete what was entered before a time (aware); return how many entries that were.

        Keep them for longer than an event can come again: the topic's retention, and 30 days for dead letters.
        """
        if before.tzinfo is None:
            raise UsageError("a time without a time zone says nothing", next_step="use datetime.now(UTC) - …")
        return self._run(
            connection,
            f"DELETE FROM {self._table} WHERE entered_ms < {_placeholder(connection)}",  # noqa: S608  # a checked name
            round(before.timestamp() * 1000),
        )

    def _run(self, connection: Connection, statement: str, *parameters: Any) -> int:
        cursor = connection.cursor()
        try:
            cursor.execute(statement, parameters)
            return cursor.rowcount
        finally:
            cursor.close()


def _placeholder(connection: Connection) -> str:
    """Return how the connection's module writes parameters; raise UsageError where that is another way."""
    package = type(connection).__module__.partition(".")[0]
    style = getattr(sys.modules.get(package), "paramstyle", None)
    if style not in _PLACEHOLDERS:
        raise UsageError(
            f"{package} is no DB-API module that writes parameters as ? or %s (paramstyle {style!r})",
            next_step="pass the connection of sqlite3 or psycopg, not one that wraps it",
        )
    return _PLACEHOLDERS[style]


def _commits_by_itself(connection: Any) -> bool:
    """Tell whether a statement would be committed at once: autocommit, and no transaction begun."""
    if hasattr(connection, "in_transaction"):  # sqlite3
        if connection.in_transaction:
            return False
        return connection.isolation_level is None or getattr(connection, "autocommit", None) is True
    status = getattr(getattr(connection, "info", None), "transaction_status", _IDLE)  # psycopg
    return getattr(connection, "autocommit", False) is True and status == _IDLE
