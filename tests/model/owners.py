"""Processes that run a workload on brokers in memory: the real loop, step by step, without threads and without time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
from confluent_kafka import KafkaException

from lockgate import Context, Reject, Service
from lockgate.contracts import names
from lockgate.contracts.model import Contracts, Domain, EventType, TopicSpec, Workload
from lockgate.contracts.model import Service as DeclaredService
from lockgate.errors import LockgateError
from lockgate.records import Envelope
from lockgate.runtime.assembly import assemble
from lockgate.runtime.control import Control
from lockgate.runtime.dispatch import dispatch_table
from lockgate.runtime.patience import Patience
from lockgate.runtime.signals import Stop
from tests.labs import HERE, OWNER, SCHEMA, SENT, FakeRegistry
from tests.model.brokers import Brokers, Round
from tests.model.clients import Consumer, ControlReader, Crash
from tests.model.producers import Producer
from tests.model.threads import TIME, Laters, Made, Slots

RETRY_MS = (300, 700)


def _domain(name: str, schema: dict[str, Any]) -> Domain:
    kind = EventType(f"{name}.{schema['name']}", schema, HERE)
    return Domain(name, OWNER, TopicSpec(name, 4, 1, -1), "id", "FULL", (kind,), (), (), HERE)


DOMAINS = (_domain("items", SCHEMA), _domain("mail", SENT))


@attrs.define(eq=False)
class Fault:
    """Something that happens at the n-th of the calls of one kind that a client gets from now on."""

    moment: str
    count: int
    what: str


class Owner:
    """One process; it may end in the midst of any call of its clients."""

    def __init__(
        self,
        brokers: Brokers,
        workload: Workload,
        *,
        fate: Callable[[Owner, Round, int], str],
        began: Callable[[Owner, Round, int], None],
        meanwhile: Callable[[Owner], None],
    ) -> None:
        Made.by = self
        self.alive = True
        self._grace_ends = float("inf")
        self.brokers = brokers
        self.commits: Laters | None = None
        self.pool: Slots | None = None
        self.faults: list[Fault] = []
        self._began = began
        self._meanwhile = meanwhile
        self._producers: list[Producer] = []
        service = Service("service")

        @service.handler("work", event_type="items.Made")
        def handle(event: dict[str, Any], context: Context) -> Any:
            where = (context.partition, context.offset, context.replay)
            if self.pool is None:
                self._begins(where, context.attempt)
            match fate(self, where, context.attempt):
                case "fail":
                    raise RuntimeError("later")
                case "reject":
                    raise Reject("never")
                case "result":
                    return "mail.Sent", {"id": event["id"]}
            return None

        registry: Any = FakeRegistry()
        declared = DeclaredService("service", "service", OWNER, (workload,), HERE)
        contracts = Contracts(Path(), DOMAINS, (declared,))
        connect: Any = self._connect
        producer: Any = self._produce
        assembly = assemble(
            contracts,
            workload,
            dispatch_table(contracts, workload, service),
            registry=registry,
            consumer=connect,
            producer=producer,
            patience=Patience(1e9),
            stop=Stop(),
            journal=None,
            clock=TIME.time,
        )
        assembly.encoder.look_up()
        self.loop = assembly.loop
        hear: Any = self._hear
        assembly.intake.control = self.control = Control("work", brokers.control, hear, Patience(1e9))
        self.guarded(lambda: self._start(assembly.settlement.prepare))

    def _start(self, prepare: Callable[[], bool]) -> None:
        self.control.read(1)
        while not prepare():
            pass
        self.loop.begin(list(dict.fromkeys(place[0] for place in self.brokers.subscribed)))

    def _connect(self) -> Consumer:
        self.consumer = Consumer(self.brokers, self.moment)
        return self.consumer

    def _hear(self) -> ControlReader:
        self.consumer.reader = ControlReader(self.brokers, self.moment)
        return self.consumer.reader

    def _produce(self) -> Producer:
        for producer in self._producers:
            producer.replaced()
        self._producers.append(
            Producer(self.brokers, self.moment, lambda: (self, getattr(self.consumer, "generation", -1)))
        )
        return self._producers[-1]

    def begins(self, message: Any, envelope: Envelope | None) -> None:
        """Note that a handler begins, in the pool."""
        if envelope is None:
            self._begins((message.partition(), message.offset(), 0), 1)
        else:
            source = envelope.source
            self._begins((source.partition, source.offset, envelope.replay), envelope.attempt + 1)

    def _begins(self, one: Round, attempt: int) -> None:
        self._began(self, one, attempt)

    def moment(self, name: str) -> str | None:
        """Tell what happens at a call of a client."""
        if not self.alive:
            raise Crash
        for fault in self.faults:
            if fault.moment == name:
                fault.count -= 1
                if fault.count <= 0:
                    self.faults.remove(fault)
                    if fault.what == "crash":
                        self.alive = False  # now: a process that is killed does nothing on its way out
                        raise Crash
                    if fault.what == "meanwhile":
                        self._meanwhile(self)
                        return None
                    if fault.what == "others":
                        if self.pool is not None:
                            self.pool.others()
                        return None
                    return fault.what
        return None

    def guarded(self, call: Callable[[], None]) -> None:
        """Do something as this process; it may be its end."""
        try:
            call()
        except Crash:
            self.alive = False
        except (LockgateError, KafkaException):
            self._end()

    def step(self) -> None:
        self.guarded(self.loop.step)

    def stop(self) -> None:
        """End in order, as far as the brokers let it, and as its grace period does."""
        self.loop._stop.requested = True
        self._grace_ends = TIME.now + self.loop._stop.grace
        self._end()

    def end_after_grace(self) -> None:
        """End at once, as the stop does whatever the process waits for, where its time is over."""
        if TIME.now > self._grace_ends:
            self.alive = False
            raise Crash

    def _end(self) -> None:
        with suppress(Crash, LockgateError, KafkaException):
            self.loop.end()
        self.alive = False

    def time_out(self) -> None:
        """Let the brokers take it for dead: its session is over, and so is its transaction."""
        self.brokers.remove(self.consumer)
        for producer in self._producers:
            producer.replaced()


def topics_of(workload: Workload) -> list[str]:
    """Return what a workload subscribes to."""
    topics = ["items", *(names.retry_topic("items", workload.name, tier + 1) for tier in range(len(workload.retry_ms)))]
    return [*topics, names.parked_topic("items", workload.name)] if workload.parks else topics
