"""Settings of Kafka clients: what a deployment gives goes before what Lockgate would choose."""

from __future__ import annotations

from typing import Any

import pytest

from lockgate.connection import Settings
from lockgate.errors import SettingsError
from lockgate.runtime.clients import connect_consumer, connect_control, connect_producer


def quiet(*_: object) -> None: ...


@pytest.mark.parametrize("connect", [connect_consumer, connect_control, connect_producer])
def test_the_longest_wait_before_a_connection_may_be_shorter_than_the_first_one_usually_is(connect: Any) -> None:
    connect(Settings("localhost:1", kafka={"reconnect.backoff.max.ms": "200", "log_level": "0"}), "work", quiet)


def test_what_the_client_does_not_take_is_told() -> None:
    with pytest.raises(SettingsError, match="reconnect"):
        connect_consumer(Settings("localhost:1", kafka={"reconnect.backoff.max.ms": "soon"}), "work", quiet)
