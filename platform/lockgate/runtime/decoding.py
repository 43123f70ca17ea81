"""From a message to its event and its handler: the step that every kind of loop takes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lockgate.contracts.model import Domain, Workload
from lockgate.errors import PoisonError
from lockgate.records import Envelope
from lockgate.runtime.context import Tombstone
from lockgate.runtime.dispatch import Handler, Table
from lockgate.runtime.patience import Patience
from lockgate.runtime.reader import HEAD, Reader

__all__ = ["SKIP", "Decoding", "Entry", "key_mismatch", "no_envelope", "skip", "tombstone_of"]

Entry = tuple[Callable[[bytes], dict[str, Any]] | None, Callable[..., Any], Callable[..., Any] | None, bool]
"""How to decode a value, the handler, how to make its event, and whether it takes a context."""


def skip(_: Any) -> None:
    """Stand where there is no handler."""


SKIP: Entry = (None, skip, None, False)


class Decoding:
    """Know, for the values that begin with one schema id, how they are decoded and who handles them."""

    def __init__(self, workload: Workload, domain: Domain, table: Table, *, reader: Reader, patience: Patience) -> None:
        self._workload = workload.name
        self._topic = domain.topic.name
        self._key = domain.key
        self._reader = reader
        self._patience = patience
        self._handlers = table.events
        self.entries: dict[bytes, Entry] = {}
        """What was learned, by a value's first bytes."""
        self.tombstone = SKIP if table.tombstone is None else _entry(None, table.tombstone)

    def learn(self, value: bytes) -> Entry:
        """Return what to do with values that begin like this one, and remember it.

        Raise PoisonError, and RegistryError where the registry cannot say.
        """
        known = self._reader.resolve(value)
        self._patience.over("registry")
        entry = SKIP if known.decode is None else _entry(known.decode, self._handlers[known.event_type])
        self.entries[value[:HEAD]] = entry
        return entry

    def envelope(self, message: Any) -> Envelope | None:
        """Return the envelope of a record in a retry topic, None where it has none of this workload's."""
        envelope = Envelope.read(message.headers())
        own = (self._workload, self._topic)
        if envelope is None or (envelope.group, envelope.source.topic) != own or envelope.pointer:
            return None
        return envelope

    def read(self, message: Any) -> tuple[Any, Entry]:
        """Return a message's datum and what handles it; raise whatever its bytes deserve, and RegistryError.

        Loop._handle has these lines within its pass, where a call for each record would be felt.
        """
        value = message.value()
        if value is None:
            entry = self.tombstone
            return (None if entry is SKIP else tombstone_of(message.key())), entry
        entry = self.entries.get(value[:HEAD]) or self.learn(value)
        decode = entry[0]
        if decode is None:
            return None, entry
        event = decode(value)
        if event[self._key].encode() != message.key():
            raise key_mismatch(event[self._key], message.key())
        return event, entry


def _entry(decode: Callable[[bytes], dict[str, Any]] | None, handler: Handler) -> Entry:
    return decode, handler.function, handler.build, handler.contextual


def tombstone_of(key: bytes | None) -> Tombstone:
    """Return the tombstone of a key; raise PoisonError for a key that names no event."""
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise PoisonError("key-mismatch", f"a tombstone whose key, {key!r:.200}, names no event")
    return Tombstone(text)


def no_envelope() -> PoisonError:
    """Return what is wrong with a record in a retry topic that nobody here has sent there."""
    return PoisonError("malformed", "a record in a retry topic that has no envelope of this workload's")


def key_mismatch(expected: str, key: bytes | None) -> PoisonError:
    """Return what is wrong with a record whose key is another than its event's."""
    return PoisonError("key-mismatch", f"the record's key is {key!r:.200}, the event's is {expected!r:.200}")
