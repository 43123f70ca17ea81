"""The workloads that the model runs, and what becomes of their records."""

from __future__ import annotations

import attrs

from lockgate.contracts.model import OutageSpec, Workload
from tests.labs import HERE
from tests.model.owners import RETRY_MS

__all__ = ["FATES", "KEYS", "MODES"]

_PLAIN = Workload("work", "service", ("items.Made",), ("mail.Sent",), RETRY_MS, HERE, outage=OutageSpec(of=10_000))
_KEYED = attrs.evolve(_PLAIN, concurrency=3, order="key")

MODES = {
    "at least once": _PLAIN,
    "exactly once": attrs.evolve(_PLAIN, exactly_once=True),
    "concurrent, by partition": attrs.evolve(_PLAIN, concurrency=3),
    "concurrent, by key": attrs.evolve(_KEYED, retry_ms=()),
    "concurrent, in no order": attrs.evolve(_PLAIN, concurrency=3, order="none"),
    "keyed through tiers": _KEYED,
    "keys held by letters": attrs.evolve(_KEYED, on_dead_letter="hold"),
}
KEYS = {"a": 0, "b": 0, "c": 1}
"""Which partition each key lies in."""
FATES = (
    ("nothing",),
    ("result",),
    ("fail", "nothing"),
    ("fail", "result"),
    ("fail", "fail", "fail"),
    ("reject",),
    ("fail", "reject"),
    ("poison",),
)
"""What a handler does with a record at its first attempt, its second, and so on."""
