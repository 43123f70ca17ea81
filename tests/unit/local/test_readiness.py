"""A stack that answers, and whose controller does not yet."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from lockgate.local.identities import ADMIN, Identities
from lockgate.local.readiness import admit_administrator


class Quorum:
    """Stand for an administrator's client: the first requests find no controller."""

    def __init__(self, without_controller: int) -> None:
        self.left = without_controller
        self.made: list[str] = []

    def describe_user_scram_credentials(self, users: list[str], **_: Any) -> dict[str, Future[None]]:
        known = KafkaError(KafkaError.RESOURCE_NOT_FOUND)
        return {users[0]: self._answer(None if self.made else known)}

    def alter_user_scram_credentials(self, changes: list[Any], **_: Any) -> dict[str, Future[None]]:
        future = self._answer(None)
        if future.exception() is None:
            self.made.append(changes[0].user)
        return {changes[0].user: future}

    def list_topics(self, **_: Any) -> Any:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def _answer(self, error: KafkaError | None) -> Future[None]:
        future: Future[None] = Future()
        if self.left:
            self.left -= 1
            error = KafkaError(KafkaError._TIMED_OUT)
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(KafkaException(error))
        return future


@pytest.mark.parametrize("without_controller", [0, 1, 2])
def test_a_controller_that_is_being_elected_is_waited_for(tmp_path: Path, without_controller: int) -> None:
    identities = Identities(tmp_path)
    identities.prepare([("kafka-1", "1")], "registry")
    quorum: Any = Quorum(without_controller)
    admit_administrator(quorum, [], identities)
    assert quorum.made == [ADMIN]
