"""Rules about what values mean: money, time, identity, and what hides from the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lockgate.governance.lint.parts import Part, leaves, words
from lockgate.governance.lint.rule import Hit, Rule
from lockgate.governance.lint.sources import SchemaSource

__all__ = ["RULES"]

_MONEY = {
    "amount", "balance", "cost", "costs", "credit", "debit", "discount", "fee", "fees", "fare", "payout",
    "premium", "price", "refund", "rent", "revenue", "salary", "subtotal", "surcharge", "tax", "tip", "total", "vat",
    "wage",
}  # fmt: skip
_ONLY_MONEY = {"amount", "balance", "cost", "fee", "price", "salary", "subtotal", "total", "wage"}
"""Words that, as a string, are hardly ever anything else; a `tip` or a `premium` may well be."""
_CURRENCIES = {"aud", "cad", "chf", "cny", "eur", "gbp", "inr", "jpy", "sek", "usd"}
_UTC = ("timestamp-millis", "timestamp-micros")
_PERSONAL = {"address", "birthday", "birthdate", "email", "iban", "ip", "name", "passport", "phone", "ssn", "surname"}
_OPAQUE = {"blob", "json", "payload", "xml"}
_STAND_INS = {"", "n/a", "na", "none", "null", "nil", "undefined", "-", "?", "unknown", "tbd", "0000-00-00"}
_DECIMAL = '{"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}'
_INSTANT = '{"type": "long", "logicalType": "timestamp-millis"}'
_DAY = '{"type": "int", "logicalType": "date"}'


def _money(source: SchemaSource) -> Iterator[Hit]:
    for field in source.of_kind("field"):
        spoken = words(field.name)
        while len(spoken) > 1 and spoken[-1] in _CURRENCIES:
            spoken.pop()
        if spoken[-1] not in _MONEY:
            continue
        for leaf in leaves(field.node["type"], f"{field.pointer}/type"):
            if leaf.kind in ("float", "double"):
                yield Hit(leaf.pointer, f"{field.label} is money in a {leaf.kind}, which cannot hold a cent exactly")
            elif leaf.kind == "string" and not leaf.logical and spoken[-1] in _ONLY_MONEY:
                yield Hit(leaf.pointer, f"{field.label} is money in a string, which holds anything")


def _instants(source: SchemaSource) -> Iterator[Hit]:
    for field in source.of_kind("field"):
        last = words(field.name)[-1]
        for leaf in leaves(field.node["type"], f"{field.pointer}/type"):
            if leaf.logical.startswith("local-timestamp"):
                yield Hit(leaf.pointer, f"{field.label} is a local timestamp: nobody can tell which moment it names")
            elif (
                last in ("at", "timestamp")
                and leaf.kind in ("int", "long", "string", "float", "double")
                and leaf.logical not in _UTC
            ):
                got = leaf.logical or f"plain {leaf.kind}"
                yield Hit(leaf.pointer, f"{field.label} names a moment, and its type ({got}) does not say which")


def _days(source: SchemaSource) -> Iterator[Hit]:
    for field in source.of_kind("field"):
        if words(field.name)[-1] in ("date", "day", "birthday", "birthdate"):
            for leaf in leaves(field.node["type"], f"{field.pointer}/type"):
                if leaf.kind in ("int", "long", "string") and not leaf.logical:
                    yield Hit(leaf.pointer, f"{field.label} names a day, and its type (plain {leaf.kind}) does not")


def _units(source: SchemaSource) -> Iterator[Hit]:
    for field in source.of_kind("field"):
        spoken = words(field.name)
        if spoken[-1] in ("duration", "timeout", "interval", "delay", "latency", "age", "ttl"):
            for leaf in leaves(field.node["type"], f"{field.pointer}/type"):
                if leaf.kind in ("int", "long", "float", "double") and not leaf.logical and not _says_unit(field):
                    yield Hit(leaf.pointer, f"{field.label} is a span of time, and nothing says in which unit")


def _says_unit(field: Part) -> bool:
    doc = field.node.get("doc", "").lower()
    return any(unit in doc for unit in ("second", "minute", "hour", "day", "week", "month", "year", " ms", "milli"))


def _opaque(source: SchemaSource) -> Iterator[Hit]:
    for field in source.of_kind("field"):
        if words(field.name)[-1] in _OPAQUE:
            for leaf in leaves(field.node["type"], f"{field.pointer}/type"):
                if leaf.kind in ("string", "bytes") and not leaf.logical:
                    yield Hit(leaf.pointer, f"{field.label} hides a document in a {leaf.kind}: no schema governs it")


def _keys(source: SchemaSource) -> Iterator[Hit]:
    domain = next((domain for domain in source.project.domains if domain.domain == source.domain), None)
    if domain is None or source.file.full_name not in source.project.contracts.events:
        return
    found = source.file.field(domain.contract.key)
    if found is not None and set(words(found[1]["name"])) & _PERSONAL:
        yield Hit(
            f"/fields/{found[0]}/name",
            f"the key {source.file.stem}.{found[1]['name']} names a person, and keys stand in logs",
        )


def _stand_ins(source: SchemaSource) -> Iterator[Hit]:
    for field in source.of_kind("field"):
        if "default" not in field.node:
            continue
        default, kinds = field.node["default"], [leaf.kind for leaf in _own_leaves(field)]
        moment = any(leaf.logical in (*_UTC, "date") for leaf in _own_leaves(field))
        if (
            ("string" in kinds and isinstance(default, str) and default.strip().lower() in _STAND_INS)
            or (isinstance(default, int) and not isinstance(default, bool) and default in (-1, -9999, 9999, 99999))
            or (moment and default == 0)
        ):
            yield Hit(
                f"{field.pointer}/default", f"the default {default!r} of {field.label} stands for a missing value"
            )


def _own_leaves(field: Part) -> list[Any]:
    """Return the primitive types that a field's default can be of: the first branch of a union, not what it holds."""
    type_, pointer = field.node["type"], f"{field.pointer}/type"
    if isinstance(type_, list) and type_:
        type_ = type_[0]
    if isinstance(type_, dict) and type_["type"] in ("array", "map"):
        return []
    return list(leaves(type_, pointer))


RULES = (
    Rule(
        "money-decimal",
        "error",
        "Money is a decimal: 0.1 + 0.2 is not 0.3 in a double, and a string is not checked at all.",
        f"use {_DECIMAL}, or a shared type with amount and currency; whole cents may be a long named …_cents",
        schema=_money,
    ),
    Rule(
        "timestamp-utc",
        "error",
        "A moment is a timestamp-millis or timestamp-micros, UTC by definition: fields called …_at and timestamp, and "
        "every local timestamp.",
        f"use {_INSTANT}; a local time that is meant needs its time zone beside it",
        schema=_instants,
    ),
    Rule(
        "date-type",
        "error",
        "A day is a date: a string can be the 31st of February, a number of days since whatever.",
        f"use {_DAY}",
        schema=_days,
    ),
    Rule(
        "duration-unit",
        "warning",
        "A span of time says its unit.",
        "put it into the name (…_ms, …_seconds) or say it in `doc`",
        schema=_units,
    ),
    Rule(
        "opaque-payload",
        "warning",
        "What an event says is in its schema: a document in a string or in bytes changes without anybody being asked.",
        "write its fields into the schema",
        schema=_opaque,
    ),
    Rule(
        "key-personal",
        "warning",
        "The key of a domain names no person: it cannot be encrypted or forgotten, for partitions depend on it.",
        "use a number or a UUID that stands for the person",
        schema=_keys,
    ),
    Rule(
        "default-stand-in",
        "warning",
        "A missing value is null, and not a value that everybody has to know: an empty string, -1, 1970.",
        'use ["null", …] with the default null, or an enum with UNKNOWN',
        schema=_stand_ins,
    ),
)
