"""JSON Schemas of `domain.yaml` and `service.yaml`: completion and errors in editors, from the limits that loading has.

An editor sees one file at a time. What one file says about another is for the commands to judge, and so is what YAML
hides from a schema: a field that stands there twice, an octal number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from lockgate.contracts import fields, files, names, workloads
from lockgate.contracts.model import Compatibility, Discard, OnDeadLetter, Order, OutageSpec, Start
from lockgate.governance.lint.rules import RULES

__all__ = ["SCHEMAS", "domain_schema", "outdated", "service_schema", "write"]

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "pattern": r"^\S(.*\S)?$"}
_NAME: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9.-]+$"}
_EVENT_TYPE: Schema = {"type": "string", "pattern": r"^\w+\.\w+$"}


def _up_to(maximum: int) -> str:
    """Return a regular expression for the whole numbers from 1 to a maximum."""
    digits = str(maximum)
    found = [digits]
    if len(digits) > 1:
        found.append(f"[1-9][0-9]{{0,{len(digits) - 2}}}")
    for place, digit in enumerate(digits):
        lowest = 0 if place else 1
        if int(digit) > lowest:
            found.append(f"{digits[:place]}[{lowest}-{int(digit) - 1}][0-9]{{{len(digits) - place - 1}}}")
    return "|".join(found)


def _duration(longest_ms: int, *words: str) -> Schema:
    """Return the schema of a duration of at most some milliseconds, or one of some words."""
    spans = [f"0*({_up_to(longest_ms // unit)}){name}" for name, unit in fields.UNITS_MS.items()]
    return {
        "type": "string",
        "pattern": f"^({'|'.join([*spans, *words])})$",
        "examples": ["500ms", "10s", "7d", *words],
    }


def _object(properties: Mapping[str, Schema], required: Sequence[str] = (), **more: Any) -> Schema:
    known = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    return known | ({"required": list(required)} if required else {}) | more


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "uniqueItems": True, "items": items, **more}


def _said(text: str, schema: Schema) -> Schema:
    return {"description": text} | schema


def _whole(maximum: int, default: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}


_OWNER = _object(
    {
        "team": _said(
            "Letters, digits and single hyphens; spelt the same way in every file.",
            {"type": "string", "pattern": f"^{files.TEAM.pattern}$", "maxLength": files.MAX_TEAM},
        ),
        "contact": _said('Where the team is reached: "@handle" (in quotes), address or link.', _TEXT),
    },
    required=("team", "contact"),
)


def _retired(fields: dict[str, Schema], *kinds: str) -> Schema:
    """Return the schema of a list of entries, each of which names one thing of these kinds."""
    fields = fields | {
        "reason": _said("Why, in one line.", _TEXT),
        "discard": _said("What may be lost with it.", _list({"enum": list(get_args(Discard))})),
    }
    one = [{"required": [kind]} for kind in kinds]
    entry = _object(fields, required=("reason",), oneOf=one)
    return _said("What is no longer used, and may be deleted.", {"type": "array", "items": entry})


def domain_schema() -> Schema:
    """Return the JSON Schema of `domain.yaml`."""
    topic = _object(
        {
            "name": _said("The domain's topic, which no other domain has.", _NAME),
            "partitions": _said(
                "May grow later, never shrink.", _whole(files.MAX_PARTITIONS, files.DEFAULT_PARTITIONS)
            ),
            "replication": _said(
                "Replicas of each partition; all but one must be in sync for a write.",
                _whole(files.MAX_REPLICATION, files.DEFAULT_REPLICATION),
            ),
            "retention": _said(
                "How long records are kept.",
                _duration(fields.LONGEST_DURATION_MS, "forever")
                | {"default": f"{files.DEFAULT_RETENTION_MS // fields.UNITS_MS['d']}d"},
            ),
        },
        required=("name",),
    )
    reason: dict[str, Any] = {"anyOf": [_TEXT, {"type": "object", "minProperties": 1, "additionalProperties": _TEXT}]}
    rules = {rule.id: {"description": rule.sentence} | reason for rule in RULES}
    exempt = {"type": "object", "properties": rules, "additionalProperties": False}
    properties = {
        "owner": _said("Who answers for the domain.", _OWNER),
        "topic": topic,
        "key": _said("A required string of every event; its UTF-8 bytes are the record's key.", _TEXT),
        "compatibility": _said(
            "What a change of a schema must not break.",
            {"enum": list(get_args(Compatibility)), "default": files.DEFAULT_COMPATIBILITY},
        ),
        "events": _said("Event types, without the namespace; each has its .avsc file.", _list(_TEXT, minItems=1)),
        "readers": _said("Workloads that may read the topic.", _list(_TEXT)),
        "writers": _said("Workloads that may write to the topic.", _list(_TEXT)),
        "lint": _object(
            {
                "exempt": _said(
                    "Rules of lint that do not hold here, each with a reason, or one for each type.",
                    exempt,
                )
            },
            required=("exempt",),
        ),
        "retired": _retired(
            {
                "topic": _said("A topic that the domain had.", _TEXT),
                "events": _said("Full names of the event types whose subjects go with the topic.", _list(_EVENT_TYPE)),
                "event": _said("An event type that the domain had, without namespace.", _TEXT),
            },
            "topic",
            "event",
        ),
    }
    required = ("owner", "topic", "key", "events")
    return _document("domain.yaml", "What a domain promises, and to whom.", _object(properties, required))


_HOLD_NEEDS_ORDER: dict[str, Any] = {
    "if": {"required": ["on_dead_letter"], "properties": {"on_dead_letter": {"const": "hold"}}},
    "then": {"required": ["order"], "properties": {"order": {"const": "key"}}},
}


def service_schema() -> Schema:
    """Return the JSON Schema of `service.yaml`."""
    workload = _object(
        {
            "consumes": _said("Full names of event types, all of one domain.", _list(_EVENT_TYPE)),
            "publishes": _said("Full names of event types, of any domains.", _list(_EVENT_TYPE)),
            "retry": _said(
                "The delay before each further attempt; each is a topic of its own.",
                {"type": "array", "items": _duration(workloads.MAX_RETRY_MS), "maxItems": workloads.MAX_TIERS},
            ),
            "start": _said(
                "Where a new workload's group begins: at the first record there is, or at the next.",
                {"enum": list(get_args(Start)), "default": "earliest"},
            ),
            "concurrency": _said("How many records are handled at once.", _whole(workloads.MAX_CONCURRENCY, 1)),
            "order": _said(
                "Of what the order is kept while several are handled.",
                {"enum": list(get_args(Order)), "default": "partition"},
            ),
            "on_dead_letter": _said(
                "Whether later records of a key go on behind a dead letter, or wait for an operator (order: key).",
                {"enum": list(get_args(OnDeadLetter)), "default": "continue"},
            ),
            "exactly_once": _said(
                "Whether a batch's results, retries, dead letters and offsets are one transaction.",
                {"type": "boolean", "default": False},
            ),
            "outage": _said(
                "When failures are taken for an outage, in which no record is taken but probes.",
                _object(
                    {
                        "failing": _said("Per cent of the last records.", _whole(100, OutageSpec().failing)),
                        "of": _said("How many are looked at.", _whole(workloads.MAX_OUTAGE_RECORDS, OutageSpec().of)),
                        "probe": _said("How long to wait for the first probe.", _duration(workloads.MAX_PROBE_MS)),
                    }
                ),
            ),
        },
        anyOf=[
            {"required": [name], "properties": {name: {"type": "array", "minItems": 1}}}
            for name in ("consumes", "publishes")
        ],
        dependencies={
            name: ["consumes"]
            for name in ("retry", "start", "concurrency", "order", "on_dead_letter", "exactly_once", "outage")
        },
        **_HOLD_NEEDS_ORDER,
    )
    named = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": _NAME["pattern"], "maxLength": names.MAX_PRINCIPAL_LENGTH},
        "additionalProperties": workload,
    }
    properties = {
        "name": _said("What `lockgate run` and `Service(…)` call it; no other service has it.", _NAME),
        "owner": _said("Who runs the service, and owns its dead letters.", _OWNER),
        "workloads": _said("Its identities: each is a user, a principal and a consumer group of its name.", named),
    }
    required = tuple(properties)
    properties["retired"] = _retired(
        {
            "workload": _said("A workload that the service had.", _TEXT),
            "topic": _said("The topic that it read, if it did.", _TEXT),
        },
        "workload",
    )
    return _document("service.yaml", "What a service asks for.", _object(properties, required))


def _document(title: str, description: str, schema: Schema) -> Schema:
    # draft 7 is what the YAML language server, and with it most editors, knows best
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": title, "description": description, **schema}


SCHEMAS = {"schemas/domain.schema.json": domain_schema, "services/service.schema.json": service_schema}
"""The schemas by their paths in a project."""


def outdated(root: Path) -> list[str]:
    """Return the paths of schemas that are missing or not current."""
    return [path for path, text in _texts().items() if not (root / path).is_file() or _read(root / path) != text]


def write(root: Path) -> list[str]:
    """Write the schemas that are not current, and return their paths."""
    texts, paths = _texts(), outdated(root)
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(texts[path], encoding="utf-8")
    return paths


def _texts() -> dict[str, str]:
    return {path: json.dumps(make(), indent=2, ensure_ascii=False) + "\n" for path, make in SCHEMAS.items()}


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")
