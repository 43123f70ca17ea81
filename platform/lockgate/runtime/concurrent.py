"""The consumer loop of a workload that handles several records at once: in the order that its contract asks for."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from lockgate.errors import RegistryError
from lockgate.records import Envelope, Place
from lockgate.runtime.decoding import Decoding, no_envelope, skip
from lockgate.runtime.gate import Gate
from lockgate.runtime.lanes import Job, Lanes, Share
from lockgate.runtime.logs import logger_for
from lockgate.runtime.outage import breaker_of
from lockgate.runtime.parts import Parts
from lockgate.runtime.pools import pool_for
from lockgate.runtime.refusals import Refusals
from lockgate.runtime.settlement import Settlement
from lockgate.runtime.timing import Timing

__all__ = ["ConcurrentLoop"]

_BATCH = 500
_IN_HAND = 4096
"""Records that are taken ahead, of all partitions; a partition that has less than its part of it may exceed it."""
_BYTES_IN_HAND = 64 * 1024 * 1024
_FULL = 0.25
"""Seconds without room after which partitions are paused. No poll happens meanwhile."""
_IDLE = 0.2
"""Seconds that a poll may block while no handler is at work: how late a stop is noticed."""
_BUSY = 0.002
"""Seconds that a poll may block while handlers are at work: how late it is noticed that one has ended."""
_OPEN = 0.05
"""Seconds that a poll may block during an outage: how late a probe is."""
_FINISH = 5.0
"""Seconds that handlers get to end when their partitions go; what is not done by then is dropped, and comes again."""


class ConcurrentLoop:
    """Run one workload with a pool of handlers; polling goes on while they work.

    It keeps the rule of `Loop`: an offset is committed only when every record below it is finished. Records end in
    another order than they were taken in, so each one is held from when it is taken until its outcome.
    """

    def __init__(self, parts: Parts, settlement: Settlement) -> None:
        workload = parts.workload
        self._workload = workload
        self._topic = parts.domain.topic.name
        self._order = workload.order
        self._intake = parts.intake
        self._outcomes = parts.outcomes
        self._settlement = settlement
        self._patience = parts.patience
        self._stop = parts.stop
        self._decoding = Decoding(workload, parts.domain, parts.table, reader=parts.reader, patience=parts.patience)
        self._refusals = Refusals(workload.name, parts.patience)
        self._lanes = self._make_lanes()
        self._pool = pool_for(workload.name, workload.concurrency, parts.table, self._lanes, parts.encoder)
        self.outage = breaker_of(workload)
        self._gate = Gate(self.outage, self._lanes, workload.concurrency, self._pool.wake)
        self._shares: dict[Place, Share] = {}
        self._rewinding: dict[Place, float] = {}  # partitions to read again once nothing runs, and how long they wait
        self._throttled: set[Place] = set()
        self._plenty = _BATCH + 2 * workload.concurrency
        self._full_since: float | None = None
        self.handling = Timing()
        """Of the handlers that have ended, each by itself."""
        self._log = logger_for(workload.name, group=workload.name)
        parts.intake.observe(self)

    def _make_lanes(self) -> Lanes:
        return Lanes()

    def run(self, topics: Sequence[str]) -> None:
        """Consume until the stop, then let the handlers end, commit what is finished and leave the group.

        Raise ClusterDenied, RegistryDenied or ClusterError where waiting any longer has no point.
        """
        try:
            self.begin(topics)
            while not self._stop.requested:
                self.step()
        finally:
            self.end()

    def begin(self, topics: Sequence[str]) -> None:
        """Join the group."""
        self._pool.start()
        self._intake.subscribe(topics, self._settlement)

    def end(self) -> None:
        """Let the handlers end, commit what is finished and leave the group."""
        # a stop has a grace period of its own
        deadline = float("inf") if self._stop.requested else time.monotonic() + _FINISH
        try:
            self._finish(list(self._shares.values()), deadline, polling=True)
            self._settlement.close()
        finally:
            self._intake.close()
            self._pool.close()
            self._outcomes.close()
        counts = {outcome: number for outcome, number in self._outcomes.counts.items() if number}
        self._log.info("Stopped", **counts, **self.outage.totals())

    def assigned(self, places: Sequence[Place]) -> None:
        """Begin anew with partitions."""
        for place in places:
            self._shares[place] = Share(self._intake.offsets.of(place))

    def revoked(self, places: Sequence[Place]) -> None:
        """Let the handlers of partitions end, but not for long; begin with none."""
        self._finish([share for place in places if (share := self._shares.get(place))], time.monotonic() + _FINISH)
        self.lost(places)

    def lost(self, places: Sequence[Place]) -> None:
        """Forget partitions, whatever their handlers still do."""
        for place in places:
            share = self._shares.pop(place, None)
            self._rewinding.pop(place, None)
            self._throttled.discard(place)
            if share is not None:
                self._lanes.close(share)
                share.dead = True

    def step(self) -> None:
        """See to what has ended, and take what there is room for."""
        ended = self._conclude()
        self._settle()
        self._go_back()
        if not self._gate.look() or self._is_clogged():
            # nothing is taken, but polling goes on; what is in hand waits
            busy = any(share.running for share in self._shares.values())
            self._dispatch(self._intake.take(0, 0.0 if ended else _BUSY if busy else _OPEN))
            room = _BATCH
        elif room := self._room():
            busy = any(share.jobs for share in self._shares.values())
            self._dispatch(self._intake.take(room, 0.0 if ended else _BUSY if busy else _IDLE))
        if not room or self.in_hand > self._plenty:
            time.sleep(_BUSY)  # the handlers have enough to do: let them, a busy loop would take their time away
        self._settlement.commit()
        self._patience.check()

    def _is_clogged(self) -> bool:
        """Tell whether nothing is to be taken until what has been handled is on the brokers."""
        return False

    def _dispatch(self, batch: list[Any]) -> None:
        """Hand a batch to the pool; what needs no handler has its outcome at once."""
        jobs: list[Job] = []
        for message in batch:
            if message.error() is not None:
                self._intake.no_record()
                self._report(message)
                continue
            share = self._shares.get((message.topic(), message.partition()))
            if share is None or share.closed or share.place in self._intake.blocked:
                continue  # it is read again, here or elsewhere
            if self._patience.troubled:
                self._patience.over(f"read {share.place[0]}")
            self._take(message, share, jobs)
        if jobs:
            self._pool.add(jobs)

    def _report(self, message: Any) -> None:
        self._intake.report(message)

    def _take(self, message: Any, share: Share, jobs: list[Job]) -> None:
        job = self._job(message, share)
        if job is not None:
            job.lane = self._lane(share.place, message)
            jobs.append(job)

    def _job(self, message: Any, share: Share) -> Job | None:
        """Return a record that is to be handled; None where it waits, or has its outcome already."""
        intake, outcomes, progress = self._intake, self._outcomes, share.progress
        place, offset = share.place, message.offset()
        envelope: Envelope | None = None
        if place[0] != self._topic:
            envelope = self._decoding.envelope(message)
            if envelope is not None and envelope.is_word:  # from when the contract held keys
                progress.read_to(offset + 1)
                return None
            if envelope is not None and envelope.due is not None and envelope.due > intake.now():
                intake.hold_back(place, offset, envelope.due)
                return None
        try:
            if envelope is None and place[0] != self._topic:
                raise no_envelope()
            event, entry = self._decoding.read(message)
        except RegistryError as error:
            intake.wait_for_registry(place, offset, error)
            return None
        except Exception as error:
            return self._unreadable(message, share, envelope, error)
        if entry[1] is skip:
            outcomes.counts["skipped"] += 1
            if outcomes.noting:
                outcomes.note(progress, message, envelope, "skipped")
            progress.read_to(offset + 1)
            return None
        return self._in_hand_now(Job(message, envelope, event, entry, share, None))

    def _unreadable(self, message: Any, share: Share, envelope: Envelope | None, error: Exception) -> Job | None:
        """Dead-letter a record that cannot be read."""
        self._outcomes.poison(share.progress, message, envelope, error)
        share.progress.read_to(message.offset() + 1)
        return None

    def _in_hand_now(self, job: Job) -> Job:
        offset = job.message.offset()
        job.share.progress.hold(offset)
        job.share.progress.read_to(offset + 1)
        job.share.take_in(job)
        return job

    def _lane(self, place: Place, message: Any) -> Hashable:
        if self._order == "partition":
            return place
        if self._order == "key":
            return (place[1], message.key()) if message.key() else None
        return None

    def _conclude(self) -> bool:
        """See to what handlers have led to; return whether one had ended. Raise what is to end the process."""
        ended = self._pool.finished()
        leaving: BaseException | None = None
        going_on = False
        for job in ended:
            self.handling.add(job.seconds)
            job.share.let_go(job)
            if job.share.dead:
                going_on |= self._lanes.resume(job)
            elif job.error is not None and not isinstance(job.error, Exception):
                leaving = job.error
            elif self._gate.ended(job):
                job.share.take_in(job)
                self._lanes.again(job.anew())
                going_on = True
            else:
                going_on |= self._ended(job)
        if leaving is not None:
            raise leaving
        if going_on:
            self._pool.wake()
        return bool(ended)

    def _ended(self, job: Job) -> bool:
        """See to what a handler has led to; tell whether its lane goes on only now."""
        self._outcome(job)
        return self._lanes.resume(job)

    def _outcome(self, job: Job) -> None:
        outcomes, progress, message, envelope = self._outcomes, job.share.progress, job.message, job.envelope
        if isinstance(job.error, Exception) and job.stage == "read":
            outcomes.poison(progress, message, envelope, job.error)
        elif isinstance(job.error, Exception):
            outcomes.failed(progress, message, envelope, job.error, job.stage)
        elif job.events:
            outcomes.results(progress, message, envelope, job.events)
        else:
            progress.finish(message.offset())
            outcomes.counts["handled"] += 1
            if outcomes.noting:
                outcomes.note(progress, message, envelope, "handled")

    def _settle(self) -> None:
        """Wait for the brokers' answers to the outputs; where they did not take them, a partition is read again."""
        finished, stuck = self._outcomes.settle()
        if finished:
            self._refusals.over(finished)
        if stuck:
            delay = self._refusals.delay(stuck)
            for place in {ticket.record.place for ticket in stuck}:
                if place in self._shares:
                    self._lanes.close(self._shares[place])
                    self._rewinding[place] = self._intake.now() + delay

    def _go_back(self) -> None:
        """Read partitions again of which outputs were refused, as soon as none of their handlers is at work."""
        for place, until in list(self._rewinding.items()):
            if not self._shares[place].running:
                del self._rewinding[place]
                self._shares[place].dead = True  # those of its records that had not begun
                progress = self._shares[place].progress
                self._shares[place] = Share(progress)
                self._intake.go_back(progress, progress.rewind(), until)

    @property
    def in_hand(self) -> int:
        """Return how many records were taken and have no outcome yet."""
        return sum(share.jobs for share in list(self._shares.values()))  # partitions come and go: others read it, too

    @property
    def at_work(self) -> int:
        """Return how many handlers are at work."""
        return sum(share.running for share in list(self._shares.values()))

    def _room(self) -> int:
        """Return how many records may be taken now; throttle partitions where there is no room for long.

        A pause drops what the client has fetched ahead, so that handlers that are quick had better be waited for. Where
        they are slow, partitions that have much in hand are throttled, so that the others get their turn.
        """
        shares = self._shares.values()
        jobs, size = self.in_hand, sum(share.bytes for share in shares)
        part = _IN_HAND // max(1, len(shares))
        if size < _BYTES_IN_HAND:
            roomy = jobs <= _IN_HAND // 2
            empty = {place for place in self._throttled if roomy or self._shares[place].jobs <= part // 2}
            self._intake.release(empty)
            self._throttled -= empty
            if jobs <= _IN_HAND - _BATCH:
                self._full_since = None
                return _BATCH
        now = time.monotonic()
        if self._full_since is None:
            self._full_since = now
        if now - self._full_since < _FULL:
            return 0
        full = {share.place for share in shares if size >= _BYTES_IN_HAND or share.jobs >= part}
        self._intake.throttle(full - self._throttled)
        self._throttled |= full
        return min(_BATCH, part)

    def _finish(self, shares: Iterable[Share], deadline: float, *, polling: bool = False) -> None:
        """Let handlers end that are at work, and see to what they lead to; begin with none.

        `polling` keeps this process in its group meanwhile; it must not be within a poll.
        """
        shares = list(shares)
        for share in shares:
            self._lanes.close(share)
        if polling:
            self._intake.throttle(self._shares)
        while True:
            at_work = [share for share in shares if share.running and not share.dead]
            self._conclude()
            if not at_work or time.monotonic() > deadline:
                break
            self._pool.wait(_BUSY)
            if polling:
                self._intake.take(1, 0.0)
        self._settle()
