"""From events to records of their domain's topic: value, key and headers, checked before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, Protocol

import attrs

from lockgate import records
from lockgate.avro.codec import Encoder
from lockgate.contracts import names
from lockgate.contracts.model import Contracts, EventType, Workload
from lockgate.errors import EventError, RegistryError
from lockgate.registry import RegisteredSchema
from lockgate.runtime.results import is_event

__all__ = ["Encoded", "EventEncoder", "SubjectSource", "event_headers"]


class SubjectSource(Protocol):
    """What encoding asks of a registry; `lockgate.registry.Registry` is one."""

    def find(self, subject: str, schema: Mapping[str, Any]) -> RegisteredSchema | None:
        """Return the version of a subject that holds exactly this schema, or None."""


class Encoded(NamedTuple):  # made once an event: a frozen attrs class takes three times as long
    """Hold an event that fits its schema, ready to be sent."""

    event_type: str
    topic: str
    key: bytes
    value: bytes


_new = tuple.__new__


@attrs.define
class _Kind:
    name: str
    event: EventType
    topic: str
    key: str
    encoder: Encoder
    head: bytes | None = None
    """Magic byte and schema id, once they are known."""


class EventEncoder:
    """Serialise the events that one workload may publish; each schema's id is looked up once, and never registered."""

    def __init__(self, contracts: Contracts, workload: Workload, registry: SubjectSource) -> None:
        self._workload = workload.name
        self._registry = registry
        self._kinds: dict[str, _Kind] = {}
        self._classes: dict[type, _Kind] = {}
        """By the classes of event objects that were seen."""
        for name in workload.publishes:
            event, domain = contracts.events[name], contracts.domain_of(name)
            self._kinds[name] = _Kind(name, event, domain.topic.name, domain.key, Encoder(event.schema))

    def look_up(self) -> None:
        """Look up the schema ids of everything that may be published; raise RegistryError where one is missing."""
        for kind in self._kinds.values():
            self._head(kind)

    def encode(self, event: Any) -> Encoded:
        """Return an event object, or `(full name, dict)`, as a record.

        Raise EventError where it does not fit its schema or may not be published, and RegistryError where its
        schema's id is not known.
        """
        kind = self._classes.get(type(event))
        if kind is not None:
            datum = event.to_avro()
        elif type(event) is tuple and len(event) == 2 and type(event[1]) is dict:
            name, datum = event
            kind = self._kinds.get(name) or self._unknown(name)
        elif not is_event(event):
            raise EventError("event", "", "an event object or (full name, dict)", type(event).__name__)
        elif isinstance(event, tuple):
            name, datum = event
            kind = self._kinds.get(name) or self._unknown(name)
        else:
            name = type(event).__avro_name__
            kind = self._kinds.get(name) or self._unknown(name)
            self._classes[type(event)] = kind
            datum = event.to_avro()
        value = kind.encoder.encode(datum, kind.head or self._head(kind))
        # past the class's own constructor, which is a Python function
        return _new(Encoded, (kind.name, kind.topic, datum[kind.key].encode(), value))

    def _unknown(self, name: str) -> NoReturn:
        listed = ", ".join(self._kinds) or "nothing"
        raise EventError(name, "", f"an event type that {self._workload} publishes ({listed})", name)

    def _head(self, kind: _Kind) -> bytes:
        if kind.head is None:
            subject = names.subject(kind.topic, kind.event.full_name)
            found = self._registry.find(subject, kind.event.schema)
            if found is None:
                raise RegistryError(
                    f"the registry does not have this version of {kind.event.full_name} under {subject}",
                    next_step="register it: `lockgate schemas register`, or `lockgate apply`",
                )
            kind.head = records.frame(found.schema_id, b"")
        return kind.head


def event_headers(event_type: str, event_id: str, source: str, traceparent: bytes) -> list[tuple[str, bytes | None]]:
    """Return an event's own headers: CloudEvents 1.0 in binary mode and W3C trace context."""
    return [
        _SPECVERSION,
        (records.CE_ID, event_id.encode()),
        *_names(event_type, source),
        _time(time.time_ns() // 1_000_000),
        _CONTENT_TYPE,
        (records.TRACEPARENT, traceparent),
    ]


_SPECVERSION = (records.CE_SPECVERSION, b"1.0")
_CONTENT_TYPE = (records.CONTENT_TYPE, records.CONTENT_TYPE_AVRO)


@lru_cache(1024)
def _names(event_type: str, source: str) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    return (records.CE_TYPE, event_type.encode()), (records.CE_SOURCE, source.encode())


@lru_cache(4)
def _time(milliseconds: int) -> tuple[str, bytes]:
    """Return the time of an event, to the millisecond as records have it: within one, a hundred events are written."""
    text = datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return records.CE_TIME, f"{text}.{milliseconds % 1000:03}Z".encode()
