"""The parts of one workload put together; what they reach the outside by is the caller's choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs
from confluent_kafka import Consumer, Producer

from lockgate.contracts.model import Contracts, Workload
from lockgate.errors import UsageError
from lockgate.runtime.channel import Channel
from lockgate.runtime.clock import SteadyClock
from lockgate.runtime.commits import Commits
from lockgate.runtime.concurrent import ConcurrentLoop
from lockgate.runtime.dispatch import Table
from lockgate.runtime.encoding import EventEncoder, SubjectSource
from lockgate.runtime.intake import Intake
from lockgate.runtime.journal import OutcomeLog
from lockgate.runtime.keyed import KeyedLoop
from lockgate.runtime.loop import Loop
from lockgate.runtime.outcomes import Outcomes
from lockgate.runtime.parts import Parts
from lockgate.runtime.patience import Patience
from lockgate.runtime.publisher import Publisher
from lockgate.runtime.reader import Reader, SchemaSource
from lockgate.runtime.settlement import AtLeastOnce, CutSettlement, ExactlyOnce, Settlement
from lockgate.runtime.signals import Stop
from lockgate.runtime.transactions import Transactions

__all__ = ["Assembly", "RuntimeRegistry", "assemble"]


class RuntimeRegistry(SchemaSource, SubjectSource, Protocol):
    """What a running workload asks of a registry; `lockgate.registry.Registry` is one."""


@attrs.frozen
class Assembly:
    """Hold a loop that is ready to run, and those of its parts that have to be made ready before."""

    loop: Loop | ConcurrentLoop
    intake: Intake
    encoder: EventEncoder
    settlement: Settlement
    parts: Parts
    commits: Commits | None
    """None where offsets go in transactions alone."""
    transactions: Transactions | None


def assemble(
    contracts: Contracts,
    workload: Workload,
    table: Table,
    *,
    registry: RuntimeRegistry,
    consumer: Callable[[], Consumer],
    producer: Callable[[], Producer],
    patience: Patience,
    stop: Stop,
    journal: OutcomeLog | None,
    clock: Callable[[], float] | None = None,
    max_poll_interval: float = 300.0,
) -> Assembly:
    """Return the loop of a workload; `clock` gives the seconds since the epoch that due times are held against.

    Where none is given it is a steady one, which hears the brokers' time.
    `consumer` and `producer` make the clients; that of a workload with `exactly_once` is a transactional producer.
    `max_poll_interval` (seconds) is the consumer's. Raise UsageError for a workload that consumes nothing.
    """
    domain = contracts.source_of(workload)
    if domain is None:
        raise UsageError(f"{workload.name} consumes nothing: there is nothing to run")
    encoder = EventEncoder(contracts, workload, registry)
    steady = SteadyClock()
    now = steady if clock is None else clock
    intake = Intake(workload.name, consumer, patience, now, max_poll_interval)
    channel = Channel(producer, steady)
    transactional = workload.exactly_once or workload.parks
    publisher = Publisher(channel, workload.name, domain.topic.name, deferred=transactional, holding=workload.holds)
    outcomes = Outcomes(workload, publisher, journal, now)
    reader = Reader(registry, domain, workload.consumes)
    parts = Parts(workload, domain, table, intake, publisher, outcomes, reader, encoder, patience, stop)
    if workload.parks:
        cut = CutSettlement(parts, Transactions(channel, workload.name, patience))
        return Assembly(KeyedLoop(parts, cut), intake, encoder, cut, parts, cut.commits, cut.transactions)
    concurrent = workload.concurrency > 1 or workload.order == "key"
    make = ConcurrentLoop if concurrent else Loop
    if workload.exactly_once:
        transactions = Transactions(channel, workload.name, patience)
        whole = ExactlyOnce(parts, transactions)
        return Assembly(make(parts, whole), intake, encoder, whole, parts, None, transactions)
    plain = AtLeastOnce(parts)
    return Assembly(make(parts, plain), intake, encoder, plain, parts, plain.commits, None)
