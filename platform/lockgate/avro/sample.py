"""Sample data: a valid datum for any schema, the same for the same seed."""

from __future__ import annotations

import random
import struct
import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from lockgate.avro.defaults import EPOCH, LOCAL_EPOCH
from lockgate.avro.parser import parse
from lockgate.avro.types import (
    Array,
    Enum,
    Fixed,
    Logical,
    Map,
    Primitive,
    Record,
    Type,
    Union,
    branch_name,
    tagged_branches,
)
from lockgate.errors import SchemaError

__all__ = ["sample", "sample_of"]

_WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "größe", "harbor", "日本", "juniper", "")
_DEEP = 4
"""From this depth on lists are empty and unions take their shallowest branch, so that recursive types end."""


def sample(schema: Any, seed: int) -> dict[str, Any]:
    """Return a datum that fits a record's schema, the same for the same seed; raise SchemaError for another type."""
    type_ = parse(schema)
    if not isinstance(type_, Record):
        raise SchemaError(f"expected the schema of a record, got {branch_name(type_)}")
    datum: dict[str, Any] = sample_of(type_, random.Random(seed))  # noqa: S311  # sample data, no secret
    return datum


def sample_of(type_: Type, rng: random.Random, depth: int = 0) -> Any:
    """Return a value of a type, drawn from a source of randomness."""
    match type_:
        case Record():
            return {field.name: sample_of(field.type, rng, depth + 1) for field in type_.fields}
        case Array():
            return [sample_of(type_.items, rng, depth + 1) for _ in range(_length(rng, depth))]
        case Map():
            return {
                f"{rng.choice(_WORDS)}{n}": sample_of(type_.values, rng, depth + 1) for n in range(_length(rng, depth))
            }
        case Union():
            return _branch(type_, rng, depth)
        case Enum():
            return rng.choice(type_.symbols)
        case Fixed(logical=Logical() as logical) | Primitive(logical=Logical() as logical):
            return _logical(logical, rng)
        case Fixed():
            return rng.randbytes(type_.size)
        case Primitive():
            return _primitive(type_.kind, rng)
        case _:
            raise SchemaError(f"{branch_name(type_)} is not defined")


def _length(rng: random.Random, depth: int) -> int:
    return 0 if depth >= _DEEP else rng.choice((0, 1, 2, 3))


def _branch(union: Union, rng: random.Random, depth: int) -> Any:
    index = rng.randrange(len(union.branches))
    if depth >= _DEEP:
        index = min(range(len(union.branches)), key=lambda n: _weight(union.branches[n]))
    branch = union.branches[index]
    value = sample_of(branch, rng, depth + 1)
    return (branch_name(branch), value) if tagged_branches(union)[index] else value


def _weight(branch: Type) -> int:
    return 2 if isinstance(branch, Record) else 1 if isinstance(branch, Array | Map) else 0


def _primitive(kind: str, rng: random.Random) -> Any:
    match kind:
        case "null":
            return None
        case "boolean":
            return rng.random() < 0.5
        case "int":
            return _integer(rng, 31)
        case "long":
            return _integer(rng, 63)
        case "float":
            return struct.unpack("<f", struct.pack("<f", rng.uniform(-1e6, 1e6)))[0]
        case "double":
            return rng.choice((0.0, -0.5, rng.uniform(-1e12, 1e12)))
        case "bytes":
            return rng.randbytes(rng.randrange(12))
        case _:
            return f"{rng.choice(_WORDS)}-{rng.randrange(10_000)}"


def _integer(rng: random.Random, bits: int) -> int:
    limit = 1 << rng.randint(0, bits)
    return rng.choice((rng.randrange(-limit, limit), -limit, limit - 1))


def _logical(logical: Logical, rng: random.Random) -> Any:
    micros = rng.randrange(4_000_000_000) * 1_000_000
    fraction = rng.randrange(1_000_000)
    if logical.name.endswith("millis"):
        fraction -= fraction % 1000
    match logical.name:
        case "decimal":
            unscaled = rng.randrange(-(10**logical.precision) + 1, 10**logical.precision)
            return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -logical.scale))
        case "uuid":
            return uuid.UUID(bytes=rng.randbytes(16), version=4)
        case "date":
            return date(1970, 1, 1) + timedelta(days=rng.randrange(-20_000, 40_000))
        case "time-millis" | "time-micros":
            seconds = rng.randrange(86_400)
            return time(seconds // 3600, seconds // 60 % 60, seconds % 60, fraction)
        case _:
            epoch: datetime = LOCAL_EPOCH if logical.name.startswith("local") else EPOCH
            return epoch + timedelta(microseconds=micros + fraction)
