"""Events in a test: the class of an event type, and what a record of one holds."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from lockgate.avro.codec import Decoder, Encoder
from lockgate.avro.event import Event
from lockgate.contracts.model import Contracts, EventType
from lockgate.errors import UsageError

__all__ = ["Events"]


class Events:
    """Find the codec and the generated class of each event type; classes are in `<package>.<namespace>`."""

    def __init__(self, contracts: Contracts, package: str) -> None:
        self._contracts = contracts
        self._package = package
        self._classes: dict[str, type[Event] | None] = {}
        self._encoders: dict[str, Encoder] = {}
        self._decoders: dict[str, Decoder] = {}

    def declared(self, event: Event | type[Event] | str) -> EventType:
        """Return the contract of an event, its class or its full name; raise UsageError where there is none."""
        name = event if isinstance(event, str) else event.__avro_name__
        found = self._contracts.events.get(name)
        if found is None:
            known = ", ".join(sorted(self._contracts.events))
            raise UsageError(f"no event type is called {name!r}", next_step=f"known event types: {known}")
        return found

    def encode(self, event_type: str, datum: Any) -> bytes:
        """Return a datum's bytes, without the frame; raise EventError where it does not fit."""
        if event_type not in self._encoders:
            self._encoders[event_type] = Encoder(self._contracts.events[event_type].schema)
        return self._encoders[event_type].encode(datum)

    def decode(self, event_type: str, value: bytes) -> Any:
        """Return what a record's value stands for: an object, or `(full name, dict)` where there is no class."""
        if event_type not in self._decoders:
            schema = self._contracts.events[event_type].schema
            self._decoders[event_type] = Decoder(schema, schema)
        datum = self._decoders[event_type].decode(value)
        found = self._class(event_type)
        return (event_type, datum) if found is None else found.from_avro(datum)

    def _class(self, event_type: str) -> type[Event] | None:
        if event_type not in self._classes:
            root = str(Path(self._contracts.root))
            if root not in sys.path:
                sys.path.insert(0, root)
            namespace, _, name = event_type.rpartition(".")
            module = f"{self._package}.{namespace}"
            try:
                self._classes[event_type] = getattr(importlib.import_module(module), name, None)
            except ModuleNotFoundError as error:
                if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
                    raise  # there is such a module, and it lacks something
                self._classes[event_type] = None
        return self._classes[event_type]
