"""From a record's bytes to its event type and decoder; every way in which bytes can be poison is told apart here."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from lockgate.avro.codec import Decoder
from lockgate.contracts import names
from lockgate.contracts.model import Domain
from lockgate.errors import PoisonError, PoisonReason
from lockgate.records import MAGIC

__all__ = ["HEAD", "Known", "Reader", "SchemaSource", "schema_id_of"]

HEAD = 5
"""Bytes before the datum: the magic byte and the schema id."""

_FORGET_AFTER = 30.0
_REMEMBER_AT_MOST = 1024


class SchemaSource(Protocol):
    """What the runtime asks of a registry; `lockgate.registry.Registry` is one."""

    def schema(self, schema_id: int) -> Mapping[str, Any] | None:
        """Return the schema of an id, or None."""

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        """Return the subjects that an id is registered under."""


@attrs.frozen
class Known:
    """Say what the values that begin with one schema id hold."""

    event_type: str
    decode: Callable[[bytes], dict[str, Any]] | None
    """None for an event type that this workload does not consume."""


@attrs.frozen
class _Unknown:
    reason: PoisonReason
    message: str
    schema_id: int
    until: float


class Reader:
    """Resolve schema ids for one workload: by id once, through the registry; refusals are remembered for a while.

    An id counts for this topic where the registry has it under the subject `<topic>-<full name of its record>`: so a
    new event type of the domain is known as such before this process has seen its contract.
    """

    def __init__(
        self,
        registry: SchemaSource,
        domain: Domain,
        consumes: tuple[str, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._topic = domain.topic.name
        self._readers = {event.full_name: event.schema for event in domain.events if event.full_name in consumes}
        self._clock = clock
        self._refused: OrderedDict[bytes, _Unknown] = OrderedDict()

    def resolve(self, value: bytes) -> Known:
        """Return what a value holds by its first five bytes; the answer is worth keeping for those five bytes.

        Raise PoisonError for a value that is none of this topic's, and RegistryError where the registry cannot say:
        then nothing is known about the value, and it has to wait.
        """
        schema_id = schema_id_of(value)
        if schema_id is None:
            if not value:
                raise PoisonError("empty-value", "the value has no bytes")
            raise PoisonError("no-magic-byte", _no_magic(value))
        head = value[:HEAD]
        refused = self._refused.get(head)
        if refused is None or refused.until <= self._clock():
            answer = self._ask(schema_id)
            if isinstance(answer, Known):
                self._refused.pop(head, None)
                return answer
            refused = answer
            self._refused[head] = answer
            if len(self._refused) > _REMEMBER_AT_MOST:
                self._refused.popitem(last=False)
        raise PoisonError(refused.reason, refused.message, schema_id=schema_id)

    def _ask(self, schema_id: int) -> Known | _Unknown:
        until = self._clock() + _FORGET_AFTER
        writer = self._registry.schema(schema_id)
        if writer is None:
            return _Unknown("unknown-schema-id", f"the registry has no schema {schema_id}", schema_id, until)
        event_type = _full_name(writer)
        subjects = self._registry.subjects_of(schema_id)
        if event_type is None or names.subject(self._topic, event_type) not in subjects:
            where = ", ".join(sorted(subjects)) or "no subject"
            message = f"schema {schema_id} is registered for {where}, not for topic {self._topic}"
            return _Unknown("foreign-schema-id", message, schema_id, until)
        reader = self._readers.get(event_type)
        if reader is None:
            return Known(event_type, None)
        try:
            return Known(event_type, Decoder(writer, reader).decode)
        except PoisonError as error:
            return _Unknown(error.reason, str(error), schema_id, until)


def schema_id_of(value: bytes | None) -> int | None:
    """Return the schema id of a value in the registry's wire format, or None where it is in another."""
    if value is None or len(value) < HEAD or value[:1] != MAGIC:
        return None
    return int.from_bytes(value[1:HEAD], "big")


def _no_magic(value: bytes) -> str:
    if value[:1] != MAGIC:
        return f"the value begins with 0x{value[0]:02x}, not with the registry's magic byte 0x00"
    return f"the value has {len(value)} bytes, fewer than the {HEAD} of the registry's wire format"


def _full_name(schema: object) -> str | None:
    """Return the full name of a record schema, or None for any other."""
    if not isinstance(schema, Mapping) or schema.get("type") != "record":
        return None
    name, namespace = str(schema.get("name", "")), schema.get("namespace")
    return name if "." in name or not namespace else f"{namespace}.{name}"
