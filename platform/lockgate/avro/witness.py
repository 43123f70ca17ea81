"""Witnesses: data that show findings, written with one schema and tried with the other by fastavro, there and then.

fastavro is the judge, because it is not the checker's author and because many services read with it. It is lenient in
places, and then there is no witness: the statement says what it does instead, and what the strict decoder says.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Collection
from typing import Any

import attrs
import fastavro

from lockgate.avro.codec import Decoder
from lockgate.avro.findings import Finding, Route, Witness
from lockgate.avro.specimens import NoSpecimen, as_json, specimen
from lockgate.avro.types import Record, Type
from lockgate.errors import PoisonError, SchemaError

__all__ = ["Trial"]

_DRAWN = 6
"""How many data are drawn after the smallest one has been read all the same."""
_ANSWER = 300
_OF_PEOPLE = frozenset(
    {
        "ALIAS_LOST",
        "DEFAULT_CHANGED",
        "DEFAULT_LOST",
        "DOC_LOST",
        "FIELD_LOOKS_RENAMED",
        "NAMESPACE_MOVED",
        "OWNER_LOST",
        "RENAMED_BY_ALIAS",
    }
)
"""Hazards that no datum of these two versions shows: what was lost is in the schema, or in data of other versions."""


class Trial:
    """Try data of one writer's schema with one reader's."""

    def __init__(self, writer: Any, reader: Any, type_: Type, written_with: str, read_with: str) -> None:
        self._documents = writer, reader
        self._type = type_
        self._with = written_with, read_with
        self._refusal = ""
        try:
            self._writer = fastavro.parse_schema(writer)
            self._reader = fastavro.parse_schema(reader)
        except Exception as error:  # of a schema that Avro takes, whatever it is
            self._refusal = f"fastavro does not take the schema: {_said(error)}"

    def witnessed(self, findings: list[Finding]) -> list[Finding]:
        """Return findings of this pair, each with its witness where there can be one."""
        avoid = {route for finding in findings if finding.kind == "breaking" for route in _routes(finding)}
        return [
            finding
            if finding.rule in _OF_PEOPLE
            else attrs.evolve(finding, witness=self.witness(finding, avoid - set(_routes(finding))))
            for finding in findings
        ]

    def witness(self, finding: Finding, avoid: Collection[Route]) -> Witness:
        """Return a datum that shows a finding, and no other one if that is possible."""
        if self._refusal:
            return self._none(self._refusal)
        innermost = finding
        while innermost.causes:
            innermost = innermost.causes[0]
        first: bytes | None = None
        tried = 0
        for seed in (None, *range(_DRAWN)):
            try:
                datum = specimen(self._type, innermost.route, avoid, seed)
                encoded = self._encode(datum)
            except NoSpecimen as error:
                return self._none(f"no datum can be made: {error}")
            tried += 1
            answer = self._answer(encoded, innermost)
            if answer is not None:
                shows = "cannot be read" if finding.kind == "breaking" else "is not read as it was written"
                statement = f"what {self._with[0]} writes {shows} with {self._with[1]}"
                return Witness(True, statement, as_json(datum), encoded.hex(), *self._with, answer)
            first = first or encoded
        lenient = "reads" if finding.kind == "breaking" else "reads as they were written"
        reason = _LENIENT.get(innermost.rule, "")
        statement = f"none found: fastavro {lenient} each of the {tried} data that were tried"
        return self._none("; ".join(filter(None, (statement, reason, self._strictly(first or b"")))))

    def _none(self, statement: str) -> Witness:
        return Witness(False, statement, written_with=self._with[0], read_with=self._with[1])

    def _encode(self, datum: Any) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self._writer, datum)
        return out.getvalue()

    def _answer(self, encoded: bytes, finding: Finding) -> str | None:
        """Return what the reader says of a datum, or None where it reads it, and as it was written."""
        try:
            read = fastavro.schemaless_reader(io.BytesIO(encoded), self._writer, self._reader)
        except Exception as error:  # whatever a reader raises, it does not read
            return _said(error)
        if finding.kind == "breaking":
            return None
        written = fastavro.schemaless_reader(io.BytesIO(encoded), self._writer, self._writer)
        was, is_ = _part(written, _names(finding.route)), _part(read, re.findall(r"\[\]|[^.\[\]]+", finding.place))
        if was == is_ and type(was) is not type(is_) and isinstance(was, int) and isinstance(is_, float):
            return None
        return None if was == is_ else f"reads {json.dumps(as_json(is_))} where {json.dumps(as_json(was))} was written"

    def _strictly(self, encoded: bytes) -> str:
        """Return what Lockgate's own decoder says of a datum."""
        writer, reader = self._documents
        if not isinstance(self._type, Record):
            return ""
        try:
            Decoder(writer, reader).decode(encoded, 0)
        except PoisonError as error:
            return f"Lockgate's decoder refuses them ({error.reason}: {error.message})"
        except SchemaError:
            return ""
        return "so does Lockgate's decoder"


_LENIENT: dict[str, str] = {
    "MISSING_UNION_BRANCH": "it goes by the last part of a type's name, whatever its kind and size",
    "NAME_MISMATCH": "it takes the first of two written fields, and an alias for a type of any namespace",
    "TYPE_MISMATCH": "it goes by the last part of a type's name, whatever its kind",
    "LOGICAL_TYPE_CHANGED": "it goes by the writer's logical type, where other libraries go by the reader's",
    "DECIMAL_SCALE_CHANGED": "it goes by the writer's scale, where other libraries go by the reader's",
    "DECIMAL_PRECISION_NARROWED": "it does not look at the reader's precision",
    "PROMOTION_LOSES_DIGITS": "Python reads a float as a double, where other languages round to 24 bits",
}


def _routes(finding: Finding) -> list[Route]:
    """Return the routes to what breaks, with each symbol for itself."""
    while finding.causes:
        finding = finding.causes[0]
    route = finding.route
    if route and isinstance(route[-1], tuple):
        return [(*route[:-1], symbol) for symbol in route[-1]]
    return [route]


def _names(route: Route) -> list[str]:
    return [step for step in route if isinstance(step, str)]


def _part(datum: Any, names: list[str]) -> Any:
    for name in names:
        datum = next(iter(datum.values() if isinstance(datum, dict) else datum)) if name == "[]" else datum[name]
    return datum


def _said(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= _ANSWER else f"{text[: _ANSWER - 1]}…"
