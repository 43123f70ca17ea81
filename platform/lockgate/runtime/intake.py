"""The consuming side of a loop: batches in, partitions held back or gone back in, assignments taken up and ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lockgate.errors import ClusterError, RegistryDenied, RegistryError
from lockgate.records import Place
from lockgate.runtime.clients import trouble_of
from lockgate.runtime.control import Control
from lockgate.runtime.keepalive import KeepAlive
from lockgate.runtime.logs import logger_for, partitions_text
from lockgate.runtime.offsets import Offsets, Progress
from lockgate.runtime.patience import Patience
from lockgate.runtime.pauses import Pauses
from lockgate.runtime.starts import Starts, without

__all__ = ["Intake", "Observer"]

_IDLE = 0.2
"""Seconds that a poll may block: how late a stop is noticed when nothing arrives."""
_REGISTRY_BACKOFF_MS = 1000
_ASK_AGAIN_MS = 500
_ANSWER = 2.0
"""Seconds to wait for a coordinator's answer while records are taken: a partition whose answer is late waits."""
_FINISH_WITHIN = 30.0
"""Seconds that a rebalance waits for a handler, at most: the others of the group wait, too."""


class Leaving(Protocol):
    """What has to be done when assignments end, and before they can; a settlement does it."""

    def before_poll(self) -> None:
        """Make sure that no commit is under way in another thread.

        The client lets one thread in at a time, also while it calls back. A rebalance within the poll would wait for
        a commit that waits for that poll to end: for ever.
        """

    def leave(self, places: Collection[Place]) -> None:
        """Commit what is finished in partitions that are given back."""

    def lose(self) -> None:
        """Make sure that nothing is committed for partitions that are another process's already."""


class Observer(Protocol):
    """What a loop does about partitions that come and go, where it has records in hand meanwhile."""

    def assigned(self, places: Sequence[Place]) -> None:
        """Take note of partitions that are this process's now."""

    def revoked(self, places: Sequence[Place]) -> None:
        """Finish or drop what is in hand of partitions: they are another's as soon as this returns."""

    def lost(self, places: Sequence[Place]) -> None:
        """Forget partitions: they are another's already."""


class Intake:
    """Own a workload's consumer and what is known of its partitions."""

    def __init__(
        self,
        workload: str,
        connect: Callable[[], Consumer],
        patience: Patience,
        clock: Callable[[], float] = time.time,
        max_poll_interval: float = 300.0,
    ) -> None:
        self._workload = workload
        self._clock = clock
        self._patience = patience
        self.consumer = connect()
        self._leaving: Leaving | None = None
        self._pauses = Pauses(self.consumer)
        self._finish_within = min(_FINISH_WITHIN, max_poll_interval / 2)
        self._reported: list[Any] = []
        self._later: dict[Place, tuple[int, float | None]] = {}
        """Where to go on, and when, in partitions that were to be gone back in while the keep-alive polled."""
        self._gone: set[Place] = set()
        self._starts = Starts()
        self._observer: Observer | None = None
        self.metadata: Any = None
        """The membership under which the batch in hand was taken, for a transaction to show."""
        self._log = logger_for(workload, group=workload)
        self.joined = False
        """Whether the group has taken this process in once: from then on its login is known to be right."""
        self.offsets = Offsets()
        self.keepalive = KeepAlive(self.consumer, max_poll_interval, self._pauses.__contains__)
        self.blocked: set[Place] = set()
        """Partitions that were held back within the batch in hand: what the batch still has of them is not handled."""
        self.control: Control | None = None
        """Whom to ask whether to take records at all."""
        self._paused = False
        self.batches = 0
        """How often the client had something."""
        self.taken = 0
        """Records that it had; one that is put back, or read again, counts each time."""
        self.rebalances = {"assigned": 0, "revoked": 0, "lost": 0}
        """How often partitions came, were given back, and were another process's already."""

    @property
    def paused(self) -> bool:
        """Return whether an operator's pause is carried out."""
        return self._paused

    @property
    def waiting(self) -> int:
        """Return how many partitions wait for a time."""
        return self._pauses.waiting

    def now(self) -> float:
        """Return the time that due times are held against: milliseconds since the epoch."""
        return self._clock() * 1000

    def observe(self, observer: Observer) -> None:
        """Tell an observer of partitions that come and go; it is called within `take` and `close`."""
        self._observer = observer

    def visible_topics(self, timeout: float) -> frozenset[str]:
        """Return the topics that the brokers let this workload see; raise KafkaException where none answers in time."""
        try:
            return frozenset(self.consumer.list_topics(timeout=timeout).topics)
        finally:
            self.consumer.poll(0)  # the question itself never tells why nobody answers: a refused login, for example

    def subscribe(self, topics: Sequence[str], leaving: Leaving) -> None:
        """Join the group."""
        self._leaving = leaving
        self.consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def take(self, at_most: int, idle: float = _IDLE) -> list[Any]:
        """Return the next messages, what is there or else the first to come; empty where none comes for `idle` seconds.

        With `at_most` 0 partitions stand still, and only what is no record is returned. Messages are untyped: the
        client's stubs make every one of their fields optional. Partitions come and go, and held-back ones go on, only
        in here.
        """
        self._catch_up()  # the keep-alive may look whether a batch is in hand just when one no longer is
        if self._leaving is not None:
            self._leaving.before_poll()
        if self.control is not None:
            self.control.look()
            if self.control.paused is not self._paused:
                self._paused = self.control.paused
                self._log.info("Paused: no records are taken" if self._paused else "Going on: records are taken again")
        if at_most == 0 or self._paused:
            return self._counted(self._stand(idle))
        if self._pauses.all:
            self._pauses.go_on()
        now = self.now()
        self._pauses.end_waiting(now)
        self.blocked.clear()
        self._gone.clear()
        batch: list[Any] = self.consumer.consume(at_most, 0)  # a timeout here would wait for a full batch
        if not batch:
            first = self.consumer.poll(self._pauses.timeout(now, idle))
            batch = [] if first is None else [first]
        if self._gone:  # while the batch was gathered: nothing of them was noted yet, their next owner reads it
            batch = without(batch, self._gone)
        if self._starts:
            batch = self._begun_in_order(batch)
        # now, and not when it is shown: by then the group may have moved on, and the brokers are to notice
        self.metadata = self.consumer.consumer_group_metadata()
        if self._reported:
            batch[:0] = self._reported
            self._reported = []
        return self._counted(batch)

    def _begun_in_order(self, batch: list[Any]) -> list[Any]:
        """Return a batch without what lies before the committed offset of a partition that came just now.

        Where nobody says what was committed, the partition waits: it is neither begun anew nor passed over.
        """
        firsts = self._starts.firsts(batch)
        if not firsts:
            return batch
        try:
            wrong = self._starts.too_early(firsts, self.committed_in(firsts, _ANSWER))
        except KafkaException as error:
            self._log.info(
                "Waiting for the committed offsets of partitions that came",
                partitions=partitions_text(firsts),
                why=error.args[0].str(),
            )
            for place, offset in firsts.items():
                self.hold_back(place, offset, self.now() + _ASK_AGAIN_MS)
            return without(batch, firsts)
        for place, offset in wrong.items():
            self._log.warning(
                "The client began a partition before its committed offset, and goes on there",
                topic=place[0],
                partition=place[1],
                offset=offset,
                began=firsts[place],
            )
            self._move(place, offset, None)
        return without(batch, wrong) if wrong else batch

    def _counted(self, batch: list[Any]) -> list[Any]:
        if batch:
            self.batches += 1
            self.taken += len(batch)
        return batch

    def no_record(self) -> None:
        """Note that a message of the batch in hand is no record."""
        self.taken -= 1

    def settled(self) -> None:
        """Note that the batch in hand is settled."""
        self._reported += self.keepalive.idle()
        self._catch_up()

    def _stand(self, idle: float) -> list[Any]:
        """Keep the membership alive without taking a record; what is in hand goes on and is committed.

        Return what is no record: the end of a partition that came just now is told once.
        """
        self.blocked.clear()
        self._gone.clear()
        self._pauses.stand()
        message: Any = self.consumer.poll(idle)
        self.metadata = self.consumer.consumer_group_metadata()  # ends of partitions are committed meanwhile, too
        if message is None:
            return []
        if message.error() is not None:
            return [message]
        self.put_back([message])  # of a partition that came just now
        return []

    def hold_back(self, place: Place, offset: int, until: float) -> None:
        """Let a partition wait until a time (milliseconds since the epoch), to go on with the record at `offset`."""
        self.blocked.add(place)
        self._move(place, offset, until)

    def throttle(self, places: Iterable[Place]) -> None:
        """Take nothing of partitions until they are released; what was taken of them stays in hand."""
        self._pauses.throttle(places)

    def release(self, places: Iterable[Place]) -> None:
        """Go on with partitions behind what was taken of them."""
        self._pauses.release(places)

    def wait_for_registry(self, place: Place, offset: int, error: RegistryError) -> None:
        """Let a partition wait: that the registry cannot say what its next record is, is no fault of the record."""
        if isinstance(error, RegistryDenied):
            self._patience.trouble("registry", error)
        self._log.warning("Waiting for the registry", topic=place[0], partition=place[1], offset=offset, why=str(error))
        self.hold_back(place, offset, self.now() + _REGISTRY_BACKOFF_MS)

    def go_back(self, progress: Progress, offset: int | None, until: float) -> None:
        """Let a partition wait, to go on with an earlier record; nothing is done where its assignment has ended."""
        if offset is not None and self.offsets.current(progress):
            self.hold_back(progress.place, offset, until)

    def committed(self, entries: Sequence[tuple[Progress, int]]) -> bool:
        """Ask the brokers whether offsets were committed; raise KafkaException where they do not answer."""
        answers = self.committed_in([progress.place for progress, _ in entries])
        return all(answers.get(progress.place, -1) >= offset for progress, offset in entries)

    def committed_in(self, places: Iterable[Place], timeout: float = 10.0) -> dict[Place, int]:
        """Ask the brokers what was committed in partitions; raise KafkaException where they do not answer in time.

        Partitions without a commit are left out. A rebalance does not wait for the answer.
        """
        if self.keepalive.steering:
            self._reported += self.keepalive.idle()
            self.keepalive.busy()
        answers = self.consumer.committed([TopicPartition(*place) for place in places], timeout)
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return {(answer.topic, answer.partition): answer.offset for answer in answers if answer.offset >= 0}

    def put_back(self, messages: Sequence[Any]) -> None:
        """Give back messages that were taken and not handled: they are taken again.

        What is no record is reported now: the client tells the end of a partition once.
        """
        first: dict[Place, int] = {}
        for message in messages:
            place = (message.topic(), message.partition())
            if message.error() is None and place not in self.blocked:
                first.setdefault(place, message.offset())
        for place, offset in first.items():
            self.blocked.add(place)
            self._move(place, offset, None)
        for message in messages:
            if message.error() is not None:
                self.report(message)

    def report(self, message: Any) -> None:
        """Take note of a message that is no record: the end of a partition, or an error.

        Raise ClusterError where the client cannot go on.
        """
        error, place = message.error(), (message.topic(), message.partition())
        if error.code() == KafkaError._PARTITION_EOF:
            # every record before it was seen; behind the last one, transaction markers have offsets, too
            if place not in self.blocked and not self._pauses.is_waiting(place):
                self.offsets.of(place).read_to(message.offset())
                self._patience.over(f"read {place[0]}")
            return
        if error.fatal():
            raise ClusterError(f"{self._workload} cannot go on: {error.str()}")
        trouble = trouble_of(error, self._workload, f"read {place[0]}" if place[0] else "join its group")
        if trouble is None or trouble[0] == "cluster" or self._patience.trouble(*trouble):
            self._log.warning("The consumer reports", error=error.str())

    def close(self) -> None:
        """Leave the group."""
        self.keepalive.close()
        self.consumer.close()

    def _move(self, place: Place, offset: int, until: float | None) -> None:
        """Go on elsewhere in a partition, at a time or at once; where the keep-alive polls, not before it has ended."""
        with self.keepalive.kept_out() as free:
            if free:
                self._go_on_at(place, offset, until)
            else:
                self._later[place] = (offset, until)

    def _catch_up(self) -> None:
        """Go on where it was put off to."""
        later, self._later = self._later, {}
        for place, (offset, until) in later.items():
            if place not in self._gone:
                self._go_on_at(place, offset, until)

    def _go_on_at(self, place: Place, offset: int, until: float | None) -> None:
        self._seek(place, offset)  # first: a pause drops what was fetched, and goes on behind what was delivered
        if until is not None:
            self._pauses.wait(place, until)

    def _seek(self, place: Place, offset: int) -> None:
        try:
            self.consumer.seek(TopicPartition(*place, offset))
        except KafkaException as error:
            # going on without it would pass over records; a new process begins at the committed offset
            where = f"{place[0]}-{place[1]}@{offset}"
            raise ClusterError(f"{self._workload} could not go back to {where}: {error.args[0].str()}") from error

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.joined = True
        self.rebalances["assigned"] += 1
        self._patience.over("join its group")
        self._patience.over("login")
        for entry in partitions:
            place = (entry.topic, entry.partition)
            self._gone.discard(place)
            if not self.keepalive.steering:  # what was held back within this very poll is of the assignment before
                self.blocked.discard(place)
            self.keepalive.forget(place)
            self._later.pop(place, None)
            self.offsets.assign(place)
            self._starts.add(place)
        if self._observer is not None:
            self._observer.assigned(_places(partitions))
        self._log.info("Partitions assigned", partitions=partitions_text(_places(partitions)))

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        places = set(_places(partitions))
        self.rebalances["revoked"] += 1
        if self.keepalive.steering:
            self.blocked |= places
            if not self.keepalive.wait_until_idle(self._finish_within):
                self._log.warning("A rebalance does not wait for the handler any longer; its record is delivered again")
        if self._observer is not None:
            self._observer.revoked(_places(partitions))
        if self._leaving is not None:
            self._leaving.leave(places)
        self._forget(partitions)
        self._log.info("Partitions given back", partitions=partitions_text(_places(partitions)))

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances["lost"] += 1
        if self.keepalive.steering:
            self.blocked |= set(_places(partitions))
        if self._observer is not None:
            self._observer.lost(_places(partitions))
        self._forget(partitions)
        if self._leaving is not None:
            self._leaving.lose()
        self._log.warning("Partitions lost", partitions=partitions_text(_places(partitions)))

    def _forget(self, partitions: list[TopicPartition]) -> None:
        """Drop everything known about partitions."""
        for entry in partitions:
            place = (entry.topic, entry.partition)
            self._pauses.forget(place, paused=self.keepalive.forget(place))
            self.offsets.forget(place)
            self._starts.discard(place)
            self._gone.add(place)
        self._reported = [m for m in self._reported if (m.topic(), m.partition()) not in self._gone]


def _places(partitions: Sequence[TopicPartition]) -> list[Place]:
    return [(entry.topic, entry.partition) for entry in partitions]
