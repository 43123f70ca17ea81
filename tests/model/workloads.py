"""The workloads that the model runs, and what becomes of their records."""

from __future__ import annotations

import attrs

from lockgate.contracts.model import OutageSpec, Workload
from tests.labs import HERE
from tests.model.owners import RETRY_MS

__all__ = ["FATES", "KEYS", "MODES", "has_outages", "has_threads", "has_way_back"]

_MANY = 10_000
"""So many of the last records never fail that most of them are seen to: there are no outages."""

_PLAIN = Workload("work", "service", ("items.Made",), ("mail.Sent",), RETRY_MS, HERE, outage=OutageSpec(of=_MANY))
_KEYED = attrs.evolve(_PLAIN, concurrency=3, order="key")
_OUTAGE = OutageSpec(failing=100, of=3, probe_ms=50)

MODES = {
    "at least once": _PLAIN,
    "exactly once": attrs.evolve(_PLAIN, exactly_once=True),
    "concurrent, by partition": attrs.evolve(_PLAIN, concurrency=3),
    "concurrent, by key": attrs.evolve(_KEYED, retry_ms=()),
    "concurrent, in no order": attrs.evolve(_PLAIN, concurrency=3, order="none"),
    "keyed through tiers": _KEYED,
    "keys held by letters": attrs.evolve(_KEYED, on_dead_letter="hold"),
    "outages": attrs.evolve(_PLAIN, outage=_OUTAGE),
    "outages, exactly once": attrs.evolve(_PLAIN, exactly_once=True, outage=_OUTAGE),
    "outages, concurrent": attrs.evolve(_PLAIN, concurrency=3, outage=_OUTAGE),
    "outages, keyed through tiers": attrs.evolve(_KEYED, outage=_OUTAGE),
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


def has_threads(workload: Workload) -> bool:
    return workload.concurrency > 1


def has_outages(workload: Workload) -> bool:
    return workload.outage.of < _MANY


def has_way_back(workload: Workload) -> bool:
    """Tell whether there is a topic to which dead letters are sent back."""
    return workload.holds or bool(workload.retry_ms)
