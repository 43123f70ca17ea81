"""The workloads of a `service.yaml`, each as it stands there, before it is compared with other files."""

from __future__ import annotations

from typing import Final, get_args

import attrs
import yaml

from lockgate.contracts import names
from lockgate.contracts.fields import DURATION_WORDS, UNREAD, At, Fields, Texts, duration_ms
from lockgate.contracts.model import OnDeadLetter, Order, OutageSpec, Start
from lockgate.contracts.report import Report

__all__ = ["WorkloadEntry", "read_workloads"]

MAX_TIERS = names.MAX_TIERS
MAX_RETRY_MS = 30 * 24 * 3600 * 1000
MAX_CONCURRENCY = 1000
MAX_OUTAGE_RECORDS = 10_000
MAX_PROBE_MS = 3600 * 1000
_STARTS: Final = get_args(Start)
_KINDS_OF_ORDER: Final = get_args(Order)
_ON_DEAD_LETTER: Final = get_args(OnDeadLetter)


@attrs.frozen
class WorkloadEntry:
    """Hold one workload of a `service.yaml`; None stands for what could not be read and has been reported."""

    name: str
    line: int
    consumes: Texts = UNREAD
    publishes: Texts = UNREAD
    retry_ms: tuple[int, ...] | None = None
    start: Start | None = None
    concurrency: int | None = None
    order: Order | None = None
    exactly_once: bool | None = None
    outage: OutageSpec | None = None
    on_dead_letter: OnDeadLetter | None = None


def read_workloads(node: yaml.MappingNode, file: str, report: Report) -> tuple[WorkloadEntry, ...]:
    """Read the mapping `workloads` of a `service.yaml`."""
    found = []
    for name, line, value in Fields.pairs(node, file, report, "workloads."):
        if isinstance(value, yaml.MappingNode):
            found.append(_workload(name, line, value, file, report))
        else:
            report.add(file, line, f"workloads.{name}: expected fields such as consumes or publishes")
            found.append(WorkloadEntry(name, line))
    return tuple(found)


def _workload(name: str, line: int, node: yaml.MappingNode, file: str, report: Report) -> WorkloadEntry:
    path = f"workloads.{name}."
    fields = Fields(
        node,
        file,
        report,
        path=path,
        known=(
            "consumes",
            "publishes",
            "retry",
            "start",
            "concurrency",
            "order",
            "exactly_once",
            "outage",
            "on_dead_letter",
        ),
    )
    consumes, publishes = fields.texts("consumes"), fields.texts("publishes")
    nothing = Texts(complete=True)
    if consumes == nothing and publishes == nothing:
        message = f"workloads.{name}: consumes and publishes are both empty"
        report.add(file, line, message, "a workload needs at least one of them")
    retry = fields.parsed_list("retry", _retry_delay, f"{DURATION_WORDS}, of at most 30d")
    if retry and consumes == nothing:
        report.add(file, fields.line_of("retry"), f"{path}retry has no effect on a workload that consumes nothing")
    if retry and len(retry) > MAX_TIERS:
        report.add(
            file,
            fields.line_of("retry"),
            f"{path}retry: expected at most {MAX_TIERS} delays, got {len(retry)}",
            "each is a topic of its own",
        )
    start: At[Start] | None = fields.parsed("start", _start, "earliest or latest")
    if start is not None and consumes == nothing:
        report.add(file, start.line, f"{path}start has no effect on a workload that consumes nothing")
    for field in ("concurrency", "order", "on_dead_letter"):
        if fields.has(field) and consumes == nothing:
            report.add(file, fields.line_of(field), f"{path}{field} has no effect on a workload that consumes nothing")
    order = _order(fields, path, file, report)
    if fields.has("outage") and consumes == nothing:
        report.add(file, fields.line_of("outage"), f"{path}outage has no effect on a workload that consumes nothing")
    exactly_once = fields.flag("exactly_once")
    concurrency = fields.integer("concurrency", default=1, maximum=MAX_CONCURRENCY)
    if exactly_once and (order == "key" or (concurrency or 1) > 1):
        message = f"{path}exactly_once goes with concurrency 1 and order: partition"
        report.add(file, fields.line_of("exactly_once"), message, "a batch is one transaction")
    on_dead_letter: At[OnDeadLetter] | None = fields.parsed("on_dead_letter", _on_dead_letter, "continue or hold")
    if on_dead_letter is not None and on_dead_letter.value == "hold" and order not in ("key", None):
        message = f"{path}on_dead_letter: hold goes with order: key"
        report.add(file, on_dead_letter.line, message, "what waits are the later records of the dead letter's key")
    return WorkloadEntry(
        name,
        line,
        consumes,
        publishes,
        None if retry is None else tuple(delay.value for delay in retry),
        None if start is None else start.value,
        concurrency,
        order,
        exactly_once,
        _outage(fields, path, file, report),
        None if on_dead_letter is None else on_dead_letter.value,
    )


def _outage(fields: Fields, path: str, file: str, report: Report) -> OutageSpec | None:
    node = fields.mapping("outage")
    default = OutageSpec()
    if node is None:
        return default
    outage = Fields(node, file, report, path=f"{path}outage.", known=("failing", "of", "probe"))
    failing = outage.integer("failing", default=default.failing, maximum=100)
    of = outage.integer("of", default=default.of, maximum=MAX_OUTAGE_RECORDS)
    probe = outage.parsed("probe", _probe_wait, f"{DURATION_WORDS}, of at most 1h")
    return OutageSpec(
        default.failing if failing is None else failing,
        default.of if of is None else of,
        default.probe_ms if probe is None else probe.value,
    )


def _probe_wait(text: str) -> int | None:
    wait = duration_ms(text)
    return None if wait is None or wait > MAX_PROBE_MS else wait


def _start(text: str) -> Start | None:
    for known in _STARTS:
        if text == known:
            found: Start = known
            return found
    return None


def _on_dead_letter(text: str) -> OnDeadLetter | None:
    for known in _ON_DEAD_LETTER:
        if text == known:
            found: OnDeadLetter = known
            return found
    return None


def _order(fields: Fields, path: str, file: str, report: Report) -> Order | None:
    order = fields.text("order")
    if order is None:
        return "partition"
    for known in _KINDS_OF_ORDER:
        if order.value == known:
            found: Order = known
            return found
    report.add(file, order.line, f"{path}order: expected one of {', '.join(_KINDS_OF_ORDER)}, got {order.value!r}")
    return None


def _retry_delay(text: str) -> int | None:
    delay = duration_ms(text)
    return None if delay is None or delay > MAX_RETRY_MS else delay
