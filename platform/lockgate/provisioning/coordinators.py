"""What many consumer groups have committed, asked over one connection to each of their coordinators."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self, TypeVar

from confluent_kafka import KafkaError

from lockgate.connection import Settings
from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable
from lockgate.provisioning.cluster import Broker
from lockgate.provisioning.failures import PASSING, cluster_error
from lockgate.provisioning.wire import BrokerConnection
from lockgate.records import Place

__all__ = ["Coordinators"]

_T = TypeVar("_T")

_AT_ONCE: Final = 200
"""Groups in one request: an offset of a group that keeps order can have 4 KiB beside it."""


class Coordinators:
    """Ask for what groups have committed; a context manager, for it keeps its connections.

    A consumer can only ask about its own group, so that 500 groups take as many clients, each with threads and logins
    of its own. This takes a few requests, to whichever brokers keep the groups' offsets.
    """

    def __init__(self, brokers: Sequence[Broker], settings: Settings) -> None:
        """Take the brokers that may be asked, and the settings of a principal that may describe the groups."""
        self._brokers = brokers
        self._settings = settings
        self._connections: dict[Broker, BrokerConnection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        with ExitStack() as closing:
            for connection in self._connections.values():
                closing.callback(connection.close)
            self._connections = {}

    def committed(self, groups: Iterable[str], *, timeout: float = 30.0) -> dict[str, Mapping[Place, int]]:
        """Return all that groups have committed; a group that does not exist has committed nothing.

        What only needs a moment, such as a coordinator that has moved or a transaction that is ending, is waited for,
        `timeout` seconds in all. Raise ClusterDenied, ClusterUnavailable or ClusterError.
        """
        deadline = time.monotonic() + timeout
        found: dict[str, Mapping[Place, int]] = {}
        wanted = list(dict.fromkeys(groups))
        pause = 0.05
        while True:
            trouble: ClusterError | None = None
            for groups_there, answers in self._answers([group for group in wanted if group not in found]):
                if isinstance(answers, ClusterError):
                    trouble = answers
                    continue
                for group in groups_there:
                    answer = answers[group]
                    if isinstance(answer, int):
                        trouble = self._trouble(answer, group)
                    else:
                        found[group] = answer
            if trouble is None:
                return found
            if time.monotonic() > deadline:
                raise trouble
            time.sleep(pause)
            pause = min(1.0, 2 * pause)

    def _answers(
        self, groups: Sequence[str]
    ) -> Iterator[tuple[Sequence[str], Mapping[str, Mapping[Place, int] | int] | ClusterError]]:
        """Yield groups with the answers of their coordinator, or with why there are none."""
        for some in _portions(groups):
            by_broker: dict[Broker, list[str]] = defaultdict(list)
            try:
                places = self._places(some)
            except ClusterUnavailable as error:
                yield some, error
                continue
            unknown = {group: place for group, place in places.items() if isinstance(place, int)}
            if unknown:
                yield list(unknown), unknown
            for group, place in places.items():
                if not isinstance(place, int):
                    by_broker[place].append(group)
            for broker, theirs in by_broker.items():
                try:
                    yield theirs, self._committed(broker, theirs)
                except ClusterUnavailable as error:
                    yield theirs, error

    def _places(self, groups: Sequence[str]) -> Mapping[str, Broker | int]:
        """Return the coordinators of groups, as the first broker that answers knows them."""
        trouble = ClusterUnavailable(f"no broker at {self._settings.bootstrap_servers} is known")
        for broker in self._brokers:
            try:
                return self._at(broker, lambda connection: connection.coordinators(groups))
            except ClusterUnavailable as error:
                trouble = error
        raise trouble

    def _committed(self, broker: Broker, groups: Sequence[str]) -> Mapping[str, Mapping[Place, int] | int]:
        return self._at(broker, lambda connection: connection.committed(groups))

    def _at(self, broker: Broker, ask: Callable[[BrokerConnection], _T]) -> _T:
        connection = self._connections.get(broker)
        if connection is None:
            connection = self._connections[broker] = BrokerConnection(broker, self._settings)
        try:
            return ask(connection)
        except ClusterUnavailable:
            del self._connections[broker]
            connection.close()
            raise

    def _trouble(self, code: int, group: str) -> ClusterError:
        """Return what is worth another question; raise what is not."""
        doing = f"a request for the committed offsets of group {group}"
        error = cluster_error(KafkaError(code), doing, servers=self._settings.bootstrap_servers)
        if code not in PASSING or isinstance(error, ClusterDenied):
            raise error
        return error


def _portions(groups: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(groups), _AT_ONCE):
        yield groups[start : start + _AT_ONCE]
