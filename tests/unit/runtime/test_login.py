"""A refused login is believed only at the start; a changed password is taken up without a restart."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from lockgate import ClusterDenied
from lockgate.runtime.login import Login
from lockgate.runtime.patience import Patience
from lockgate.runtime.project import identity

REFUSED = KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error")


class Client:
    """Stand in for a Kafka client."""

    def __init__(self) -> None:
        self.credentials: list[tuple[str, str]] = []

    def set_sasl_credentials(self, username: str, password: str) -> None:
        self.credentials.append((username, password))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "password"
    file.write_text("old\n")
    for name, value in {
        "LOCKGATE_BOOTSTRAP_SERVERS": "localhost:1",
        "LOCKGATE_USERNAME": "work",
        "LOCKGATE_PASSWORD_FILE": str(file),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LOCKGATE_PASSWORD", raising=False)
    return file


def login(root: Path, patience: Patience) -> tuple[Login, Client]:
    found = Login("work", root, identity("work", root), patience)
    client = Client()
    assert found.watch(client, "producer") is client  # type: ignore[type-var]  # a stand-in
    return found, client


def test_a_rotated_password_file_is_taken_up(secret: Path, tmp_path: Path) -> None:
    one, client = login(tmp_path, Patience())
    one.trusted = True
    one.on_error(REFUSED)
    assert client.credentials == []
    secret.write_text("s3cret\n")
    with capture_logs() as lines:
        one.on_error(REFUSED)
        one.on_error(REFUSED)
    assert client.credentials == [("work", "s3cret")]
    assert "s3cret" not in str(lines)


def test_a_client_that_is_made_after_a_rotation_gets_the_new_password(secret: Path, tmp_path: Path) -> None:
    one, _ = login(tmp_path, Patience())
    one.trusted = True
    secret.write_text("s3cret\n")
    one.on_error(REFUSED)
    late = Client()
    one.watch(late, "consumer")  # type: ignore[type-var]  # a stand-in
    assert late.credentials == [("work", "s3cret")]


def test_a_client_is_let_go_when_another_takes_its_place(secret: Path, tmp_path: Path) -> None:
    one, first = login(tmp_path, Patience())
    gone = weakref.ref(first)
    second = Client()
    one.watch(second, "producer")  # type: ignore[type-var]  # a stand-in
    del first
    assert gone() is None, "its connections and threads would stay as long as the process"
    secret.write_text("s3cret\n")
    one.on_error(REFUSED)
    assert second.credentials == [("work", "s3cret")]


def test_a_program_without_patience_takes_it_up_as_well(secret: Path, tmp_path: Path) -> None:
    one, client = Login("work", tmp_path, identity("work", tmp_path)), Client()
    one.watch(client, "producer")  # type: ignore[type-var]  # a stand-in
    secret.write_text("s3cret\n")
    one.on_error(REFUSED)
    assert client.credentials == [("work", "s3cret")]


def test_a_password_file_that_is_being_replaced_ends_nothing(secret: Path, tmp_path: Path) -> None:
    one, client = login(tmp_path, Patience())
    secret.unlink()
    one.on_error(REFUSED)
    assert client.credentials == []


def test_a_login_that_is_refused_at_the_start_is_believed_after_a_while(secret: Path, tmp_path: Path) -> None:
    clock = Clock()
    patience = Patience(30, clock)
    one, _ = login(tmp_path, patience)
    one.on_error(REFUSED)
    patience.check()
    clock.now = 10
    with pytest.raises(ClusterDenied, match="refused to authenticate work"):
        patience.check()


def test_a_login_that_is_refused_later_ends_nothing(secret: Path, tmp_path: Path) -> None:
    patience = Patience(0)
    one, _ = login(tmp_path, patience)
    one.trusted = True
    one.on_error(REFUSED)
    patience.check()


def test_a_broker_that_is_away_is_no_refused_login(secret: Path, tmp_path: Path) -> None:
    patience = Patience(0)
    one, client = login(tmp_path, patience)
    with capture_logs() as lines:
        one.on_error(KafkaError(KafkaError._TRANSPORT))
        one.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    patience.check()
    assert client.credentials == []
    assert len(lines) == 1


def test_that_no_broker_can_be_reached_is_not_said_at_every_attempt(secret: Path, tmp_path: Path) -> None:
    one, _ = login(tmp_path, Patience())
    with capture_logs() as lines:
        for _ in range(5):
            one.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert [line["event"] for line in lines] == ["The Kafka client reports"]
