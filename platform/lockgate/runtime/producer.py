"""The producer for programs: events checked before anything is sent, failures that reach the caller."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException

from lockgate import ids, records
from lockgate.contracts import names
from lockgate.contracts.derive import message_limit
from lockgate.contracts.load import load
from lockgate.errors import DeliveryError, EventError, LockgateError, UsageError
from lockgate.records import Coordinates
from lockgate.runtime.clients import trouble_of
from lockgate.runtime.delivery import Delivery, OnDelivery, resolve, running
from lockgate.runtime.encoding import EventEncoder, event_headers
from lockgate.runtime.links import Links, SettingsLinks
from lockgate.runtime.logs import logger_for
from lockgate.runtime.project import find_root, identity
from lockgate.runtime.scope import Scope

__all__ = ["Delivery", "Links", "Producer"]

_SHOWN = 5
"""How many failures a DeliveryError spells out."""
_FULL = 0.01
"""Seconds after which a coroutine looks again whether the client's queue has room."""
_HEARD_EVERY = 32
"""Events without a callback after which the brokers' answers are heard."""
_PURGED = 5.0
"""Seconds for the client to report what it was told to give up."""
_UNANSWERED = frozenset(
    {KafkaError._MSG_TIMED_OUT, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._TIMED_OUT}
)
"""What is said of an event, or of a step of a transaction, that no broker has answered for."""
_LOGIN_TRIED = 60.0
"""Seconds for which a refused login counts as the reason: a client that may log in again has done so by then."""
_CLEARLY_FITTING = 512 * 1024
"""A value of fewer bytes fits every topic with the headers of Lockgate's own: nothing has to be counted."""


_Record = tuple[str, str, str, bytes, bytes | None, list[Any]]
"""Event type, event id, topic, key, value, headers. A plain tuple: one is made for each event."""


class Producer:
    """Write events as one workload of the project that the working directory (or `root`) is in.

    Idempotent, `acks=all`, in order for each key, retried until the delivery timeout of 60 s. Use it as a context
    manager: leaving the block waits until everything is on the brokers, and raises DeliveryError where something is
    not. Safe to share between threads. `links` is for tests: `lockgate.testing.Kit.producer` gives its own.
    """

    def __init__(self, workload: str, *, root: Path | None = None, links: Links | None = None) -> None:
        contracts = load(find_root(root))
        declared = contracts.workload(workload)
        if not declared.publishes:
            raise UsageError(
                f"{workload} publishes nothing", next_step=f"list event types under `publishes` in {declared.location}"
            )
        self._workload = workload
        self._domains = {contracts.domain_of(name).name: contracts.domain_of(name) for name in declared.publishes}
        self._limits = {domain.topic.name: message_limit(domain) for domain in self._domains.values()}
        self._links = links or SettingsLinks(workload, identity(workload, contracts.root), contracts.root)
        # an id of this producer's own: what a predecessor left open ends by its timeout
        prefix = names.transactional_id_prefix(workload)
        self._own_id = prefix + secrets.token_hex(8) if declared.exactly_once else None
        self._refused: tuple[float, LockgateError] | None = None
        try:
            self._encoder = EventEncoder(contracts, declared, self._links.registry)
            self._encoder.look_up()
            self._client = self._links.connect(self._on_error, self._own_id)
        except BaseException:
            self._links.close()
            raise
        self._failures: list[DeliveryError] = []
        self._failed = 0
        self._lock = threading.Lock()  # callbacks run in whichever thread polls
        self._poller: threading.Thread | None = None
        self._closed = False
        self._unheard = 0
        self._scope = Scope(workload, self._client, self._behind) if self._own_id is not None else None
        self._declared_at = str(declared.location)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.close()
        except DeliveryError as failure:
            if error is None:
                raise
            error.add_note(failure.message)  # the error that is on its way stays the one to catch

    def send(
        self,
        event: Any,
        *,
        headers: Mapping[str, bytes] | None = None,
        event_id: str | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> str:
        """Check an event, hand it to the client, and return its CloudEvents id; the brokers answer later.

        `event` is a generated object, or `(full name, dict)`. Raise EventError where it does not fit its contract, or
        is larger than its topic takes: then nothing was sent. `headers` are added to the event's own. Wait while the
        client's queue is full. What the brokers do not take is told to `on_delivery`, or else raised by `flush`.
        """
        record = self._record(event, headers, event_id)
        if not self._produced(record, on_delivery):
            self._produce(record, on_delivery)
        return record[1]

    def submit(
        self, event: Any, *, headers: Mapping[str, bytes] | None = None, event_id: str | None = None
    ) -> Future[Delivery]:
        """Send an event, and return a future of where the brokers have put it; it raises DeliveryError.

        What a future tells, `flush` does not raise again. A future cannot be cancelled: the event is on its way.
        """
        future = running()
        self._produce(self._record(event, headers, event_id), partial(resolve, future))
        self._poll_in_background()
        return future

    async def asend(
        self, event: Any, *, headers: Mapping[str, bytes] | None = None, event_id: str | None = None
    ) -> Delivery:
        """Send an event, and return where the brokers have put it; raise DeliveryError where they do not take it.

        The event loop goes on meanwhile, also while the client's queue is full. An event whose task is cancelled may
        arrive all the same.
        """
        record, future = self._record(event, headers, event_id), running()
        while not self._produced(record, partial(resolve, future)):
            self._poll_in_background()
            await asyncio.sleep(_FULL)
        self._poll_in_background()
        return await asyncio.wrap_future(future)

    def send_tombstone(self, domain: str, key: str, *, on_delivery: OnDelivery | None = None) -> str:
        """Withdraw what a domain has said about a key; return the record's id."""
        found = self._domains.get(domain)
        if found is None:
            known = ", ".join(sorted(self._domains))
            raise UsageError(f"{self._workload} does not publish to {domain!r}", next_step=f"it publishes to {known}")
        if not key:
            raise EventError(domain, found.key, "a key", "an empty string")
        ident, traceparent = ids.new_event()
        own = event_headers("", ident, self._workload, traceparent)
        own = [pair for pair in own if pair[0] not in ("ce_type", "content-type")]
        record = ("tombstone", ident, found.topic.name, key.encode(), None, own)
        self._fitting(record, domain)
        self._produce(record, on_delivery)
        return ident

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all events that are sent in the block, or none: for a workload with `exactly_once: true`.

        Readers see them once the block has ended. Where it raises, or where the brokers do not take one of the events,
        the transaction is aborted; DeliveryError says what was not taken. One transaction at a time, from any thread. A
        future, a callback or `asend` tells that an event arrived, not yet that it counts.
        """
        scope = self._scope
        if scope is None:
            raise UsageError(
                f"{self._workload} writes without transactions", next_step=f"exactly_once: true in {self._declared_at}"
            )
        scope.begin()
        try:
            yield
            self._drained(None)
            self._raise_failures()
            if scope.refused is not None:
                raise scope.refused
        except BaseException as error:
            try:
                scope.abort()
            except DeliveryError as failure:
                error.add_note(failure.message)  # the brokers abort it when its time is over
            self._drained(_PURGED)
            with self._lock:
                self._failures, self._failed = [], 0
            if scope.refused is not None:
                # a client that has failed in a transaction was seen to purge events of the next one as well
                self._client = self._links.connect(self._on_error, self._own_id)
                scope.renew(self._client)
            raise
        scope.commit()

    def flush(self, timeout: float | None = None) -> None:
        """Wait for the brokers' answers to everything sent; raise DeliveryError for what they did not take.

        What was reported to an `on_delivery` callback is not reported again.
        `timeout` is in seconds; None waits until the delivery timeout has decided every record.
        """
        left = self._drained(timeout)
        self._raise_failures()
        if left:
            noun = "record" if left == 1 else "records"
            raise DeliveryError(f"{left} {noun} had no answer within {timeout:g} s", next_step="flush again to wait on")

    def close(self, timeout: float | None = None) -> None:
        """Wait as `flush` does, then let go of everything; raise DeliveryError for what the brokers did not take.

        What has no answer after `timeout` seconds is given up and counts as not taken, although it may have arrived.
        A second call does nothing.
        """
        if self._closed:
            return
        try:
            if self._drained(timeout):
                self._client.purge()
                self._drained(_PURGED)
            self._raise_failures()
        finally:
            self._closed = True
            if self._poller is not None:
                self._poller.join()
            self._links.close()

    def _drained(self, timeout: float | None) -> int:
        """Wait for the brokers' answers; return how many records have none."""
        end = None if timeout is None else time.monotonic() + timeout
        # in slices: Ctrl-C is seen in between
        while left := self._client.flush(0.2 if end is None else max(0.0, min(0.2, end - time.monotonic()))):
            if end is not None and time.monotonic() >= end:
                break
        return left

    def _raise_failures(self) -> None:
        with self._lock:
            failures, self._failures = self._failures, []
            failed, self._failed = self._failed, 0
        if failed:
            spelled = "; ".join(failure.message for failure in failures[:_SHOWN])
            more = f"; and {failed - _SHOWN} more" if failed > _SHOWN else ""
            noun = "event was" if failed == 1 else "events were"
            raise DeliveryError(f"{failed} {noun} not taken: {spelled}{more}", next_step=failures[0].next_step)

    def _record(self, event: Any, headers: Mapping[str, bytes] | None, event_id: str | None) -> _Record:
        """Return an event as it will be sent; raise EventError where it may not be."""
        event_type, topic, key, value = self._encoder.encode(event)
        ident, traceparent = ids.new_event()
        if event_id:
            ident = event_id
        own = event_headers(event_type, ident, self._workload, traceparent)
        if headers:
            taken = {name for name, _ in own}
            clash = sorted(name for name in headers if name in taken or name.startswith(("lockgate.", "__dlq.")))
            if clash:
                raise EventError(event_type, "", "headers beside the event's own", ", ".join(clash))
            own.extend(headers.items())
        record = (event_type, ident, topic, key, value, own)
        if headers or event_id or len(value) > _CLEARLY_FITTING:
            self._fitting(record, event_type)
        return record

    def _fitting(self, record: _Record, what: str) -> None:
        _, _, topic, key, value, headers = record
        size, limit = records.record_size(key, value, headers), self._limits[topic]
        if size > limit:
            raise EventError(what, "", f"a record of at most {limit:,} bytes, which {topic} takes", f"{size:,}")

    def _produce(self, record: _Record, on_delivery: OnDelivery | None) -> None:
        while not self._produced(record, on_delivery):
            self._client.poll(0.1)  # the queue is full: wait for the brokers

    def _produced(self, record: _Record, on_delivery: OnDelivery | None) -> bool:
        """Hand a record to the client; return whether its queue had room."""
        if self._closed:
            raise UsageError(f"the producer of {self._workload} is closed")
        if self._scope is not None and not self._scope.open:
            raise UsageError(f"{self._workload} writes in transactions", next_step="with producer.transaction(): …")
        event_type, event_id, topic, key, value, headers = record
        # a delivery report carries no headers: what it is about has to be kept here
        if on_delivery is None:
            done = partial(self._answered, event_type, event_id)
        else:
            done = partial(self._delivered, event_type, event_id, on_delivery)
        try:
            self._client.produce(topic, value, key, on_delivery=done, headers=headers)
        except BufferError:
            return False
        except KafkaException as error:
            raise self._failure(event_type, event_id, topic, error.args[0]) from error
        if self._poller is None:
            self._unheard += 1
            if on_delivery is not None or self._unheard >= _HEARD_EVERY:  # somebody waits, or there is much to hear
                self._unheard = 0
                self._client.poll(0)
        return True

    def _poll_in_background(self) -> None:
        """See to it that the brokers' answers are heard although the caller only waits."""
        with self._lock:
            if self._poller is None:
                self._poller = threading.Thread(target=self._poll, name=f"poll {self._workload}", daemon=True)
                self._poller.start()

    def _poll(self) -> None:
        while not self._closed:
            self._client.poll(0.1)

    def _delivered(
        self, event_type: str, ident: str, on_delivery: OnDelivery, error: KafkaError | None, message: Any
    ) -> None:
        """Tell a caller what became of an event."""
        failure = None
        place = None
        if error is None:
            place = Coordinates(message.topic(), message.partition(), message.offset())
        else:
            failure = self._failure(event_type, ident, message.topic(), error)
            self._spoil(failure)
        on_delivery(Delivery(event_type, ident, place, failure))

    def _answered(self, event_type: str, ident: str, error: KafkaError | None, message: Any) -> None:
        """Keep what became of an event for the next flush, if the brokers did not take it."""
        if error is None:
            return
        failure = self._failure(event_type, ident, message.topic(), error)
        self._spoil(failure)
        with self._lock:
            self._failed += 1
            if len(self._failures) < _SHOWN:
                self._failures.append(failure)

    def _spoil(self, failure: DeliveryError) -> None:
        if self._scope is not None and self._scope.refused is None:
            self._scope.refused = failure

    def _failure(self, event_type: str, ident: str, topic: str, error: KafkaError) -> DeliveryError:
        trouble = trouble_of(error, self._workload, f"write {topic}")
        why, step = error.str(), trouble[1].next_step if trouble is not None else None
        if (login := self._behind(error)) is not None:
            why, step = login.message, login.next_step
        return DeliveryError(f"{event_type} {ident} to {topic}: {why}", next_step=step)

    def _behind(self, error: KafkaError) -> LockgateError | None:
        """Return the refused login that is behind an answer that did not come; None where there is none."""
        if error.code() not in _UNANSWERED or self._refused is None:
            return None
        since, login = self._refused
        return login if time.monotonic() - since < _LOGIN_TRIED else None

    def _on_error(self, error: KafkaError) -> None:
        trouble = trouble_of(error, self._workload, "reach the cluster")
        if trouble is not None and trouble[0] == "login":
            self._refused = time.monotonic(), trouble[1]
        logger_for(self._workload).warning("The Kafka client reports", error=error.str())
