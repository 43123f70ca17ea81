"""The consumer loop of one workload: take a batch, handle it, settle what it led to, commit what is finished."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from lockgate.contracts.model import Domain, Workload
from lockgate.errors import PoisonError, RegistryDenied, RegistryError, Reject
from lockgate.records import Envelope
from lockgate.runtime.clients import trouble_of
from lockgate.runtime.context import Tombstone
from lockgate.runtime.dispatch import Table
from lockgate.runtime.encoding import Encoded, EventEncoder
from lockgate.runtime.intake import Intake
from lockgate.runtime.journal import Journal, Outcome
from lockgate.runtime.logs import logger_for
from lockgate.runtime.offsets import Place
from lockgate.runtime.pace import Pace
from lockgate.runtime.patience import Patience
from lockgate.runtime.publisher import Publisher, Ticket
from lockgate.runtime.reader import HEAD, Reader
from lockgate.runtime.record import Failure, Record
from lockgate.runtime.results import collect
from lockgate.runtime.retries import next_retry
from lockgate.runtime.signals import Stop

__all__ = ["Loop"]

_BATCH_AT_MOST = 2.0
"""Seconds after which the rest of a batch is put back: its handlers are much slower than the pace knew."""
_REGISTRY_BACKOFF_MS = 1000
_BROKER_BACKOFF_MS = (500, 1000, 2000, 5000, 10000)

_Entry = tuple[Callable[[bytes], dict[str, Any]] | None, Callable[..., Any], Callable[..., Any] | None, bool]
"""How to decode a value, the handler, how to make its event, and whether it takes a context."""


class Loop:
    """Run one workload with clients that others have made.

    The rule that it keeps: an offset is committed only when every record below it is finished, that is handled with
    its results on the brokers, skipped, copied to a retry topic, or dead-lettered.
    """

    def __init__(
        self,
        workload: Workload,
        domain: Domain,
        table: Table,
        *,
        intake: Intake,
        publisher: Publisher,
        reader: Reader,
        encoder: EventEncoder,
        patience: Patience,
        stop: Stop,
        journal: Journal | None = None,
    ) -> None:
        self._workload = workload
        self._domain = domain
        self._intake = intake
        self._publisher = publisher
        self._reader = reader
        self._encoder = encoder
        self._patience = patience
        self._stop = stop
        self._journal = journal
        self._runner = asyncio.Runner()
        self._entries: dict[bytes, _Entry] = {}
        self._handlers = table.events
        tombstone = table.tombstone
        self._tombstone = _SKIP if tombstone is None else (None, tombstone.function, None, tombstone.contextual)
        self._pace = Pace()
        self._refusals = 0  # batches in a row with outputs that the brokers did not take
        self._log = logger_for(workload.name, group=workload.name)
        self.counts: dict[Outcome, int] = {"handled": 0, "skipped": 0, "retried": 0, "dead-lettered": 0}
        """Outcomes since the start."""

    def run(self, topics: Sequence[str]) -> None:
        """Consume until the stop, then commit what is finished and leave the group.

        Raise ClusterDenied, RegistryDenied or ClusterError where waiting any longer has no point.
        """
        intake = self._intake
        try:
            intake.subscribe(topics)
            while not self._stop.requested:
                batch = intake.take(self._pace.size)
                if batch:
                    started = time.monotonic()
                    seen = self._handle(batch)
                    self._settle()
                    self._pace.handled(seen, time.monotonic() - started)
                else:
                    self._publisher.serve()
                intake.commit_now_and_then()
                self._patience.check()
        finally:
            try:
                self._settle()
            finally:
                intake.close()
                self._runner.close()
            self._log.info("Stopped", **{outcome: count for outcome, count in self.counts.items() if count})

    def _handle(self, batch: list[Any]) -> int:
        """Handle a batch; return how many of its messages were seen to.

        One flat pass, without a call that a record does not need: this is what the throughput hangs on.
        """
        intake, offsets, blocked = self._intake, self._intake.offsets, self._intake.blocked
        entries, stop, journal = self._entries, self._stop, self._journal
        main, key_field, name = self._domain.topic.name, self._domain.key, self._workload.name
        clock, deadline = time.monotonic, time.monotonic() + _BATCH_AT_MOST
        place: Place = ("", -1)
        topic: Any = None
        partition, done, handled, skipped, index = -1, -1, 0, 0, 0
        event: Any = None
        try:
            for index, message in enumerate(batch):
                if stop.requested or clock() > deadline:
                    if not stop.requested:
                        intake.put_back(batch[index:])
                    return index
                if message.error() is not None:
                    intake.report(message)
                    continue
                if message.partition() != partition or message.topic() != topic:
                    if done >= 0:
                        offsets.read_to(place, done)
                    topic, partition, done = message.topic(), message.partition(), -1
                    place = (topic, partition)
                    self._patience.over(f"read {topic}")
                if blocked and place in blocked:
                    continue
                offset = message.offset()
                envelope: Envelope | None = None
                if topic != main:
                    envelope = self._envelope(message)
                    if envelope is None:
                        done = offset + 1
                        continue
                    if envelope.due is not None and envelope.due > time.time() * 1000:
                        intake.hold_back(place, offset, envelope.due)
                        continue
                try:
                    value = message.value()
                    if value is None:
                        decode, function, build, contextual = self._tombstone
                        if function is not _skip:
                            event = _tombstone(message.key())
                    else:
                        entry = entries.get(value[:HEAD])
                        decode, function, build, contextual = self._learn(value) if entry is None else entry
                        if decode is not None:
                            event = decode(value)
                            if event[key_field].encode() != message.key():
                                raise _key_mismatch(event[key_field], message.key())
                except RegistryError as error:
                    self._wait_for_registry(place, offset, error)
                    continue
                except Exception as error:
                    self._poison(message, envelope, error)
                    done = offset + 1
                    continue
                if function is _skip:
                    skipped += 1
                    if journal is not None:
                        self._note(journal, message, envelope, "skipped")
                    done = offset + 1
                    continue
                try:
                    if build is not None:
                        event = build(event)
                    result = function(event, Record(message, envelope).context(name)) if contextual else function(event)
                    outputs = None if result is None else self._outputs(result)
                except Exception as error:
                    self._failed(message, envelope, error)
                    done = offset + 1
                    continue
                if outputs:
                    record = Record(message, envelope)
                    offsets.hold(place, offset)
                    self._publisher.results(record, record.attempts + 1, outputs)
                else:
                    handled += 1
                    if journal is not None:
                        self._note(journal, message, envelope, "handled")
                done = offset + 1
        finally:
            # also where a handler ends the process: what was finished before counts, the record in hand does not
            if done >= 0:
                offsets.read_to(place, done)
            self.counts["handled"] += handled
            self.counts["skipped"] += skipped
        return index + 1

    def _learn(self, value: bytes) -> _Entry:
        """Return what to do with values that begin like this one, and remember it."""
        known = self._reader.resolve(value)
        self._patience.over("registry")
        if known.decode is None:
            entry = _SKIP
        else:
            handler = self._handlers[known.event_type]
            entry = (known.decode, handler.function, handler.build, handler.contextual)
        self._entries[value[:HEAD]] = entry
        return entry

    def _outputs(self, result: Any) -> list[Encoded]:
        """Return a handler's results, all of them encoded before the first is sent."""
        events = collect(result, self._runner)
        try:
            return [self._encoder.encode(event) for event in events]
        except Exception as error:
            raise _UnpublishableError from error

    def _envelope(self, message: Any) -> Envelope | None:
        """Return the envelope of a record in a retry topic; dead-letter a record that has none of this workload's."""
        envelope = Envelope.read(message.headers())
        own = (self._workload.name, self._domain.topic.name)
        if envelope is not None and (envelope.group, envelope.source.topic) == own and not envelope.pointer:
            return envelope
        text = "a record in a retry topic without an envelope of this workload"
        self._letter(Record(message, None), 0, Failure("read", "malformed", text))
        return None

    def _poison(self, message: Any, envelope: Envelope | None, error: Exception) -> None:
        record = Record(message, envelope)
        reason = error.reason if isinstance(error, PoisonError) else "malformed"
        self._letter(record, record.attempts, Failure("read", reason, str(error) or type(error).__name__))

    def _failed(self, message: Any, envelope: Envelope | None, error: Exception) -> None:
        """Send a record on whose handler raised, or whose result cannot be published."""
        record = Record(message, envelope)
        attempt = record.attempts + 1
        if isinstance(error, Reject):
            self._letter(record, attempt, Failure.of("handle", "reject", error))
            return
        if isinstance(error, _UnpublishableError) and error.__cause__ is not None:
            failure = Failure.of("publish", "error", error.__cause__)
        else:
            failure = Failure.of("handle", "error", error)
        retry = next_retry(self._workload.retry_ms, attempt, time.time() * 1000)
        if retry is None:
            self._letter(record, attempt, failure)
        else:
            self._intake.offsets.hold(record.place, record.offset)
            self._publisher.retry(record, attempt, failure, retry)

    def _letter(self, record: Record, attempt: int, failure: Failure) -> None:
        self._intake.offsets.hold(record.place, record.offset)
        self._publisher.letter(record, attempt, failure)

    def _wait_for_registry(self, place: Place, offset: int, error: RegistryError) -> None:
        """Let a partition wait: that the registry cannot say what its next record is, is no fault of the record."""
        if isinstance(error, RegistryDenied):
            self._patience.trouble("registry", error)
        self._log.warning("Waiting for the registry", topic=place[0], partition=place[1], offset=offset, why=str(error))
        self._intake.hold_back(place, offset, time.time() * 1000 + _REGISTRY_BACKOFF_MS)

    def _settle(self) -> None:
        """Wait for the brokers' answers to a batch's outputs, and go back where they did not take them."""
        finished, stuck = self._publisher.settle()
        for ticket in finished:
            self._finish(ticket)
        if self._journal is not None:
            self._journal.write()
        if finished:
            self._refusals = 0
        if stuck:
            self._go_back(stuck)

    def _finish(self, ticket: Ticket) -> None:
        record, failure, source = ticket.record, ticket.failure, ticket.record.source
        self._intake.offsets.finish(record.place, record.offset)
        self.counts[ticket.outcome] += 1
        for topic in {topic for topic, _, _ in ticket.results}:
            self._patience.over(f"write {topic}")
        if failure is not None:
            self._log.warning(
                "Dead-lettered" if ticket.tier is None else f"Sent to retry tier {ticket.tier}",
                topic=source.topic,
                partition=source.partition,
                offset=source.offset,
                event_id=record.event_id,
                attempt=ticket.attempt,
                stage=failure.stage,
                reason=failure.reason,
                error=failure.message,
            )
        if self._journal is not None:
            self._journal.add(
                source,
                ticket.outcome,
                attempt=ticket.attempt,
                event_id=record.event_id,
                reason=None if failure is None else failure.reason,
                results=ticket.results,
            )

    def _go_back(self, stuck: list[Ticket]) -> None:
        """Read records again whose outputs the brokers did not take; give up where they refuse them for good."""
        delay = _BROKER_BACKOFF_MS[min(self._refusals, len(_BROKER_BACKOFF_MS) - 1)]
        self._refusals += 1
        _, topic, error = stuck[0].errors[0]
        self._log.warning(
            "The brokers did not take the outputs; these records are read again",
            records=len(stuck),
            first=str(stuck[0].record.source),
            to=topic,
            error=error.str(),
            wait_ms=delay,
        )
        for ticket in stuck:
            for _, topic, error in ticket.errors:
                trouble = trouble_of(error, self._workload.name, f"write {topic}")
                if trouble is not None and trouble[0] != "cluster":
                    self._patience.trouble(*trouble)
        until = time.time() * 1000 + delay
        for place in {ticket.record.place for ticket in stuck}:
            self._intake.rewind(place, until)

    def _note(self, journal: Journal, message: Any, envelope: Envelope | None, outcome: Outcome) -> None:
        record = Record(message, envelope)
        attempt = record.attempts + (outcome == "handled")
        journal.add(record.source, outcome, attempt=attempt, event_id=record.event_id)


class _UnpublishableError(Exception):
    """Carry what was wrong with a handler's result, as its cause."""


def _skip(_: Any) -> None:
    """Stand where there is no handler."""


_SKIP: _Entry = (None, _skip, None, False)


def _tombstone(key: bytes | None) -> Tombstone:
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise PoisonError("key-mismatch", f"a tombstone whose key, {key!r:.200}, names no event")
    return Tombstone(text)


def _key_mismatch(expected: str, key: bytes | None) -> PoisonError:
    return PoisonError("key-mismatch", f"the record's key is {key!r:.200}, the event's is {expected!r:.200}")
