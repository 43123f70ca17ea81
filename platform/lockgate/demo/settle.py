"""Waiting until all is quiet: every group has read all there is, and nothing waits in a retry topic."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import attrs
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from lockgate.committed import Committed
from lockgate.connection import Settings
from lockgate.contracts.derive import consumer_topics, derive
from lockgate.contracts.model import Contracts
from lockgate.deadletters.scan import cluster_error
from lockgate.errors import ClusterError, ClusterUnavailable

__all__ = ["Lag", "Observer", "Unsettled", "settle", "watching"]

Ends = Mapping[tuple[str, int], int]
"""Offsets by (topic, partition)."""

_TIMEOUT = 20.0


class Unsettled(ClusterError):  # noqa: N818  # a state that was found, as its siblings in errors.py are named
    """Report that a group stopped making progress before it had read everything."""


@attrs.frozen
class Lag:
    """Hold how many records a group has not finished, by topic: the domain topic and its retry topics."""

    workload: str
    source: str
    """The domain topic."""
    by_topic: Mapping[str, int]

    @property
    def total(self) -> int:
        """Return the sum over all topics."""
        return sum(self.by_topic.values())


class Observer:
    """Look at a cluster as an administrator: ends of topics, and what groups have committed."""

    def __init__(self, contracts: Contracts, settings: Settings) -> None:
        self._settings = settings
        self._admin = AdminClient({**settings.client_config(), "log_level": 0})
        self._committed = Committed(settings.client_config())
        self._topics = {
            workload.name: consumer_topics(contracts, workload)
            for workload in contracts.workloads.values()
            if workload.consumes
        }
        self._partitions = {topic.name: topic.partitions for topic in derive(contracts).topics}

    def ends(self, topics: Iterable[str], *, first: bool = False) -> dict[tuple[str, int], int]:
        """Return the end (or with `first` the beginning) of each partition of some topics."""
        # the client's class methods have no types
        spec: OffsetSpec = OffsetSpec.earliest() if first else OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = [(topic, number) for topic in topics for number in range(self._partitions[topic])]
        try:
            # The client goes on asking with the leader epochs that it knows, and is refused (FENCED_LEADER_EPOCH) until
            # its metadata expires, minutes after a leader has moved: so it gets new ones each time.
            self._admin.list_topics(timeout=_TIMEOUT)
            asked = self._admin.list_offsets(
                {TopicPartition(*place): spec for place in places}, request_timeout=_TIMEOUT
            )
            return {
                (partition.topic, partition.partition): answer.result(_TIMEOUT).offset
                for partition, answer in asked.items()
            }
        except KafkaException as error:
            raise cluster_error(error.args[0], self._settings) from error
        except TimeoutError as error:
            raise ClusterUnavailable("the brokers did not say where their topics end") from error

    def lags(self) -> list[Lag]:
        """Return every group's lag.

        Commits are read before ends: what is written in between makes a lag look larger, never smaller. So where all
        lags are 0 and no program writes any more, there is nothing left that could write.
        """
        topics = sorted({topic for each in self._topics.values() for topic in each})
        places = [(topic, number) for topic in topics for number in range(self._partitions[topic])]
        try:
            committed = self._committed.of(self._topics, places, timeout=_TIMEOUT)
        except KafkaException as error:
            raise cluster_error(error.args[0], self._settings) from error
        beginnings, ends = self.ends(topics, first=True), self.ends(topics)
        found = []
        for name, theirs in self._topics.items():
            by_topic = dict.fromkeys(theirs, 0)
            for (topic, number), end in ends.items():
                if topic in by_topic:
                    done = max(committed[name].get((topic, number), 0), beginnings[topic, number])
                    by_topic[topic] += max(0, end - done)
            found.append(Lag(name, theirs[0], by_topic))
        return found


@contextmanager
def watching(observer: Observer, show: Callable[[Sequence[Lag]], None], *, pause: float = 1.0) -> Iterator[None]:
    """Show the lags while the block runs; brokers that do not answer for a moment are passed over."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(pause):
            with suppress(ClusterError):
                show(observer.lags())

    thread = threading.Thread(target=watch, name="lags", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def settle(
    observer: Observer,
    *,
    stalled_after: float,
    progress: Callable[[Sequence[Lag]], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
    pause: float = 0.5,
) -> None:
    """Wait until no group has any lag; `check` may raise what makes waiting pointless, such as a dead service.

    Raise Unsettled where nothing moves for `stalled_after` seconds, which has to be longer than the longest retry
    delay. Brokers that do not answer for a while are waited for as long.
    """
    last: list[Lag] = []
    moved = time.monotonic()
    while True:
        check()
        try:
            lags = observer.lags()
        except ClusterUnavailable:
            if time.monotonic() - moved > stalled_after:
                raise
            time.sleep(pause)
            continue
        progress(lags)
        if all(lag.total == 0 for lag in lags):
            return
        if lags != last:
            last, moved = lags, time.monotonic()
        if time.monotonic() - moved > stalled_after:
            stuck = ", ".join(f"{lag.workload} ({lag.total})" for lag in lags if lag.total)
            raise Unsettled(
                f"nothing has moved for {stalled_after:.0f} s; records wait for {stuck}",
                next_step="the services' logs say why",
            )
        time.sleep(pause)
