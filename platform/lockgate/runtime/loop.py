"""The consumer loop of one workload: take a batch, handle it, settle what it led to, commit what is finished."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from lockgate.errors import RegistryError, Reject
from lockgate.records import Envelope, Place
from lockgate.runtime.decoding import Decoding, key_mismatch, no_envelope, skip, tombstone_of
from lockgate.runtime.logs import logger_for
from lockgate.runtime.outage import breaker_of
from lockgate.runtime.pace import Pace
from lockgate.runtime.parts import Parts
from lockgate.runtime.reader import HEAD
from lockgate.runtime.record import Record
from lockgate.runtime.results import collect
from lockgate.runtime.settlement import Settlement
from lockgate.runtime.timing import Timing

__all__ = ["Loop"]

_BATCH_AT_MOST = 2.0
"""Seconds after which the rest of a batch is put back: its handlers are much slower than the pace knew."""


class Loop:
    """Run one workload with clients that others have made.

    The rule that it keeps: an offset is committed only when every record below it is finished, that is handled with
    its results on the brokers, skipped, copied to a retry topic, or dead-lettered.
    """

    def __init__(self, parts: Parts, settlement: Settlement) -> None:
        self._workload = parts.workload
        self._domain = parts.domain
        self._intake = parts.intake
        self._outcomes = parts.outcomes
        self._settlement = settlement
        self._encoder = parts.encoder
        self._patience = parts.patience
        self._stop = parts.stop
        self.outage = breaker_of(parts.workload)
        self._cut_short = False  # the batch in hand, by an outage
        self.in_hand = 0
        """Messages of the batch in hand."""
        self.handling = Timing()
        """Of the records that were seen to: reading them and handling them."""
        self._runner = asyncio.Runner()
        self._decoding = Decoding(
            parts.workload, parts.domain, parts.table, reader=parts.reader, patience=parts.patience
        )
        self._pace = Pace(most=settlement.most)
        self._log = logger_for(parts.workload.name, group=parts.workload.name)

    def run(self, topics: Sequence[str]) -> None:
        """Consume until the stop, then commit what is finished and leave the group.

        Raise ClusterDenied, RegistryDenied or ClusterError where waiting any longer has no point.
        """
        try:
            self.begin(topics)
            while not self._stop.requested:
                self.step()
        finally:
            self.end()

    @property
    def at_work(self) -> int:
        """Return how many handlers are at work."""
        return int(self.in_hand > 0)

    def begin(self, topics: Sequence[str]) -> None:
        """Join the group."""
        self._intake.subscribe(topics, self._settlement)

    def step(self) -> None:
        """Take a batch, if there is one, and see it through."""
        intake = self._intake
        batch = intake.take(min(self._pace.size, self.outage.limit()))
        if batch:
            started = time.monotonic()
            self.in_hand, taken = len(batch), intake.taken
            intake.keepalive.busy()
            seen = self._handle(batch)
            waiting = time.monotonic()
            self.handling.add(waiting - started, seen - (taken - intake.taken))
            if self._cut_short:
                self._settlement.abandon()
            else:
                self._settlement.settle()
            intake.settled()
            self.in_hand = 0
            self._pace.handled(seen, waiting - started, time.monotonic() - waiting)
        self._settlement.commit()
        self._patience.check()

    def end(self) -> None:
        """Commit what is finished and leave the group."""
        try:
            self._settlement.close()
        finally:
            self._intake.close()
            self._runner.close()
            self._outcomes.close()
        counts = {outcome: number for outcome, number in self._outcomes.counts.items() if number}
        self._log.info("Stopped", **counts, **self.outage.totals())

    def _handle(self, batch: list[Any]) -> int:
        """Handle a batch; return how many of its messages were seen to.

        One flat pass, without a call that a record does not need: this is what the throughput hangs on.
        """
        intake, offsets, blocked = self._intake, self._intake.offsets, self._intake.blocked
        decoding, entries, stop, outcomes = self._decoding, self._decoding.entries, self._stop, self._outcomes
        main, key_field, name = self._domain.topic.name, self._domain.key, self._workload.name
        clock, deadline = time.monotonic, time.monotonic() + _BATCH_AT_MOST
        place: Place = ("", -1)
        progress = offsets.of(place)
        topic: Any = None
        partition, done, handled, skipped, index, ran, outage = -1, -1, 0, 0, 0, 0, self.outage
        event: Any = None
        self._cut_short = False
        try:
            for index, message in enumerate(batch):
                if stop.requested or clock() > deadline:
                    if not stop.requested:
                        intake.put_back(batch[index:])
                    return index
                if message.error() is not None:
                    intake.no_record()
                    intake.report(message)
                    continue
                if message.partition() != partition or message.topic() != topic:
                    if done >= 0:
                        progress.read_to(done)
                    topic, partition, done = message.topic(), message.partition(), -1
                    place = (topic, partition)
                    progress = offsets.of(place)
                    progress.enter(message.offset())
                    if self._patience.troubled:
                        self._patience.over(f"read {topic}")
                if blocked and place in blocked:
                    continue
                offset = message.offset()
                envelope: Envelope | None = None
                if topic != main:
                    envelope = decoding.envelope(message)
                    if envelope is None:
                        outcomes.poison(progress, message, None, no_envelope())
                        done = offset + 1
                        continue
                    if envelope.is_word:  # from when the contract held keys
                        done = offset + 1
                        continue
                    if envelope.due is not None and envelope.due > intake.now():
                        intake.hold_back(place, offset, envelope.due)
                        continue
                try:
                    value = message.value()
                    if value is None:
                        decode, function, build, contextual = decoding.tombstone
                        if function is not skip:
                            event = tombstone_of(message.key())
                    else:
                        entry = entries.get(value[:HEAD])
                        decode, function, build, contextual = decoding.learn(value) if entry is None else entry
                        if decode is not None:
                            event = decode(value)
                            if event[key_field].encode() != message.key():
                                raise key_mismatch(event[key_field], message.key())
                except RegistryError as error:
                    intake.wait_for_registry(place, offset, error)
                    continue
                except Exception as error:
                    outcomes.poison(progress, message, envelope, error)
                    done = offset + 1
                    continue
                if function is skip:
                    skipped += 1
                    if outcomes.noting:
                        outcomes.note(progress, message, envelope, "skipped")
                    done = offset + 1
                    continue
                try:
                    if build is not None:
                        event = build(event)
                    result = function(event, Record(message, envelope).context(name)) if contextual else function(event)
                    events = None if result is None else collect(result, self._runner)
                except Exception as error:
                    outage.succeeded(ran)
                    ran = 0
                    if isinstance(error, Reject):
                        outage.succeeded(1)
                    elif outage.failed((place, offset)):
                        intake.put_back(batch[index:])
                        self._cut_short = True
                        return index
                    outcomes.failed(progress, message, envelope, error, "handle")
                    done = offset + 1
                    continue
                ran += 1
                if events:
                    try:
                        encoded = [self._encoder.encode(one) for one in events]  # all, before the first is sent
                    except Exception as error:
                        outcomes.failed(progress, message, envelope, error, "publish")
                    else:
                        outcomes.results(progress, message, envelope, encoded)
                else:
                    handled += 1
                    if outcomes.noting:
                        outcomes.note(progress, message, envelope, "handled")
                done = offset + 1
        finally:
            # also where a handler ends the process: what was finished before counts, the record in hand does not
            if done >= 0:
                progress.read_to(done)
            outage.succeeded(ran)
            outcomes.counts["handled"] += handled
            outcomes.counts["skipped"] += skipped
        return index + 1
