"""The inbox on SQLite: what a handler does in its own database it does once, however often an event comes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lockgate import Context, Inbox, Service, UsageError
from lockgate.testing import Kit
from tests.projects import write_project

COOK = "kitchen-service.garden"
PEA = ("garden.Planted", {"bed": "b-1", "plant": "PEA", "price": {"cents": 5}})


def context(event_id: str = "e-1", *, workload: str = "work", source: str = "shop", offset: int = 0) -> Context:
    headers = (("ce_id", event_id.encode()), ("ce_source", source.encode())) if event_id else ()
    return Context(workload, "topic", 0, offset, b"k", headers, 0)


@pytest.fixture
def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    with connection:
        Inbox().create_table(connection)
        Inbox().create_table(connection)  # as every start of a service does
    return connection


def enter(database: sqlite3.Connection, which: Context) -> bool:
    with database:
        return Inbox().enter(database, which)


def test_an_event_is_new_once(database: sqlite3.Connection) -> None:
    assert [enter(database, context()) for _ in range(3)] == [True, False, False]


def test_events_are_told_apart_by_workload_source_and_id(database: sqlite3.Connection) -> None:
    others = [context(), context("e-2"), context(workload="other"), context(source="market")]
    assert [enter(database, other) for other in others] == [True] * 4
    assert not enter(database, context(offset=7))  # the same event in another place: its producer has sent it twice


def test_an_event_without_an_id_is_known_by_its_coordinates(database: sqlite3.Connection) -> None:
    assert [enter(database, context("", offset=offset)) for offset in (1, 1, 2)] == [True, False, True]


def test_what_is_rolled_back_was_never_entered(database: sqlite3.Connection) -> None:
    assert Inbox().enter(database, context())
    database.rollback()  # as `with connection:` does where the handler fails behind the entry
    assert enter(database, context())


def test_a_connection_that_commits_by_itself_is_refused_unless_a_transaction_has_begun() -> None:
    database = sqlite3.connect(":memory:", isolation_level=None)
    Inbox().create_table(database)
    with pytest.raises(UsageError, match="commits each statement by itself"):
        Inbox().enter(database, context())
    database.execute("BEGIN")
    assert Inbox().enter(database, context())
    database.rollback()


def test_old_entries_are_forgotten_and_younger_ones_are_not(database: sqlite3.Connection) -> None:
    enter(database, context())
    now = datetime.now(UTC)
    assert Inbox().forget(database, now - timedelta(hours=1)) == 0
    assert not enter(database, context())
    assert Inbox().forget(database, now + timedelta(hours=1)) == 1
    assert enter(database, context())
    with pytest.raises(UsageError, match="without a time zone"):
        Inbox().forget(database, datetime(2025, 1, 1))  # the mistake


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a b", "x; DROP TABLE y", "a.b.c", "ä"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a table"):
        Inbox(name)


def test_a_table_may_have_a_name_and_a_schema_of_its_own() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("ATTACH ':memory:' AS billing")
    inbox = Inbox("billing.done")
    with database:
        inbox.create_table(database)
        assert inbox.enter(database, context())
    assert database.execute("SELECT count(*) FROM billing.done").fetchone() == (1,)


def test_a_connection_that_is_no_database_is_refused() -> None:
    class Other:
        def cursor(self) -> Any: ...

    with pytest.raises(UsageError, match="no DB-API module"):
        Inbox().enter(Other(), context())


def test_a_handler_that_dies_between_its_commit_and_its_result_does_the_work_once(tmp_path: Path) -> None:
    """On the loop itself: the event comes again, the account is charged once, the result is published all the same."""
    kit = Kit(write_project(tmp_path))
    database = sqlite3.connect(":memory:")
    inbox = Inbox()
    inbox.create_table(database)
    database.execute("CREATE TABLE account (charged INTEGER)")
    database.commit()
    dying = [True]
    service = Service("kitchen-service")

    @service.handler(COOK, event_type="garden.Planted")
    def charge(event: Mapping[str, Any], context: Context) -> tuple[str, dict[str, Any]]:
        with database:
            if inbox.enter(database, context):
                database.execute("INSERT INTO account VALUES (?)", (event["price"]["cents"],))
        if dying:
            dying.clear()
            raise SystemExit("killed behind the commit")
        return "kitchen.Cooked", {"dish": event["bed"]}

    @service.handler(COOK, event_type="garden.Watered")
    def water(event: Mapping[str, Any]) -> None: ...

    @service.handler("kitchen-service", event_type="kitchen.Cooked")
    def serve(event: Mapping[str, Any]) -> None: ...

    kit.send(PEA, event_id="e-1")
    with pytest.raises(SystemExit):
        kit.run(COOK, service=service)
    kit.send(PEA, event_id="e-1")  # and its producer sends it a second time
    outcome = kit.run(COOK, service=service)
    assert database.execute("SELECT sum(charged), count(*) FROM account").fetchone() == (5, 1)
    assert outcome.handled == 2
    assert len({result.event_id for result in outcome.published}) == 1  # a repetition that its readers recognise
