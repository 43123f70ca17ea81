"""What is measured, against what, and how many events each subject gets."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

__all__ = ["SUBJECTS", "TARGETS", "Figure", "Subject", "Target", "choose"]

Figure = tuple[str, str]
"""A subject, and one of the figures that it gives: `rate` (events a second), `seconds`, or one of its own."""


@attrs.frozen
class Subject:
    """Describe one program under measurement."""

    name: str
    group: str
    what: str
    """In a few words."""
    script: str
    """Below bench/subjects."""
    workload: str
    load: str
    """What it reads, of bench/loads.py, or the domain that it writes."""
    share: float = 1.0
    """Of the events of a run: slow subjects get fewer, the figure is a rate."""
    floor: int = 0
    """Events that its topic holds at least, however few it gets."""
    own: bool = True
    """Whether it runs in Lockgate's environment; others have one of their own."""
    rewinds: bool = True
    """Whether its group begins at the first record in every round."""


@attrs.frozen
class Target:
    """Say what a figure has to be: as a multiple of another one where `against` is given, else by itself."""

    figure: Figure
    against: Figure | None = None
    at_least: float | None = None
    at_most: float | None = None
    share_of: int | None = None
    """Events that a run has to have for this to mean anything, where it depends on their number."""

    def holds(self, value: float) -> bool:
        """Tell whether a value is good enough."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


def choose(names: Sequence[str]) -> tuple[list[Subject], list[str]]:
    """Return the subjects that are named, by their own name or their group's, and the names that are nobody's."""
    known = {subject.name for subject in SUBJECTS} | {subject.group for subject in SUBJECTS}
    chosen = [subject for subject in SUBJECTS if not names or subject.name in names or subject.group in names]
    return chosen, sorted(set(names) - known)


def _consumer(name: str, what: str, script: str, share: float = 1.0, *, own: bool = True) -> Subject:
    return Subject(name, "consume", what, script, f"bench-{name}", "market", share, own=own)


def _producer(name: str, what: str, script: str) -> Subject:
    return Subject(name, "produce", what, script, "bench-source", "sink", 0.5, rewinds=False)


def _other(name: str, group: str, what: str, script: str, share: float = 1.0, *, load: str = "market") -> Subject:
    return Subject(name, group, what, script, f"bench-{name}", load, share)


def _burning(name: str, what: str) -> Subject:
    return Subject(name, "processes", what, "processes.py", "bench-burn", "market", 0.05, floor=50_000)


SUBJECTS = (
    _consumer("bare", "consume(1000), fastavro, an asynchronous commit a batch: the bound", "bare.py"),
    _consumer("dict", "Lockgate, a handler that takes a dict, metrics on", "lockgate_loop.py"),
    attrs.evolve(_consumer("dict", "Lockgate, the same with metrics off", "lockgate_loop.py"), name="dict-plain"),
    _consumer("typed", "Lockgate, a handler that takes a generated class, metrics on", "lockgate_loop.py"),
    _consumer("aiokafka", "getmany(1000), fastavro, a commit a batch", "aiokafka_loop.py", own=False),
    _consumer("faststream-batch", "FastStream's batch mode", "faststream_loop.py", own=False),
    _consumer("deserializer", "poll, AvroDeserializer, a commit a second", "deserializer.py", 0.3),
    _consumer("quix", "Quix Streams", "quix_loop.py", 0.3, own=False),
    _consumer("faststream", "FastStream's default handler", "faststream_loop.py", 0.03, own=False),
    _consumer("textbook", "poll, AvroDeserializer, a synchronous commit a message", "textbook.py", 0.01),
    _producer("produce-bare", "produce, fastavro, a delivery callback: the bound", "produce_bare.py"),
    _producer("produce-dict", "Lockgate's send, of dicts", "produce_lockgate.py"),
    _producer("produce-typed", "Lockgate's send, of generated objects", "produce_lockgate.py"),
    _other("relay", "relay", "Lockgate: read, transform, publish; at least once", "relay.py", 0.3),
    _other("relay-once", "relay", "Lockgate: the same with exactly_once", "relay.py", 0.3),
    _other("clean", "poison", "Lockgate: records that can all be decoded", "poison.py"),
    _other("poison-1", "poison", "Lockgate: 1 % cannot be decoded", "poison.py", load="blend"),
    _other("poison-100", "poison", "Lockgate: none can be decoded", "poison.py", 0.1, load="waste"),
    _other("latency-bare", "latency", "single events, 100/s, to a poll loop", "latency_bare.py", 0.005, load="tick"),
    _other("latency", "latency", "Lockgate: the same, from send to handler", "latency.py", 0.005, load="tick"),
    _other("keys-async", "keys", "Lockgate: 0 to 5 ms each, order: key, tasks", "keys.py", 0.05, load="line"),
    _other("keys-threads", "keys", "Lockgate: the same, in threads", "keys.py", 0.05, load="line"),
    _other("hundred-async", "keys", "Lockgate: the same with 100 keys, tasks", "keys.py", 0.05, load="hundred"),
    _other("hundred-threads", "keys", "Lockgate: the same with 100 keys, threads", "keys.py", 0.05, load="hundred"),
    _other("one-by-one", "keys", "Lockgate: the same one by one, a fifth of it", "keys.py", 0.01, load="line"),
    _burning("one-process", "Lockgate: a handler that computes"),
    _burning("two-processes", "Lockgate: the same in two processes"),
    _other("memory", "memory", "Lockgate: resident memory, early and late", "memory.py", 5.5, load="long"),
)

TARGETS = (
    Target(("dict", "rate"), ("bare", "rate"), at_least=0.90),
    Target(("typed", "rate"), ("bare", "rate"), at_least=0.70),
    Target(("dict", "rate"), ("deserializer", "rate"), at_least=3.3),
    Target(("dict", "rate"), ("quix", "rate"), at_least=3.7),
    Target(("dict", "rate"), ("faststream", "rate"), at_least=30),
    Target(("dict", "rate"), ("faststream-batch", "rate"), at_least=1.3),
    Target(("produce-dict", "rate"), ("produce-bare", "rate"), at_least=0.80),
    Target(("produce-typed", "rate"), ("produce-bare", "rate"), at_least=0.80),
    Target(("relay-once", "rate"), ("relay", "rate"), at_least=0.60),
    Target(("poison-1", "rate"), ("clean", "rate"), at_least=0.90),
    Target(("poison-100", "rate"), ("clean", "rate"), at_least=0.10),
    Target(("latency", "p50_ms"), ("latency-bare", "p50_ms"), at_most=1.2),
    Target(("latency", "p99_ms"), ("latency-bare", "p99_ms"), at_most=1.3),
    Target(("keys-async", "seconds"), at_most=0.6, share_of=200_000),
    Target(("keys-threads", "seconds"), at_most=1.0, share_of=200_000),
    Target(("hundred-async", "seconds"), ("hundred-async", "least_seconds"), at_most=1.5),
    Target(("hundred-threads", "seconds"), ("hundred-threads", "least_seconds"), at_most=1.5),
    Target(("two-processes", "rate"), ("one-process", "rate"), at_least=1.5),
    Target(("memory", "late_mib"), ("memory", "early_mib"), at_most=1.05, share_of=200_000),
)
