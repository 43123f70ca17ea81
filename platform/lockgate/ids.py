"""Ids of events and of traces, made for a hundred events at a time: one by one they cost as much as encoding one."""

from __future__ import annotations

import hashlib
import os
import random
import struct
import uuid
from typing import Final

__all__ = ["derived_event_id", "new_event", "traceparent"]

_AT_ONCE = 128
_GROUPS = struct.Struct("8s4s4s4s12s").iter_unpack
"""The groups of a UUID's digits, and how many digits each has (RFC 9562)."""
_VERSION = bytes(0x40 | byte & 0x0F for byte in range(256))
_VARIANT = bytes(0x80 | byte & 0x3F for byte in range(256))
"""By a random byte: the one that says that a UUID is random (version 4), and the one that says that it is a UUID."""
_DERIVED: Final = uuid.UUID("6f0c35a5-7a5e-5a63-9a4d-6d3f2c1f0b52").bytes
_RANDOM = random.Random()  # noqa: S311  # spans need to be different, not secret

_stock: list[tuple[str, bytes]] = []

if hasattr(os, "register_at_fork"):
    # a child that went on where its parent is would repeat its ids
    os.register_at_fork(after_in_child=_stock.clear)
    os.register_at_fork(after_in_child=_RANDOM.seed)


def new_event() -> tuple[str, bytes]:
    """Return an id for an event, a random UUID, and the `traceparent` of a trace that begins with it.

    The trace has the id's digits, so that either leads to the other. Any thread may call.
    """
    try:
        return _stock.pop()  # one step, which no other thread comes between
    except IndexError:
        made = _made(_AT_ONCE)
        _stock.extend(made[1:])
        return made[0]


def derived_event_id(event_id: str, workload: str, position: int) -> str:
    """Return the id of a handler's result: the same for the same input, so that a duplicate is recognisable.

    `event_id` is the input's `ce_id`, or its coordinates where it has none; `position` counts results from 0.
    """
    # uuid.uuid5, without the detour through an object and a number
    name = f"{event_id}/{workload}/{position}".encode()
    raw = bytearray(hashlib.sha1(_DERIVED + name, usedforsecurity=False).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = _VARIANT[raw[8]]
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def traceparent(trace: tuple[str, str]) -> bytes:
    """Return a W3C `traceparent` with a span of its own in a trace (id and flags)."""
    trace_id, flags = trace
    return f"00-{trace_id}-{_RANDOM.getrandbits(64) or 1:016x}-{flags}".encode()


def _made(count: int) -> list[tuple[str, bytes]]:
    raw = bytearray(os.urandom(16 * count))
    raw[6::16] = raw[6::16].translate(_VERSION)
    raw[8::16] = raw[8::16].translate(_VARIANT)
    # neither trace nor span is ever zero: the version and the variant are not
    return [
        (b"-".join((a, b, c, d, e)).decode(), b"00-%b%b%b%b%b-%b%b-01" % (a, b, c, d, e, d, e))
        for a, b, c, d, e in _GROUPS(raw.hex().encode())
    ]
