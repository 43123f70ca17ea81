"""How Kafka's protocol writes fields down, in its older encoding and in the "flexible" one (KIP-482).

https://kafka.apache.org/protocol tells which request has which fields.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

from lockgate.errors import ClusterUnavailable

__all__ = ["NO_TAGS", "Answer", "compact_array", "compact_string", "string"]

_T = TypeVar("_T")

NO_TAGS = b"\x00"
"""The tagged fields that end every structure of the flexible encoding: none."""


class Answer:
    """Read a response's fields in their order; raise ClusterUnavailable where it ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def skip(self, length: int) -> None:
        """Pass over bytes."""
        self._at += length

    def int16(self) -> int:
        """Return a signed number of two bytes."""
        return int.from_bytes(self._take(2), "big", signed=True)

    def int32(self) -> int:
        """Return a signed number of four bytes."""
        return int.from_bytes(self._take(4), "big", signed=True)

    def int64(self) -> int:
        """Return a signed number of eight bytes."""
        return int.from_bytes(self._take(8), "big", signed=True)

    def string(self) -> str:
        """Return a string; a null one is empty."""
        return self._take(max(0, self.int16())).decode()

    def blob(self) -> bytes:
        """Return bytes that their length precedes; null is empty."""
        return self._take(max(0, self.int32()))

    def varint(self) -> int:
        """Return an unsigned number of as many bytes as it needs."""
        value = shift = 0
        while True:
            (byte,) = self._take(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def compact_string(self) -> str:
        """Return a string of the flexible encoding; a null one is empty."""
        return self._take(max(0, self.varint() - 1)).decode()

    def compact_array(self, read: Callable[[Answer], _T]) -> list[_T]:
        """Return an array of the flexible encoding, each entry by `read`; a null one is empty."""
        return [read(self) for _ in range(self.varint() - 1)]

    def tags(self) -> None:
        """Pass over tagged fields: what a newer broker may add."""
        for _ in range(self.varint()):
            self.varint()
            self.skip(self.varint())

    def _take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        self._at += length
        if len(taken) < length:
            raise ClusterUnavailable("a broker's answer ended early")
        return taken


def string(text: str) -> bytes:
    """Return a string in the older encoding."""
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def compact_string(text: str) -> bytes:
    """Return a string in the flexible encoding."""
    encoded = text.encode()
    return _varint(len(encoded) + 1) + encoded


def compact_array(entries: Iterable[bytes]) -> bytes:
    """Return an array in the flexible encoding."""
    written = list(entries)
    return _varint(len(written) + 1) + b"".join(written)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
