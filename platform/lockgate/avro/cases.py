"""Cases: a list of questions to the checker as JSON, and the list of its answers: any suite can be run on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lockgate.avro.compatibility import check
from lockgate.avro.parser import parse
from lockgate.errors import SchemaError, UsageError

__all__ = ["answers", "read_cases"]

_SHAPE = "a JSON list of {id, level, history: [schema, … oldest first], candidate}"
_MOST_MISTAKES = 10


def read_cases(text: str, source: str) -> list[Mapping[str, Any]]:
    """Parse a file of cases; raise UsageError, with every mistake of its form, where it is none.

    Schemas are not looked at: one that is not valid is the answer to its own case.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{source} is no JSON: {error}", next_step=f"expected {_SHAPE}") from error
    except RecursionError as error:
        raise UsageError(f"{source} is nested too deeply", next_step=f"expected {_SHAPE}") from error
    if not isinstance(document, list):
        raise UsageError(f"{source} is no list", next_step=f"expected {_SHAPE}")
    mistakes = [
        f"case {index}: {mistake}" for index, case in enumerate(document) if (mistake := _mistake(case)) is not None
    ]
    if mistakes:
        more = len(mistakes) - _MOST_MISTAKES
        told = "; ".join(mistakes[:_MOST_MISTAKES]) + (f"; and {more} more" if more > 0 else "")
        raise UsageError(f"{source}: {told}", next_step=f"expected {_SHAPE}")
    return document


def _mistake(case: Any) -> str | None:
    if not isinstance(case, dict):
        return "no object"
    missing = [key for key in ("id", "level", "history", "candidate") if key not in case]
    if missing:
        return f"{', '.join(missing)} missing"
    if not isinstance(case["level"], str):
        return "`level` is no string"
    return None if isinstance(case["history"], list) else "`history` is no list"


def answers(cases: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the answer to each case, in their order: `{id, compatible, incompatibilities}`.

    A case without a verdict (a schema that is not valid, an unknown level) has `compatible: null` and
    `error: {schema, path, message}` besides.
    """
    return [_answer(case) for case in cases]


def _answer(case: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": case["id"], "compatible": None, "incompatibilities": []}
    schemas: dict[str, Any] = {f"history/{index}": schema for index, schema in enumerate(case["history"])}
    schemas["candidate"] = case["candidate"]
    for which, schema in schemas.items():
        try:
            schemas[which] = _document(schema)
            parse(schemas[which], strict=False)
        except SchemaError as error:
            return answer | {"error": {"schema": which, "path": error.path, "message": error.message}}
    *history, candidate = schemas.values()
    try:
        findings = check(history, candidate, case["level"], witnesses=False)
    except UsageError as error:
        return answer | {"error": {"schema": None, "path": "", "message": str(error)}}
    answer["incompatibilities"] = [
        {
            "type": finding.rule,
            "reader_path": finding.reader_path,
            "writer_path": finding.writer_path,
            "message": finding.message,
        }
        for finding in findings
        if finding.kind == "breaking"
    ]
    return answer | {"compatible": not answer["incompatibilities"]}


def _document(schema: Any) -> Any:
    """Return a schema's document; it may be given as text, as registries have it."""
    if isinstance(schema, str) and schema.lstrip()[:1] in ("{", "[", '"'):
        try:
            return json.loads(schema)
        except ValueError as error:
            raise SchemaError(f"text that is no JSON: {error}", path="") from error
    return schema
