"""Poison of every kind, made from a contract: bytes that nobody can read, and keys that are not their event's."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from lockgate.avro.codec import Encoder
from lockgate.avro.sample import sample
from lockgate.contracts.model import EventType
from lockgate.errors import PoisonReason
from lockgate.records import frame

__all__ = ["variants"]

_FAR = 1 << 20
"""An index that no enum and no union has."""


def variants(
    event: EventType, key_field: str, schema_id: int, *, foreign_id: int | None, seed: int = 0
) -> Iterator[tuple[PoisonReason, bytes, bytes]]:
    """Yield (reason, key, value) for each kind of poison that can be made from an event type.

    `foreign_id` is a schema id of another topic; without one that kind is left out, as is `index-out-of-range` for an
    event type that has neither an enum nor a union among its fields.
    """
    mark = f"poison-{secrets.token_hex(6)}"
    datum = {**sample(event.schema, seed), key_field: mark}
    body, key = Encoder(event.schema).encode(datum), mark.encode()
    yield "empty-value", key, b""
    yield "no-magic-byte", key, b'{"this": "is no Avro"}'
    yield "unknown-schema-id", key, frame(0x7FFF_FFFF, body)
    if foreign_id is not None:
        yield "foreign-schema-id", key, frame(foreign_id, body)
    yield "truncated", key, frame(schema_id, body[:-1])
    yield "trailing-bytes", key, frame(schema_id, body + b"\x00")
    # the key field is a string of every event: as many bytes that are no UTF-8 leave all else where it was
    yield "malformed", key, frame(schema_id, body.replace(key, b"\xff" * len(key), 1))
    stretched = _with_an_index_out_of_range(event.schema, datum)
    if stretched is not None:
        yield "index-out-of-range", key, frame(schema_id, stretched)
    yield "key-mismatch", f"not-{mark}".encode(), frame(schema_id, body)


def _with_an_index_out_of_range(schema: Mapping[str, Any], datum: Mapping[str, Any]) -> bytes | None:
    """Encode a datum with an impossible index where its first enum or union stands.

    Avro writes an index as it writes a long: with a long in the field's place the encoder writes any number there.
    """
    for number, field in enumerate(schema["fields"]):
        kind = field["type"]
        if isinstance(kind, list) or (isinstance(kind, Mapping) and kind.get("type") == "enum"):
            fields = [dict(each) for each in schema["fields"]]
            fields[number] = {"name": field["name"], "type": "long"}
            return Encoder({**schema, "fields": fields}).encode({**datum, field["name"]: _FAR})
    return None
