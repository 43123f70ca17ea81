"""Committed offsets of many groups: asked again where brokers need a moment, and not where they refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest

from lockgate.connection import Settings
from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable
from lockgate.provisioning import coordinators
from lockgate.provisioning.cluster import Broker
from lockgate.provisioning.coordinators import Coordinators
from lockgate.records import Place

ONE, TWO = Broker(1, "one", 9092), Broker(2, "two", 9092)
AT = {("parcels", 0): 5}

Answers = Mapping[str, Mapping[Place, int] | int]


class Brokers:
    """Stand for two brokers; what they answer to the n-th question about offsets is the test's."""

    def __init__(self, committed: Callable[[int, Sequence[str]], Answers], lost: Iterable[str] = ()) -> None:
        self.committed = committed
        self.lost = set(lost)
        self.asked: list[tuple[int, list[str]]] = []
        self.opened: list[int] = []

    def connect(self, broker: Broker, _: Settings) -> Connection:
        self.opened.append(broker.id)
        return Connection(self, broker)


class Connection:
    def __init__(self, brokers: Brokers, broker: Broker) -> None:
        self.brokers, self.broker = brokers, broker

    def coordinators(self, groups: Sequence[str]) -> dict[str, Broker | int]:
        found: dict[str, Broker | int] = {group: ONE if group < "m" else TWO for group in groups}
        found |= dict.fromkeys(self.brokers.lost & found.keys(), 15)
        self.brokers.lost.clear()
        return found

    def committed(self, groups: Sequence[str]) -> Answers:
        self.brokers.asked.append((self.broker.id, list(groups)))
        return self.brokers.committed(len(self.brokers.asked), groups)

    def close(self) -> None:
        pass


def ask(monkeypatch: pytest.MonkeyPatch, brokers: Brokers, groups: Sequence[str], timeout: float = 5) -> Answers:
    monkeypatch.setattr(coordinators, "BrokerConnection", brokers.connect)
    with Coordinators((ONE, TWO), Settings("unused")) as asking:
        return asking.committed(groups, timeout=timeout)


def test_each_broker_is_asked_once_about_all_of_its_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = Brokers(lambda _, groups: dict.fromkeys(groups, AT))
    groups = [f"{letter}{number}" for letter in "az" for number in range(3)]
    assert ask(monkeypatch, brokers, groups) == dict.fromkeys(groups, AT)
    assert brokers.asked == [(1, ["a0", "a1", "a2"]), (2, ["z0", "z1", "z2"])]
    assert brokers.opened == [1, 2]


def test_many_groups_are_asked_about_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = Brokers(lambda _, groups: dict.fromkeys(groups, AT))
    groups = [f"a{number}" for number in range(450)]
    assert len(ask(monkeypatch, brokers, groups)) == 450
    assert [len(asked) for _, asked in brokers.asked] == [200, 200, 50]


def test_only_what_needs_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def committed(number: int, groups: Sequence[str]) -> Answers:
        return {group: 16 if group == "a1" and number == 1 else AT for group in groups}

    brokers = Brokers(committed, lost=["a2"])
    assert ask(monkeypatch, brokers, ["a0", "a1", "a2"]) == dict.fromkeys(["a0", "a1", "a2"], AT)
    assert brokers.asked == [(1, ["a0", "a1"]), (1, ["a1", "a2"])]


def test_a_broker_that_breaks_off_is_connected_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def committed(number: int, groups: Sequence[str]) -> Answers:
        if number == 1:
            raise ClusterUnavailable("gone")
        return dict.fromkeys(groups, AT)

    brokers = Brokers(committed)
    assert ask(monkeypatch, brokers, ["a0"]) == {"a0": AT}
    assert brokers.opened == [1, 1]


def test_a_refusal_is_told_at_once_with_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = Brokers(lambda _, groups: dict.fromkeys(groups, 30))
    with pytest.raises(ClusterDenied, match="committed offsets of group a0"):
        ask(monkeypatch, brokers, ["a0"])
    assert len(brokers.asked) == 1


def test_what_does_not_pass_is_told_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = Brokers(lambda _, groups: dict.fromkeys(groups, 16))
    with pytest.raises(ClusterError, match="Not coordinator"):
        ask(monkeypatch, brokers, ["a0"], timeout=0.1)
