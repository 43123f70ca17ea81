"""Plain commits of finished offsets: never more than one under way, and none that outlives its assignment."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lockgate.records import Place
from lockgate.runtime.clients import trouble_of
from lockgate.runtime.logs import logger_for
from lockgate.runtime.offsets import Offsets, Progress
from lockgate.runtime.patience import Patience

__all__ = ["COMMITTING", "HOPELESS", "Commits"]

COMMITTING = "commit in its group"
"""What a workload may not do where its commits are refused."""
HOPELESS = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._ASSIGNMENT_LOST,
    }
)
"""Refusals that asking again at once does not change."""
_EVERY = 0.2
_LAST = 5.0
"""Seconds that a commit is repeated for when its partitions go, or the process does."""

_Entries = Sequence[tuple[Progress, int]]


class Commits:
    """Commit what is finished.

    The client sends an asynchronous commit whenever it can, under whichever assignment it has by then: one that waited
    for a coordinator can reach the brokers after its partition has gone over, and there it counts. So commits are made
    one at a time by a thread that waits for the answer, and no assignment ends before it. None may be under way when
    the consumer is polled: see `Leaving.before_poll`.
    """

    def __init__(self, workload: str, consumer: Consumer, offsets: Offsets, patience: Patience) -> None:
        self._workload = workload
        self._consumer = consumer
        self._offsets = offsets
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commits")
        self._under_way: tuple[Future[list[TopicPartition]], _Entries] | None = None
        self._begun_at = 0.0
        self.made = 0
        """Commits that the brokers took, of several partitions each."""
        self.failed = 0
        """Commits that they did not take, or not for every partition."""
        self.last_at: float | None = None
        """When they took the last one: seconds since the epoch."""
        self._log = logger_for(workload, group=workload)

    def now_and_then(self) -> None:
        """Commit in the background, if the last time is a while ago and was answered."""
        if time.monotonic() - self._begun_at < _EVERY:
            return
        if self._under_way is not None:
            if not self._under_way[0].done():
                return
            self._answered()
        self._begun_at = time.monotonic()
        entries = self._offsets.outstanding()
        if entries:
            offsets = [TopicPartition(*progress.place, offset, progress.note()) for progress, offset in entries]
            for progress, offset in entries:
                progress.committed(offset)
            self._under_way = self._thread.submit(self._commit, offsets), entries

    def settle(self) -> None:
        """Wait for the answer to the commit under way, so that none is."""
        if self._under_way is None:
            return
        done, _ = wait([self._under_way[0]], _LAST)
        if not done:
            self._log.warning("Waiting for the answer to a commit")
            wait([self._under_way[0]])  # the client's own timeouts end it
        self._answered()

    def last(self, places: Collection[Place] | None = None) -> None:
        """Commit what is finished in some partitions (None: in all) and wait; repeat it while that has a point."""
        self.settle()
        deadline = time.monotonic() + _LAST
        while entries := self._offsets.outstanding(places):
            offsets = [TopicPartition(*progress.place, offset, progress.note()) for progress, offset in entries]
            try:
                failed = [(answer, answer.error) for answer in self._commit(offsets) if answer.error is not None]
                error = failed[0][1] if failed else None
                refused = {(answer.topic, answer.partition) for answer, _ in failed}
                for progress, offset in entries:
                    if progress.place not in refused:
                        progress.committed(offset)
            except KafkaException as raised:
                error = raised.args[0]
            self._count(error is None)
            if error is None:
                return
            if error.code() in HOPELESS or time.monotonic() > deadline:
                self._log.warning("The last commit failed; records are delivered again", error=error.str())
                return
            time.sleep(0.1)

    def close(self) -> None:
        """Commit what is finished, and end."""
        try:
            self.last()
        finally:
            self._thread.shutdown()

    def _commit(self, offsets: list[TopicPartition]) -> list[TopicPartition]:
        answers: Any = self._consumer.commit(offsets=offsets, asynchronous=False)
        return list(answers)

    def _count(self, taken: bool) -> None:
        if taken:
            self.made += 1
            self.last_at = time.time()
        else:
            self.failed += 1

    def _answered(self) -> None:
        """Note what did not arrive: the next commit carries it again."""
        if self._under_way is None:
            return
        future, entries = self._under_way
        self._under_way = None
        try:
            errors = {(answer.topic, answer.partition): answer.error for answer in future.result() if answer.error}
        except KafkaException as raised:
            errors = {progress.place: raised.args[0] for progress, _ in entries}
        self._count(not errors)
        if not errors:
            if self._patience.troubled:
                self._patience.over(COMMITTING)
            return
        for progress, _ in entries:
            if progress.place in errors:
                progress.commit_failed()
        why: KafkaError = next(iter(errors.values()))
        trouble = trouble_of(why, self._workload, COMMITTING)
        if trouble is None or trouble[0] != COMMITTING or self._patience.trouble(*trouble):
            self._log.warning("A commit failed", partitions=len(errors), error=why.str())
