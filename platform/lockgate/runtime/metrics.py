"""What a running workload can tell of itself: every metric, and where its value is read. No client, no HTTP.

Nothing here is called while records flow. The parts of a loop count in plain numbers, and another thread reads them
when somebody asks; so a value is that of a moment, and two of them may be of two moments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Literal, Protocol, get_args

import attrs

from lockgate.errors import PoisonReason
from lockgate.records import Place
from lockgate.runtime.assembly import Assembly
from lockgate.runtime.keyed import KeyedLoop
from lockgate.runtime.keys import Keys
from lockgate.runtime.lanes import Job
from lockgate.runtime.outage import State
from lockgate.runtime.timing import Timing

__all__ = ["METRICS", "Kind", "Metric", "Source", "Value"]

Kind = Literal["counter", "gauge", "summary"]
Value = float | tuple[int, float]
"""Of a summary: how often, and how many seconds in all."""
Samples = Iterable[tuple[tuple[str, ...], Value]]
"""Values by what their labels say; the workload's name, which all of them have, goes without saying."""

_LETTERS = [
    *(("read", reason) for reason in get_args(PoisonReason)),
    ("handle", "error"),
    ("handle", "reject"),
    ("publish", "error"),
    ("publish", "too-large"),
]


class Lags(Protocol):
    """What knows where partitions end; `Ends` is one."""

    def lags(self, committed: Mapping[Place, int | None]) -> Mapping[Place, int]:
        """Return how far partitions are behind their ends; None stands for what this process does not know."""


@attrs.frozen
class Source:
    """Hold what values are read from."""

    assembly: Assembly
    ends: Lags


@attrs.frozen
class Metric:
    """Describe one metric, and read it."""

    name: str
    """Without Prometheus' own endings of a summary."""
    kind: Kind
    help: str
    read: Callable[[Source], Samples]
    labels: tuple[str, ...] = ()


def _one(value: float) -> Samples:
    return [((), value)]


def _each(values: Mapping[str, float]) -> Samples:
    return [((label,), value) for label, value in list(values.items())]


def _timed(timing: Timing) -> Samples:
    return [((), (timing.count, timing.seconds))]


def _info(source: Source) -> Samples:
    workload = source.assembly.parts.workload
    mode = "exactly-once" if workload.exactly_once else "at-least-once"
    return [((workload.service, version("lockgate"), mode, workload.order, str(workload.concurrency)), 1)]


def _records(source: Source) -> Samples:
    return [((outcome,), count) for outcome, count in list(source.assembly.parts.outcomes.counts.items())]


def _tiers(source: Source) -> Samples:
    parts = source.assembly.parts
    tiers = dict.fromkeys(range(1, len(parts.workload.retry_ms) + 1), 0) | dict(parts.outcomes.tiers)
    return [((str(tier),), count) for tier, count in tiers.items()]


def _letters(source: Source) -> Samples:
    return list((dict.fromkeys(_LETTERS, 0) | dict(source.assembly.parts.outcomes.letters)).items())


def _published(source: Source) -> Samples:
    return list(source.assembly.parts.outcomes.published.items())


def _assigned(source: Source) -> Samples:
    topics: dict[str, float] = {}
    for progress in source.assembly.intake.offsets:
        topics[progress.place[0]] = topics.get(progress.place[0], 0) + 1
    return _each(topics)


def _lag(source: Source) -> Iterator[tuple[tuple[str, ...], Value]]:
    committed = {progress.place: progress.last_committed for progress in source.assembly.intake.offsets}
    for (topic, partition), lag in source.ends.lags(committed).items():
        yield (topic, str(partition)), lag


def _commits(source: Source, taken: bool) -> Samples:
    commits = source.assembly.commits
    return _one(0 if commits is None else commits.made if taken else commits.failed)


def _committed_at(source: Source) -> Samples:
    commits, transactions = source.assembly.commits, source.assembly.transactions
    times = (commits and commits.last_at, transactions and transactions.committed_at)
    return _one(max(found)) if (found := [time for time in times if time]) else ()


def _transactions(source: Source) -> Samples:
    transactions = source.assembly.transactions
    return () if transactions is None else [((end.value,), count) for end, count in list(transactions.ended.items())]


def _state(source: Source) -> Samples:
    state = source.assembly.loop.outage.state
    return [((one,), int(one == state)) for one in get_args(State)]


def _keys(count: Callable[[Keys[Job]], int]) -> Callable[[Source], Samples]:
    def read(source: Source) -> Samples:
        loop = source.assembly.loop
        return _one(sum(map(count, loop.keys))) if isinstance(loop, KeyedLoop) else ()

    return read


def _parked(source: Source) -> Samples:
    loop = source.assembly.loop
    return _one(loop.parked) if isinstance(loop, KeyedLoop) else ()


def _spent(source: Source) -> Samples:
    transactions = source.assembly.transactions
    return () if transactions is None else _timed(transactions.spent)


METRICS: tuple[Metric, ...] = (
    Metric(
        "lockgate_workload_info",
        "gauge",
        "Always 1; its labels say what the contract says",
        _info,
        ("service", "version", "delivery", "order", "concurrency"),
    ),
    # what becomes of records
    Metric(
        "lockgate_records_taken_total",
        "counter",
        "Records taken from the client; one that is put back or read again counts each time",
        lambda source: _one(source.assembly.intake.taken),
    ),
    Metric(
        "lockgate_batches_total",
        "counter",
        "How often the client had something to take",
        lambda source: _one(source.assembly.intake.batches),
    ),
    Metric("lockgate_records_total", "counter", "Records with an outcome that is final", _records, ("outcome",)),
    Metric("lockgate_retries_total", "counter", "Records that were sent to a retry topic", _tiers, ("tier",)),
    Metric("lockgate_dead_letters_total", "counter", "Records that were dead-lettered", _letters, ("stage", "reason")),
    Metric("lockgate_results_total", "counter", "Results that were published", _published, ("topic", "event_type")),
    Metric(
        "lockgate_records_in_hand",
        "gauge",
        "Records that were taken and have no outcome yet",
        lambda source: _one(source.assembly.loop.in_hand),
    ),
    Metric(
        "lockgate_handlers_at_work",
        "gauge",
        "Handlers that run at this moment",
        lambda source: _one(source.assembly.loop.at_work),
    ),
    # where the time goes
    Metric(
        "lockgate_handling_seconds",
        "summary",
        "Reading and handling records, by the record",
        lambda source: _timed(source.assembly.loop.handling),
    ),
    Metric(
        "lockgate_settling_seconds",
        "summary",
        "Waiting until the brokers have what records led to, by the wait",
        lambda source: _timed(source.assembly.parts.publisher.settling),
    ),
    Metric("lockgate_transaction_seconds", "summary", "Transactions from begin to end", _spent),
    # what the brokers took
    Metric(
        "lockgate_transactions_total",
        "counter",
        "Transactions, by how they ended",
        _transactions,
        ("ending",),
    ),
    Metric(
        "lockgate_untaken_records_total",
        "counter",
        "Records of which the brokers did not take an output outside of transactions: they are read again",
        lambda source: _one(source.assembly.parts.publisher.stuck),
    ),
    Metric(
        "lockgate_commits_total",
        "counter",
        "Commits outside of transactions that the brokers took",
        lambda source: _commits(source, True),
    ),
    Metric(
        "lockgate_commit_failures_total",
        "counter",
        "Commits outside of transactions that they did not take",
        lambda source: _commits(source, False),
    ),
    Metric(
        "lockgate_last_commit_timestamp_seconds",
        "gauge",
        "When offsets were last committed",
        _committed_at,
    ),
    # partitions
    Metric(
        "lockgate_joined",
        "gauge",
        "Whether the group has taken this process in once",
        lambda source: _one(source.assembly.intake.joined),
    ),
    Metric("lockgate_assigned_partitions", "gauge", "Partitions that this process has", _assigned, ("topic",)),
    Metric(
        "lockgate_rebalances_total",
        "counter",
        "How often partitions came or went",
        lambda source: _each(source.assembly.intake.rebalances),
        ("kind",),
    ),
    Metric(
        "lockgate_partition_lag",
        "gauge",
        "Offsets between what is committed and the end of an assigned partition",
        _lag,
        ("topic", "partition"),
    ),
    Metric(
        "lockgate_paused",
        "gauge",
        "Whether an operator's pause is carried out",
        lambda source: _one(source.assembly.intake.paused),
    ),
    Metric(
        "lockgate_waiting_partitions",
        "gauge",
        "Partitions that stand still until a time: a due retry, or the next attempt at what failed",
        lambda source: _one(source.assembly.intake.waiting),
    ),
    Metric(
        "lockgate_troubled",
        "gauge",
        "Whether the brokers or the registry refuse something, which ends the process where it lasts",
        lambda source: _one(source.assembly.parts.patience.troubled),
    ),
    # outages
    Metric("lockgate_outage_state", "gauge", "1 for the state that the breaker is in", _state, ("state",)),
    Metric(
        "lockgate_outages_total",
        "counter",
        "How often the breaker has opened from closed",
        lambda source: _one(source.assembly.loop.outage.opened),
    ),
    Metric(
        "lockgate_outage_probes_total",
        "counter",
        "Records that were handled as a probe",
        lambda source: _one(source.assembly.loop.outage.probes),
    ),
    Metric(
        "lockgate_outage_wait_seconds",
        "gauge",
        "From a failed probe to the next one, as it is now",
        lambda source: _one(source.assembly.loop.outage.wait),
    ),
    Metric(
        "lockgate_outage_failing_records",
        "gauge",
        "How many of the last records have failed",
        lambda source: _one(source.assembly.loop.outage.failing),
    ),
    Metric(
        "lockgate_outage_window_records",
        "gauge",
        "How many of the last records the breaker looks at",
        lambda source: _one(source.assembly.parts.workload.outage.of),
    ),
    Metric(
        "lockgate_outage_threshold_ratio",
        "gauge",
        "The share of them that has to fail for it to open",
        lambda source: _one(source.assembly.parts.workload.outage.failing / 100),
    ),
    # the order of keys
    Metric("lockgate_waiting_keys", "gauge", "Keys with a copy in a retry topic", _keys(lambda keys: keys.waiting)),
    Metric("lockgate_held_keys", "gauge", "Keys that a dead letter holds", _keys(lambda keys: keys.held)),
    Metric("lockgate_waiting_copies", "gauge", "Copies in retry topics", _keys(lambda keys: keys.copies)),
    Metric("lockgate_parked_total", "counter", "Records that were sent to the parked topic", _parked),
)
