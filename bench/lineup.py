"""What is measured, against what, and how many events each one gets."""

from __future__ import annotations

import attrs

__all__ = ["SUBJECTS", "TARGETS", "Subject", "Target"]


@attrs.frozen
class Subject:
    """Describe one program under measurement."""

    name: str
    script: str
    """Below bench/subjects."""
    workload: str
    topic: str
    event_type: str
    share: float = 1.0
    """Of the events of a run: slow subjects get fewer, the figure is a rate."""
    own: bool = True
    """Whether it runs in Lockgate's environment; others have one of their own."""

    @property
    def produces(self) -> bool:
        """Tell whether it writes."""
        return self.script.startswith("produce")


@attrs.frozen
class Target:
    """Say what one subject's rate has to be at least, as a multiple of another's."""

    subject: str
    against: str
    at_least: float


def _consumer(name: str, script: str, share: float = 1.0, *, own: bool = True) -> Subject:
    return Subject(name, script, f"bench-{name}", "bench.market", "market.OrderPlaced", share, own)


def _producer(name: str, script: str) -> Subject:
    return Subject(name, script, "bench-source", "bench.sink", "sink.OrderTaken", 0.5)


SUBJECTS = (
    _consumer("bare", "bare.py"),
    _consumer("dict", "lockgate_loop.py"),
    _consumer("typed", "lockgate_loop.py"),
    _consumer("aiokafka", "aiokafka_loop.py", own=False),
    _consumer("faststream-batch", "faststream_loop.py", own=False),
    _consumer("deserializer", "deserializer.py", 0.3),
    _consumer("quix", "quix_loop.py", 0.3, own=False),
    _consumer("faststream", "faststream_loop.py", 0.03, own=False),
    _consumer("textbook", "textbook.py", 0.01),
    _producer("produce-bare", "produce_bare.py"),
    _producer("produce-dict", "produce_lockgate.py"),
    _producer("produce-typed", "produce_lockgate.py"),
)

TARGETS = (
    Target("dict", "bare", 0.90),
    Target("typed", "bare", 0.70),
    Target("dict", "deserializer", 3.3),
    Target("dict", "quix", 3.7),
    Target("dict", "faststream", 30),
    Target("dict", "faststream-batch", 1.3),
    Target("produce-dict", "produce-bare", 0.80),
)
