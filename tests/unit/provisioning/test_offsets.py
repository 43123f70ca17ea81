from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, cast

import attrs
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from lockgate.errors import ClusterError
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.offsets import GroupOffsets


@attrs.frozen
class End:
    offset: int


class Brokers:
    """Answer requests for offsets with errors first, and with 7 once the client has asked for the leaders anew."""

    servers = "a:1"

    def __init__(self, *errors: int) -> None:
        self._errors = list(errors)
        self.client = self

    def metadata(self) -> None:
        del self._errors[:1]

    def list_offsets(self, wanted: Mapping[TopicPartition, object], **_: object) -> dict[TopicPartition, Future[Any]]:
        answer: Future[Any] = Future()
        if self._errors:
            answer.set_exception(KafkaException(KafkaError(self._errors[0])))
        else:
            answer.set_result(End(7))
        return dict.fromkeys(wanted, answer)


def test_while_leaders_move_offsets_are_asked_for_again() -> None:
    moving = Brokers(
        KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH, KafkaError.NOT_LEADER_FOR_PARTITION
    )
    assert GroupOffsets(cast(Cluster, moving)).positions([("parcels", 0)], "latest") == {("parcels", 0): 7}


def test_what_does_not_pass_is_an_error() -> None:
    with pytest.raises(ClusterError, match="a request for offsets of parcels-0"):
        GroupOffsets(cast(Cluster, Brokers(KafkaError.INVALID_REQUEST))).positions([("parcels", 0)], "latest")
