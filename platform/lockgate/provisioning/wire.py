"""A connection to one chosen broker, as one principal, with the few requests that prove rights without using them.

librdkafka decides by itself which broker answers, so it cannot show that *every* broker knows a user and its rights.
This module can: it speaks just enough of Kafka's protocol (https://kafka.apache.org/protocol) to log in, to ask what
the principal may do with topics (Metadata), and whether it may use a group or a transactional id (FindCoordinator).
None of these requests changes anything.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import attrs

from lockgate.connection import Settings
from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable
from lockgate.provisioning.cluster import Broker
from lockgate.provisioning.scram import ScramClient

__all__ = ["BrokerConnection", "TopicView"]

_METADATA: Final = (3, 8)
_FIND_COORDINATOR: Final = (10, 2)
_SASL_HANDSHAKE: Final = (17, 1)
_SASL_AUTHENTICATE: Final = (36, 1)
"""API keys, each in the last version before "flexible" encoding; Kafka 2.3 to 4.x understand them."""

_GROUP_AUTHORIZATION_FAILED: Final = 30
_TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Final = 53
_SASL_AUTHENTICATION_FAILED: Final = 58

_OPERATIONS: Final = {3: "READ", 4: "WRITE", 8: "DESCRIBE"}
"""Bits of "authorized operations" that rights in the contracts can set (`AclOperation.code`)."""

_MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
_CLIENT_ID: Final = "lockgate-probe"


@attrs.frozen
class TopicView:
    """Hold what one broker says about one topic to one principal."""

    error: int
    """Kafka's error code; 0 where there is none."""
    operations: frozenset[str]
    """Those of READ, WRITE and DESCRIBE that the broker would allow."""
    partitions: int
    leaders: int
    """How many of the partitions have a leader."""


class BrokerConnection:
    """Hold one connection to one broker; close it, or use it as a context manager.

    Opening raises ClusterDenied where the broker refuses the login, and ClusterUnavailable where it does not answer.
    `timeout` (seconds) bounds each step.
    """

    def __init__(self, broker: Broker, settings: Settings, *, timeout: float = 10.0) -> None:
        self.broker = broker
        self._correlation = 0
        config = settings.client_config()
        protocol = str(config.get("security.protocol", "PLAINTEXT")).upper()
        try:
            self._socket = _connect(broker, config, secured=protocol.endswith("SSL"), timeout=timeout)
        except (OSError, ssl.SSLError) as error:
            raise ClusterUnavailable(f"{broker} did not answer: {error}") from error
        try:
            if protocol.startswith("SASL"):
                self._log_in(settings.username or "", settings.password or "")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicView]:
        """Return how this broker sees topics, and what it would let this principal do with them."""
        body = struct.pack(">i", len(names)) + b"".join(_string(name) for name in names)
        # no topic is created by asking; operations on the cluster are not wanted, those on topics are
        answer = self._call(_METADATA, body + struct.pack(">???", False, False, True))
        answer.skip(4)  # throttle time
        for _ in range(answer.int32()):
            answer.skip(4)
            answer.string()
            answer.skip(4)
            answer.string()
        answer.string()  # cluster id
        answer.skip(4)  # controller id
        return dict(_topic(answer) for _ in range(answer.int32()))

    def may_use(self, kind: str, name: str) -> bool:
        """Return whether this broker would let this principal use a `GROUP` or a `TRANSACTIONAL_ID`."""
        answer = self._call(_FIND_COORDINATOR, _string(name) + struct.pack(">b", int(kind != "GROUP")))
        answer.skip(4)  # throttle time
        # any other error, such as a coordinator that is still loading, comes after the check of rights
        return answer.int16() not in (_GROUP_AUTHORIZATION_FAILED, _TRANSACTIONAL_ID_AUTHORIZATION_FAILED)

    def _log_in(self, username: str, password: str) -> None:
        answer = self._call(_SASL_HANDSHAKE, _string("SCRAM-SHA-512"))
        if answer.int16():
            raise ClusterDenied(f"{self.broker} does not offer SCRAM-SHA-512")
        scram = ScramClient(username, password)
        challenge = self._authenticate(username, scram.first())
        scram.verify(self._authenticate(username, scram.final(challenge)))

    def _authenticate(self, username: str, message: bytes) -> bytes:
        answer = self._call(_SASL_AUTHENTICATE, struct.pack(">i", len(message)) + message)
        code, text = answer.int16(), answer.string()
        if code == _SASL_AUTHENTICATION_FAILED:
            raise ClusterDenied(f"{self.broker} refused the login of {username}: {text}")
        if code:
            raise ClusterError(f"{self.broker} failed the login of {username}: error {code}: {text}")
        return answer.blob()

    def _call(self, api: tuple[int, int], body: bytes) -> _Answer:
        self._correlation += 1
        request = struct.pack(">hhi", *api, self._correlation) + _string(_CLIENT_ID) + body
        try:
            self._socket.sendall(struct.pack(">i", len(request)) + request)
            (length,) = struct.unpack(">i", self._receive(4))
            if not 4 <= length <= _MAX_RESPONSE_BYTES:
                raise ClusterUnavailable(f"{self.broker} answered with something that is not Kafka's protocol")
            answer = _Answer(self._receive(length))
            if answer.int32() != self._correlation:
                raise ClusterUnavailable(f"{self.broker} answered another request than the one that was sent")
        except (OSError, ssl.SSLError) as error:
            raise ClusterUnavailable(f"{self.broker} broke the connection off: {error}") from error
        return answer

    def _receive(self, length: int) -> bytes:
        chunks = bytearray()
        while len(chunks) < length:
            chunk = self._socket.recv(length - len(chunks))
            if not chunk:
                raise ConnectionResetError("connection closed")
            chunks += chunk
        return bytes(chunks)


class _Answer:
    """Read a response's fields in their order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def skip(self, length: int) -> None:
        self._at += length

    def int16(self) -> int:
        return int.from_bytes(self._take(2), "big", signed=True)

    def int32(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def string(self) -> str:
        """Return a string; a null one is empty."""
        return self._take(max(0, self.int16())).decode()

    def blob(self) -> bytes:
        return self._take(max(0, self.int32()))

    def _take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        self._at += length
        if len(taken) < length:
            raise ClusterUnavailable("a broker's answer ended early")
        return taken


def _topic(answer: _Answer) -> tuple[str, TopicView]:
    error, name = answer.int16(), answer.string()
    answer.skip(1)  # whether it is internal
    partitions = leaders = 0
    for _ in range(answer.int32()):
        partitions += 1
        answer.skip(2 + 4)  # error, index
        leaders += answer.int32() >= 0
        answer.skip(4)  # leader epoch
        for _ in ("replicas", "in sync", "offline"):
            answer.skip(4 * max(0, answer.int32()))
    allowed = answer.int32()
    operations = frozenset(operation for bit, operation in _OPERATIONS.items() if allowed >= 0 and allowed >> bit & 1)
    return name, TopicView(error, operations, partitions, leaders)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _connect(broker: Broker, config: Mapping[str, object], *, secured: bool, timeout: float) -> socket.socket:
    plain = socket.create_connection((broker.host, broker.port), timeout)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not secured:
            return plain
        ca_file = config.get("ssl.ca.location")
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        # the one TLS setting of librdkafka's that clusters behind other names need
        context.check_hostname = config.get("ssl.endpoint.identification.algorithm", "https") != "none"
        return context.wrap_socket(plain, server_hostname=broker.host)
    except BaseException:
        plain.close()
        raise
