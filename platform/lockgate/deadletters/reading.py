"""A letter made readable: its datum decoded with the schema it was written with, or its bytes and why not."""

from __future__ import annotations

import base64
import datetime
import decimal
import struct
import uuid
from collections.abc import Mapping
from typing import Any

import attrs

from lockgate.avro.codec import Decoder
from lockgate.deadletters.letter import Letter
from lockgate.errors import LockgateError, PoisonError, RegistryUnavailable
from lockgate.records import MAGIC
from lockgate.registry import Registry

__all__ = ["Reading", "as_json", "read"]

_HEADER_BYTES = 5


@attrs.frozen
class Reading:
    """Hold what could be made of a record's value."""

    event_type: str | None
    """The full name of the schema that decoded it; None where none did."""
    schema_id: int | None
    datum: Mapping[str, Any] | None
    problem: str | None
    """Why it does not decode; None where it does."""


def read(letter: Letter, registry: Registry) -> Reading:
    """Decode a letter's value with its writer's schema.

    A value that cannot be decoded is no error here: why it cannot is part of the answer. Raise RegistryUnavailable
    where the registry does not answer, since that says nothing about the letter.
    """
    value = letter.value
    if value is None:
        why = "a pointer: the record was too large to be carried" if letter.kind == "pointer" else "a tombstone"
        return Reading(None, None, None, f"it has no value ({why})")
    if not value:
        return Reading(None, None, None, "its value has no bytes")
    if len(value) < _HEADER_BYTES or value[:1] != MAGIC:
        return Reading(None, None, None, "it is not in the registry's wire format")
    (schema_id,) = struct.unpack_from(">I", value, 1)
    try:
        schema = registry.schema(schema_id)
        if schema is None:
            return Reading(None, schema_id, None, f"the registry has no schema {schema_id}")
        name = _full_name(schema)
        datum = Decoder(schema, schema).decode(value, _HEADER_BYTES)
    except RegistryUnavailable:
        raise
    except PoisonError as error:
        return Reading(name, schema_id, None, f"{error.reason}: {error.message}")
    except LockgateError as error:
        return Reading(None, schema_id, None, error.message)
    return Reading(name, schema_id, datum, None)


def _full_name(schema: Mapping[str, Any]) -> str:
    name, namespace = str(schema.get("name", "?")), schema.get("namespace")
    return name if "." in name or not namespace else f"{namespace}.{name}"


def as_json(value: Any) -> Any:
    """Return a datum as JSON can hold it: decimals and times as text, bytes as base64."""
    if isinstance(value, Mapping):
        return {str(name): as_json(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(member) for member in value]
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, decimal.Decimal | uuid.UUID | datetime.timedelta):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value
