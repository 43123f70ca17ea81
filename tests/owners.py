"""Processes that run a workload on brokers in memory: the real loop, step by step, without threads and without time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from confluent_kafka import KafkaException

from lockgate import Context, Reject, Service
from lockgate.contracts import names
from lockgate.contracts.model import Contracts, Domain, EventType, TopicSpec, Workload
from lockgate.contracts.model import Service as DeclaredService
from lockgate.errors import LockgateError
from lockgate.records import Place
from lockgate.runtime import commits, concurrent, intake, loop, settlement, transactions
from lockgate.runtime.assembly import assemble
from lockgate.runtime.dispatch import dispatch_table
from lockgate.runtime.encoding import EventEncoder
from lockgate.runtime.lanes import Job, Lanes
from lockgate.runtime.patience import Patience
from lockgate.runtime.pools import _handle
from lockgate.runtime.signals import Stop
from tests.brokers import Brokers, Consumer, Crash, Producer
from tests.labs import HERE, OWNER, SCHEMA, SENT, FakeRegistry

RETRY_MS = (300, 700)


def _domain(name: str, schema: dict[str, Any]) -> Domain:
    kind = EventType(f"{name}.{schema['name']}", schema, HERE)
    return Domain(name, OWNER, TopicSpec(name, 4, 1, -1), "id", "FULL", (kind,), (), (), HERE)


DOMAINS = (_domain("items", SCHEMA), _domain("mail", SENT))


class Time:
    """Stand in for the module: it goes on when a test says so, or when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Later(Future[Any]):
    """A commit under way: it reaches the brokers when it is waited for, or when the test says so."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__()
        self._call = call

    def arrive(self) -> None:
        if not self.done():
            try:
                self.set_result(self._call())
            except KafkaException as error:
                self.set_exception(error)


class Laters:
    """Stand in for the thread that commits."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.under_way: list[Later] = []
        Owner.being_made.commits = self

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Later:
        self.under_way.append(Later(lambda: call(*arguments)))
        return self.under_way[-1]

    def shutdown(self) -> None:
        pass

    def arrive(self) -> None:
        for later in self.under_way:
            later.arrive()
        self.under_way.clear()


def _wait(futures: Iterable[Later], timeout: float | None = None) -> tuple[list[Later], list[Later]]:
    for future in futures:
        future.arrive()
    return list(futures), []


class NoKeepAlive:
    """Stand where a thread polls beside a slow handler: here, no handler is slow for longer than a step."""

    steering = False

    def __init__(self, *_: Any) -> None:
        pass

    def busy(self) -> None:
        pass

    def idle(self) -> list[Any]:
        return []

    def forget(self, place: Place) -> bool:
        return False

    def close(self) -> None:
        pass


class Slots:
    """A pool whose handlers end when the test says so."""

    def __init__(self, workload: str, size: int, _: Any, lanes: Lanes, encoder: EventEncoder) -> None:
        self._workload, self._size, self._lanes, self._encoder = workload, size, lanes, encoder
        self._owner = Owner.being_made
        self._owner.pool = self
        self.running: list[Job] = []
        self._ended: list[Job] = []
        self.hanging = False
        """Whether handlers do not end, however long they are waited for."""

    def start(self) -> None:
        pass

    def add(self, jobs: Sequence[Job]) -> None:
        self._lanes.add(jobs)
        self.wake()

    def wake(self) -> None:
        while len(self.running) < self._size and (job := self._lanes.take()) is not None:
            self.running.append(job)
            source = job.envelope.source if job.envelope is not None else None
            where = (source.partition, source.offset) if source else (job.share.place[1], job.message.offset())
            self._owner.began(where, 1 if job.envelope is None else job.envelope.attempt + 1)

    def end(self, index: int) -> None:
        """Let a handler end."""
        job = self.running.pop(index % len(self.running))
        nobody: Any = None  # there is no coroutine to run
        _handle(job, self._workload, self._encoder, nobody)
        self._ended.append(job)
        self._lanes.done(job)
        self.wake()

    def finished(self) -> list[Job]:
        ended, self._ended = self._ended, []
        return ended

    def wait(self, seconds: float) -> None:
        if self.running and not self.hanging:
            self.end(0)
            return
        TIME.sleep(1)
        self._owner.end_after_grace()

    def close(self) -> None:
        pass


TIME = Time()


def replaced(patch: pytest.MonkeyPatch) -> None:
    """Put the doubles in the place of threads and of time."""
    for module in (commits, concurrent, loop, settlement, transactions):
        patch.setattr(module, "time", TIME)
    patch.setattr(commits, "ThreadPoolExecutor", Laters)
    patch.setattr(commits, "wait", _wait)
    patch.setattr(commits, "_EVERY", 0.0)
    patch.setattr(concurrent, "pool_for", Slots)
    patch.setattr(intake, "KeepAlive", NoKeepAlive)


@attrs.define(eq=False)
class Fault:
    """Something that happens at the n-th of the calls of one kind that a client gets from now on."""

    moment: str
    count: int
    what: str


class Owner:
    """One process; it may end in the midst of any call of its clients."""

    being_made: Owner

    def __init__(
        self,
        brokers: Brokers,
        workload: Workload,
        *,
        fate: Callable[[tuple[int, int], int], str],
        began: Callable[[tuple[int, int], int], None],
        meanwhile: Callable[[Owner], None],
    ) -> None:
        Owner.being_made = self
        self.alive = True
        self._grace_ends = float("inf")
        self.brokers = brokers
        self.commits: Laters | None = None
        self.pool: Slots | None = None
        self.faults: list[Fault] = []
        self.began = began
        self._meanwhile = meanwhile
        self._producers: list[Producer] = []
        service = Service("service")

        @service.handler("work", event_type="items.Made")
        def handle(event: dict[str, Any], context: Context) -> Any:
            where = (context.partition, context.offset)
            if self.pool is None or not self.pool_runs:
                began(where, context.attempt)
            match fate(where, context.attempt):
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
        self.pool_runs = self.pool is not None
        assembly.encoder.look_up()
        self.loop = assembly.loop
        self.guarded(lambda: self._start(assembly.settlement.prepare))

    def _start(self, prepare: Callable[[], bool]) -> None:
        while not prepare():
            pass
        self.loop.begin(list(dict.fromkeys(place[0] for place in self.brokers.subscribed)))

    def _connect(self) -> Consumer:
        self.consumer = Consumer(self.brokers, self._moment)
        return self.consumer

    def _produce(self) -> Producer:
        for producer in self._producers:
            producer.replaced()
        self._producers.append(
            Producer(self.brokers, self._moment, lambda: (self, getattr(self.consumer, "generation", -1)))
        )
        return self._producers[-1]

    def _moment(self, name: str) -> str | None:
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
