"""Requests that change a cluster: in portions that a controller takes, none of them empty."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import attrs
from confluent_kafka.admin import AclBinding
from hypothesis import given
from hypothesis import strategies as st

from lockgate.contracts.derive import Acl, Topic
from lockgate.contracts.model import Location
from lockgate.provisioning.requests import create_acls, create_partitions, create_topics

LIMIT = 10_000
"""Records that Kafka's controller makes for one request at most."""
CONFIG = {"cleanup.policy": "delete", "retention.ms": "1"}


class Client:
    """Take requests, and remember how many records each of them makes."""

    def __init__(self) -> None:
        self.requests: list[int] = []

    def create_topics(self, topics: list[Any], **_: Any) -> dict[str, Future[None]]:
        self.requests.append(sum(1 + topic.num_partitions + len(topic.config or {}) for topic in topics))
        return {topic.topic: Future() for topic in topics}

    def create_partitions(self, topics: list[Any], **_: Any) -> dict[str, Future[None]]:
        self.requests.append(sum(topic.new_total_count for topic in topics))
        return {topic.topic: Future() for topic in topics}

    def create_acls(self, acls: list[AclBinding]) -> dict[AclBinding, Future[None]]:
        self.requests.append(len(acls))
        return {acl: Future() for acl in acls}


@attrs.define
class Cluster:
    client: Client = attrs.field(factory=Client)
    timeout: float = 30.0


def topics(partitions: list[int]) -> list[Topic]:
    return [
        Topic(f"t{number}", "domain", count, 3, CONFIG, "d", None, None, Location("f", 1))
        for number, count in enumerate(partitions)
    ]


@given(st.lists(st.integers(1, 4_000), max_size=20))
def test_no_request_for_topics_is_larger_than_a_controller_takes(partitions: list[int]) -> None:
    cluster: Any = Cluster()
    assert list(create_topics(cluster, topics(partitions))) == [f"t{number}" for number in range(len(partitions))]
    assert all(0 < records <= LIMIT for records in cluster.client.requests)
    assert len(cluster.client.requests) <= 1 + sum(partitions) // 500


@given(st.lists(st.integers(1, 4_000), max_size=20))
def test_no_request_for_partitions_is_larger_than_a_controller_takes(totals: list[int]) -> None:
    cluster: Any = Cluster()
    wanted = {f"t{number}": total for number, total in enumerate(totals)}
    assert create_partitions(cluster, wanted).keys() == wanted.keys()
    assert all(0 < records <= LIMIT for records in cluster.client.requests)


def test_rights_are_granted_in_portions() -> None:
    cluster: Any = Cluster()
    assert len(create_acls(cluster, [Acl("tracker", "TOPIC", f"t{n}", "READ") for n in range(12_000)])) == 12_000
    assert cluster.client.requests == [5_000, 5_000, 2_000]


def test_what_is_too_large_by_itself_is_left_to_the_brokers_to_refuse() -> None:
    cluster: Any = Cluster()
    create_topics(cluster, topics([3, 20_000, 3]))
    assert cluster.client.requests == [6, 20_003, 6]


def test_nothing_to_do_is_no_request() -> None:
    cluster: Any = Cluster()
    assert create_topics(cluster, []) == {}
    assert create_acls(cluster, []) == {}
    assert cluster.client.requests == []
