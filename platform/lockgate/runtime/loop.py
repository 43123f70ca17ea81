"""The consumer loop of one workload: take a batch, handle it, settle what it led to, commit what is finished."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lockgate.contracts.model import Domain, Workload
from lockgate.errors import ClusterError, PoisonError, RegistryDenied, RegistryError, Reject
from lockgate.records import Envelope
from lockgate.runtime.clients import trouble_of
from lockgate.runtime.context import Tombstone
from lockgate.runtime.dispatch import Handler, Table
from lockgate.runtime.encoding import Encoded, EventEncoder
from lockgate.runtime.journal import Journal, Outcome
from lockgate.runtime.offsets import Offsets, Place
from lockgate.runtime.pace import Pace
from lockgate.runtime.patience import Patience
from lockgate.runtime.publisher import Publisher, Ticket
from lockgate.runtime.reader import HEAD, Reader
from lockgate.runtime.record import Failure, Record
from lockgate.runtime.results import collect
from lockgate.runtime.retries import next_retry
from lockgate.runtime.signals import Stop
from lockgate.runtime.waiting import Waiting

__all__ = ["Loop"]

_IDLE = 0.2
"""Seconds that a poll may block: how late a stop is noticed when nothing arrives."""
_COMMIT_EVERY = 0.2
_BATCH_AT_MOST = 2.0
"""Seconds after which the rest of a batch is put back: handlers turned much slower than the pace knew."""
_BACKOFF_MS = (500, 1000, 2000, 5000, 10000)

_Entry = tuple[Callable[[bytes], dict[str, Any]] | None, Callable[..., Any], Callable[..., Any] | None, bool]


class _UnpublishableError(Exception):
    """Carry what was wrong with a handler's result."""


class Loop:
    """Run one workload with clients that others have made; `run` returns after a stop, everything finished committed.

    The rule that it keeps: an offset is committed only when every record below it is finished, that is handled with
    its results on the brokers, skipped, copied to a retry topic, or dead-lettered.
    """

    def __init__(
        self,
        workload: Workload,
        domain: Domain,
        table: Table,
        *,
        consumer: Callable[[Callable[..., None]], Consumer],
        publisher: Publisher,
        reader: Reader,
        encoder: EventEncoder,
        patience: Patience,
        stop: Stop,
        journal: Journal | None = None,
    ) -> None:
        self._workload = workload
        self._topic = domain.topic.name
        self._key = domain.key
        self._table = table
        self._publisher = publisher
        self._reader = reader
        self._encoder = encoder
        self._patience = patience
        self._stop = stop
        self._journal = journal
        self.joined = False
        """Whether the group has given this process partitions, or told it that there are none, at least once."""
        self._consumer = consumer(self._on_commit)
        self._runner = asyncio.Runner()
        self._entries: dict[bytes, _Entry] = {}
        self._tombstone = _SKIP if table.tombstone is None else _entry(None, table.tombstone)
        self._offsets = Offsets()
        self._waiting = Waiting()
        self._pace = Pace()
        self._blocked: set[Place] = set()  # held back within the batch in hand
        self._failures = 0  # batches in a row whose outputs the brokers did not take
        self._committed_at = 0.0
        self._counts = {"handled": 0, "skipped": 0, "retried": 0, "dead-lettered": 0}
        self._log = structlog.get_logger().bind(logger=workload.name)

    def run(self, topics: Sequence[str]) -> None:
        """Consume until the stop; raise ClusterDenied, RegistryDenied or ClusterError where waiting has no point."""
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        try:
            while not self._stop.requested:
                batch = self._take()
                if batch:
                    started = time.monotonic()
                    taken = self._handle(batch)
                    self._settle()
                    self._pace.handled(taken, time.monotonic() - started)
                else:
                    self._publisher.serve()
                if time.monotonic() - self._committed_at >= _COMMIT_EVERY:
                    self._commit()
                self._patience.check()
        finally:
            self._leave()

    # ------------------------------------------------------------------ taking

    def _take(self) -> list[Any]:
        now = time.time() * 1000
        for place in self._waiting.ready(now):
            self._consumer.resume([TopicPartition(*place)])
        limit = self._pace.size
        batch: list[Any] = self._consumer.consume(limit, 0)  # blocks for as long as the batch is not full
        if not batch:
            first = self._consumer.poll(self._waiting.timeout(now, _IDLE))
            if first is not None:
                batch = [first] if limit == 1 else [first, *self._consumer.consume(limit - 1, 0)]
        return batch

    def _handle(self, batch: list[Any]) -> int:  # messages untyped: the client's stub makes every field optional
        """Handle a batch; return how many of its messages were seen to."""
        entries, offsets, stop, blocked = self._entries, self._offsets, self._stop, self._blocked
        main, key_field, name = self._topic, self._key, self._workload.name
        noting = self._journal is not None
        clock, deadline = time.monotonic, time.monotonic() + _BATCH_AT_MOST
        blocked.clear()
        topic: Any = None
        partition, done, handled, skipped, index = -1, -1, 0, 0, 0
        place: Place = ("", -1)
        try:
            for index, message in enumerate(batch):
                if stop.requested or clock() > deadline:
                    self._put_back(batch[index:])
                    return index
                if message.error() is not None:
                    self._on_error(message)
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
                        self._hold_back(place, offset, envelope.due)
                        continue
                try:
                    value = message.value()
                    if value is None:
                        decode, function, build, contextual = self._tombstone
                        event: Any = None if function is _skip else _tombstone(message)
                    else:
                        entry = entries.get(value[:HEAD])
                        decode, function, build, contextual = self._learn(value) if entry is None else entry
                        if decode is not None:
                            event = decode(value)
                            if event[key_field].encode() != message.key():
                                raise _key_mismatch(event[key_field], message.key())
                except RegistryError as error:
                    self._registry_trouble(place, offset, error)
                    continue
                except Exception as error:
                    self._poison(message, envelope, error)
                    done = offset + 1
                    continue
                if function is _skip:
                    skipped += 1
                    if noting:
                        self._note(message, envelope, "skipped")
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
                    if noting:
                        self._note(message, envelope, "handled")
                done = offset + 1
        finally:
            # also when a handler ended the process: what was finished before counts, the record in hand does not
            if done >= 0:
                offsets.read_to(place, done)
            self._counts["handled"] += handled
            self._counts["skipped"] += skipped
        return index + 1

    def _learn(self, value: bytes) -> _Entry:
        """Return what to do with values that begin like this one, and remember it."""
        known = self._reader.resolve(value)
        entry = _SKIP if known.decode is None else _entry(known.decode, self._table.events[known.event_type])
        self._entries[value[:HEAD]] = entry
        return entry

    def _outputs(self, result: Any) -> list[Encoded]:
        """Return a handler's results, all of them encoded before the first is sent."""
        events = collect(result, self._runner)
        try:
            return [self._encoder.encode(event) for event in events]
        except Exception as error:
            raise _UnpublishableError from error

    # ------------------------------------------------------------------ what goes wrong with a record

    def _envelope(self, message: Any) -> Envelope | None:
        """Return the envelope of a record in a retry topic; dead-letter a record that has none of this workload's."""
        envelope = Envelope.read(message.headers())
        mine = envelope is not None and (envelope.group, envelope.source.topic) == (self._workload.name, self._topic)
        if envelope is not None and mine and not envelope.pointer:
            return envelope
        text = "a record in a retry topic without an envelope of this workload"
        self._letter(Record(message, None), 0, Failure("read", "malformed", text))
        return None

    def _poison(self, message: Any, envelope: Envelope | None, error: Exception) -> None:
        record = Record(message, envelope)
        reason = error.reason if isinstance(error, PoisonError) else "malformed"
        self._letter(record, record.attempts, Failure("read", reason, str(error) or type(error).__name__))

    def _failed(self, message: Any, envelope: Envelope | None, error: Exception) -> None:
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
            self._offsets.hold(record.place, record.offset)
            self._publisher.retry(record, attempt, failure, retry)

    def _letter(self, record: Record, attempt: int, failure: Failure) -> None:
        self._offsets.hold(record.place, record.offset)
        self._publisher.letter(record, attempt, failure)

    def _registry_trouble(self, place: Place, offset: int, error: RegistryError) -> None:
        """Let a partition wait until the registry can say what its next record is: that is no fault of the record."""
        if isinstance(error, RegistryDenied):
            self._patience.trouble("registry", error)
        self._log.warning("Waiting for the registry", topic=place[0], partition=place[1], offset=offset, why=str(error))
        self._hold_back(place, offset, time.time() * 1000 + _BACKOFF_MS[1])

    # ------------------------------------------------------------------ waiting, going back

    def _hold_back(self, place: Place, offset: int, until: float) -> None:
        """Let a partition wait, to go on with the record at `offset`; the rest of its batch is dropped."""
        self._blocked.add(place)
        self._waiting.wait(place, until)
        self._seek(place, offset)
        self._consumer.pause([TopicPartition(*place)])

    def _put_back(self, rest: list[Any]) -> None:
        """Give back what was taken and not handled."""
        first: dict[Place, int] = {}
        for message in rest:
            place = (message.topic(), message.partition())
            if place[0] is not None and place not in self._blocked:
                first.setdefault(place, message.offset())
        if not self._stop.requested:
            for place, offset in first.items():
                self._seek(place, offset)

    def _seek(self, place: Place, offset: int) -> None:
        try:
            self._consumer.seek(TopicPartition(*place, offset))
        except KafkaException as error:
            # going on without it would pass over records; a new start begins at the committed offset
            raise ClusterError(
                f"{self._workload.name} could not go back to {place[0]}-{place[1]}@{offset}: {error}"
            ) from error

    # ------------------------------------------------------------------ settling

    def _settle(self) -> None:
        """Wait for the brokers' answers to a batch's outputs, and go back where they did not take them."""
        finished, stuck = self._publisher.settle()
        for ticket in finished:
            self._finish(ticket)
        if self._journal is not None:
            self._journal.write()
        if not stuck:
            self._failures = 0 if finished else self._failures
            return
        delay = _BACKOFF_MS[min(self._failures, len(_BACKOFF_MS) - 1)]
        self._failures += 1
        _, topic, error = stuck[0].errors[0]
        self._log.warning(
            "The brokers did not take the outputs; these records are read again",
            records=len(stuck), first=str(stuck[0].record.source), to=topic, error=error.str(), wait_ms=delay,
        )  # fmt: skip
        for ticket in stuck:
            for _, topic, error in ticket.errors:
                trouble = trouble_of(error, self._workload.name, f"write {topic}")
                if trouble is not None and trouble[0] != "cluster":
                    self._patience.trouble(*trouble)
        for place in {ticket.record.place for ticket in stuck}:
            offset = self._offsets.rewind(place)
            if offset is not None:
                self._hold_back(place, offset, time.time() * 1000 + delay)

    def _finish(self, ticket: Ticket) -> None:
        record, failure = ticket.record, ticket.failure
        self._offsets.finish(record.place, record.offset)
        self._counts[ticket.outcome] += 1
        if failure is not None:
            source = record.source
            what = "Dead-lettered" if ticket.tier is None else f"Sent to retry tier {ticket.tier}"
            self._log.warning(
                what, topic=source.topic, partition=source.partition, offset=source.offset, group=self._workload.name,
                event_id=record.event_id, attempt=ticket.attempt, stage=failure.stage, reason=failure.reason,
                error=failure.message,
            )  # fmt: skip
        if self._journal is not None:
            reason = None if failure is None else failure.reason
            self._journal.add(
                record.source, ticket.outcome, attempt=ticket.attempt, event_id=record.event_id, reason=reason,
                results=ticket.results,
            )  # fmt: skip

    def _note(self, message: Any, envelope: Envelope | None, outcome: Outcome) -> None:
        record = Record(message, envelope)
        attempt = record.attempts + (outcome == "handled")
        if self._journal is not None:
            self._journal.add(record.source, outcome, attempt=attempt, event_id=record.event_id)

    # ------------------------------------------------------------------ committing, partitions coming and going

    def _commit(self, places: set[Place] | None = None, *, wait: bool = False) -> None:
        """Commit what is finished; a commit that fails is repeated with the next one, or right here where it waits."""
        self._committed_at = time.monotonic()
        found = [entry for entry in self._offsets.outstanding() if places is None or entry[:2] in places]
        if not found:
            return
        offsets = [TopicPartition(*entry) for entry in found]
        for topic, partition, offset in found:
            self._offsets.committed((topic, partition), offset)
        try:
            if wait:
                self._on_commit(None, self._consumer.commit(offsets=offsets, asynchronous=False))
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], offsets)

    def _on_commit(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        failed = [entry for entry in partitions if error is not None or entry.error is not None]
        for entry in failed:
            self._offsets.commit_failed((entry.topic, entry.partition))
        if failed:
            why = error or failed[0].error
            self._log.warning("A commit failed", partitions=len(failed), error=why.str() if why else "")

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.joined = True
        self._patience.over("group")
        self._patience.over("login")
        self._log.info("Partitions assigned", group=self._workload.name, partitions=_listed(partitions))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit({(entry.topic, entry.partition) for entry in partitions}, wait=True)
        self._forget(consumer, partitions)
        self._log.info("Partitions given back", group=self._workload.name, partitions=_listed(partitions))

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(consumer, partitions)
        self._log.warning("Partitions lost", group=self._workload.name, partitions=_listed(partitions))

    def _forget(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop everything known about partitions; none of them stays paused for when it comes back."""
        for entry in partitions:
            place = (entry.topic, entry.partition)
            if place in self._waiting:
                self._waiting.forget(place)
                consumer.resume([TopicPartition(*place)])
            self._offsets.forget(place)

    def _on_error(self, message: Any) -> None:
        error, place = message.error(), (message.topic(), message.partition())
        if error.code() == KafkaError._PARTITION_EOF:
            # every record before it was seen; transaction markers in between have offsets, too
            if place not in self._blocked and place not in self._waiting:
                self._offsets.read_to(place, message.offset())
                self._patience.over(f"read {place[0]}")
            return
        doing = f"read {place[0]}" if place[0] else "group"
        trouble = trouble_of(error, self._workload.name, doing)
        if error.fatal():
            raise ClusterError(f"{self._workload.name} cannot go on: {error.str()}")
        if trouble is None or trouble[0] == "cluster" or self._patience.trouble(*trouble):
            self._log.warning("The consumer reports", error=error.str())

    def _leave(self) -> None:
        """Settle, commit and leave the group, also on the way out of an error."""
        try:
            self._settle()
            self._commit(wait=True)
        finally:
            self._consumer.close()
            self._runner.close()
            if self._journal is not None:
                self._journal.close()
            self._log.info("Stopped", group=self._workload.name, **self._counts)


def _skip(_: Any) -> None:
    """Stand where there is no handler."""


_SKIP: _Entry = (None, _skip, None, False)


def _entry(decode: Callable[[bytes], dict[str, Any]] | None, handler: Handler) -> _Entry:
    return decode, handler.function, handler.build, handler.contextual


def _tombstone(message: Any) -> Tombstone:
    key = message.key()
    try:
        return Tombstone(key.decode())
    except (AttributeError, UnicodeDecodeError):
        raise PoisonError("key-mismatch", "a tombstone whose key names no event") from None


def _key_mismatch(expected: str, key: bytes | None) -> PoisonError:
    return PoisonError("key-mismatch", f"the record's key is {key!r:.200}, the event's is {expected!r:.200}")


def _listed(partitions: list[TopicPartition]) -> str:
    return " ".join(sorted(f"{entry.topic}-{entry.partition}" for entry in partitions)) or "none"
