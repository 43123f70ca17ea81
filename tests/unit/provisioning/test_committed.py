"""What groups have committed: by requests to their coordinators, or one by one where only the client can log in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

import attrs
import pytest

from lockgate.connection import Settings
from lockgate.provisioning import offsets
from lockgate.provisioning.cluster import Broker
from lockgate.provisioning.offsets import GroupOffsets
from lockgate.records import Place

HERE, THERE = ("parcels", 0), ("letters", 0)


@attrs.define
class Cluster:
    settings: Settings
    client: Any = None
    servers: str = "unused"

    def brokers(self) -> tuple[Broker, ...]:
        return (Broker(1, "one", 9092),)


class Asked:
    """Stand for both ways to ask, and remember what was asked."""

    def __init__(self, *_: Any) -> None:
        self.groups: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def committed(self, groups: Iterable[str], *, timeout: float) -> dict[str, Mapping[Place, int]]:  # noqa: ARG002  # as the real one
        return {group: {HERE: 5, THERE: 7} for group in groups}

    def each(self, wanted: Mapping[str, Collection[Place]], *, timeout: float) -> dict[str, dict[Place, int]]:  # noqa: ARG002  # as the real one
        return {group: dict.fromkeys(places, 3) for group, places in wanted.items()}


def committed(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> dict[str, dict[Place, int]]:
    monkeypatch.setattr(offsets, "Coordinators", Asked)
    monkeypatch.setattr(offsets, "Committed", Asked)
    cluster: Any = Cluster(settings)
    return GroupOffsets(cluster).committed({"tracker": [HERE], "sorter": []})


def test_only_the_places_that_were_asked_for_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert committed(monkeypatch, Settings("unused")) == {"tracker": {HERE: 5}, "sorter": {}}


def test_an_administrator_who_logs_in_by_the_clients_own_way_asks_group_by_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings("unused", kafka={"sasl.mechanism": "OAUTHBEARER"})
    assert committed(monkeypatch, settings) == {"tracker": {HERE: 3}, "sorter": {}}
