"""The producer for programs: events checked before anything is sent, failures that reach the caller."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
from confluent_kafka import KafkaError, KafkaException

from lockgate.contracts.load import load
from lockgate.errors import DeliveryError, EventError, UsageError
from lockgate.records import Coordinates
from lockgate.registry import Registry
from lockgate.runtime.clients import connect_producer, trouble_of
from lockgate.runtime.encoding import EventEncoder, event_headers
from lockgate.runtime.logs import logger_for
from lockgate.runtime.project import find_root, identity

__all__ = ["Delivery", "Producer"]

_SHOWN = 5
"""How many failures a DeliveryError spells out."""


@attrs.frozen
class Delivery:
    """Say what became of one event: `error` is None where the brokers have it."""

    event_type: str
    event_id: str
    place: Coordinates | None
    error: DeliveryError | None


OnDelivery = Callable[[Delivery], None]


class Producer:
    """Write events as one workload of the project that the working directory (or `root`) is in.

    Idempotent, `acks=all`, retried until the delivery timeout of 60 s. Use it as a context manager: leaving the block
    waits until everything is on the brokers, and raises DeliveryError where something is not. Safe to share between
    threads.
    """

    def __init__(self, workload: str, *, root: Path | None = None) -> None:
        contracts = load(find_root(root))
        declared = contracts.workload(workload)
        if not declared.publishes:
            raise UsageError(
                f"{workload} publishes nothing", next_step=f"list event types under `publishes` in {declared.location}"
            )
        settings = identity(workload, contracts.root)
        self._workload = workload
        self._domains = {contracts.domain_of(name).name: contracts.domain_of(name) for name in declared.publishes}
        self._registry = Registry(settings)
        try:
            self._encoder = EventEncoder(contracts, declared, self._registry)
            self._encoder.look_up()
            self._client = connect_producer(settings, workload, self._on_error)
        except BaseException:
            self._registry.close()
            raise
        self._failures: list[DeliveryError] = []
        self._failed = 0
        self._lock = threading.Lock()  # callbacks run in whichever thread polls

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.flush()
        except DeliveryError as failure:
            if error is None:
                raise
            error.add_note(failure.message)  # the error that is on its way stays the one to catch
        finally:
            self.close()

    def send(
        self,
        event: Any,
        *,
        headers: Mapping[str, bytes] | None = None,
        event_id: str | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> str:
        """Check an event, hand it to the client, and return its CloudEvents id; the brokers answer later.

        `event` is a generated object, or `(full name, dict)`. Raise EventError where it does not fit its contract:
        then nothing was sent. `headers` are added to the event's own. Wait while the client's queue is full.
        """
        encoded = self._encoder.encode(event)
        ident = event_id or str(uuid.uuid4())
        own = event_headers(encoded.event_type, ident, self._workload, None)
        if headers:
            taken = {name for name, _ in own}
            clash = sorted(name for name in headers if name in taken or name.startswith(("lockgate.", "__dlq.")))
            if clash:
                raise EventError(encoded.event_type, "", "headers beside the event's own", ", ".join(clash))
            own.extend(headers.items())
        self._produce(encoded.topic, encoded.key, encoded.value, own, encoded.event_type, ident, on_delivery)
        return ident

    def send_tombstone(self, domain: str, key: str, *, on_delivery: OnDelivery | None = None) -> str:
        """Withdraw what a domain has said about a key; return the record's id."""
        found = self._domains.get(domain)
        if found is None:
            known = ", ".join(sorted(self._domains))
            raise UsageError(f"{self._workload} does not publish to {domain!r}", next_step=f"it publishes to {known}")
        if not key:
            raise EventError(domain, found.key, "a key", "an empty string")
        ident = str(uuid.uuid4())
        own = event_headers("", ident, self._workload, None)
        own = [pair for pair in own if pair[0] not in ("ce_type", "content-type")]
        self._produce(found.topic.name, key.encode(), None, own, "tombstone", ident, on_delivery)
        return ident

    def flush(self, timeout: float | None = None) -> None:
        """Wait for the brokers' answers to everything sent; raise DeliveryError for what they did not take.

        What was reported to an `on_delivery` callback is not reported again.
        `timeout` is in seconds; None waits until the delivery timeout has decided every record.
        """
        end = None if timeout is None else time.monotonic() + timeout
        # in slices: Ctrl-C is seen in between
        while left := self._client.flush(0.2 if end is None else max(0.0, min(0.2, end - time.monotonic()))):
            if end is not None and time.monotonic() >= end:
                break
        with self._lock:
            failures, self._failures = self._failures, []
            failed, self._failed = self._failed, 0
        if failed:
            spelled = "; ".join(failure.message for failure in failures[:_SHOWN])
            more = f"; and {failed - _SHOWN} more" if failed > _SHOWN else ""
            noun = "event was" if failed == 1 else "events were"
            raise DeliveryError(f"{failed} {noun} not taken: {spelled}{more}", next_step=failures[0].next_step)
        if left:
            noun = "record" if left == 1 else "records"
            raise DeliveryError(f"{left} {noun} had no answer within {timeout:g} s", next_step="flush again to wait on")

    def close(self) -> None:
        """Let go of the registry; the Kafka client goes with the object."""
        self._registry.close()

    def _produce(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: list[Any],  # pairs of a name and bytes or None; the client's stub asks for an invariant list
        event_type: str,
        ident: str,
        on_delivery: OnDelivery | None,
    ) -> None:
        done = partial(self._delivered, event_type, ident, on_delivery)
        while True:
            try:
                self._client.produce(topic, value, key, on_delivery=done, headers=headers)
            except BufferError:
                self._client.poll(0.1)  # the queue is full: wait for the brokers
            except KafkaException as error:
                raise self._failure(event_type, ident, topic, error.args[0]) from error
            else:
                self._client.poll(0)
                return

    def _delivered(
        self, event_type: str, ident: str, on_delivery: OnDelivery | None, error: KafkaError | None, message: Any
    ) -> None:
        failure = None
        place = None
        if error is None:
            place = Coordinates(message.topic(), message.partition(), message.offset())
        else:
            failure = self._failure(event_type, ident, message.topic(), error)
        if on_delivery is not None:
            on_delivery(Delivery(event_type, ident, place, failure))
        elif failure is not None:
            with self._lock:
                self._failed += 1
                if len(self._failures) < _SHOWN:
                    self._failures.append(failure)

    def _failure(self, event_type: str, ident: str, topic: str, error: KafkaError) -> DeliveryError:
        trouble = trouble_of(error, self._workload, f"write {topic}")
        step = trouble[1].next_step if trouble is not None else None
        return DeliveryError(f"{event_type} {ident} to {topic}: {error.str()}", next_step=step)

    def _on_error(self, error: KafkaError) -> None:
        logger_for(self._workload).warning("The Kafka client reports", error=error.str())
