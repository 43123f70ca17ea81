"""A connection to one chosen broker, as one principal, with the few requests that librdkafka cannot make.

librdkafka decides by itself which broker answers, so it cannot show that *every* broker knows a user and its rights.
This module can: it speaks just enough of Kafka's protocol (https://kafka.apache.org/protocol) to log in, to ask what
the principal may do with topics (Metadata), and whether it may use a group or a transactional id (FindCoordinator).
It also asks for what many groups have committed, in one request (OffsetFetch). None of these requests changes anything.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import attrs

from lockgate.connection import Settings
from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable
from lockgate.provisioning.cluster import Broker
from lockgate.provisioning.protocol import NO_TAGS, Answer, compact_array, compact_string, string
from lockgate.provisioning.scram import ScramClient
from lockgate.records import Place

__all__ = ["BrokerConnection", "TopicView", "can_log_in"]

_METADATA: Final = (3, 8)
_FIND_COORDINATOR: Final = (10, 2)
_SASL_HANDSHAKE: Final = (17, 1)
_SASL_AUTHENTICATE: Final = (36, 1)
"""API keys, each in the last version before "flexible" encoding; Kafka 2.3 to 4.x understand them."""

_FIND_COORDINATORS: Final = (10, 4)
_OFFSET_FETCH: Final = (9, 8)
"""Those that ask about many groups at once, in the first version that does; Kafka 3.0 to 4.x understand them."""

_GROUP_AUTHORIZATION_FAILED: Final = 30
_TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Final = 53
_SASL_AUTHENTICATION_FAILED: Final = 58

_OPERATIONS: Final = {3: "READ", 4: "WRITE", 8: "DESCRIBE"}
"""Bits of "authorized operations" that rights in the contracts can set (`AclOperation.code`)."""

_UNDERSTOOD: Final = frozenset({"ssl.ca.location", "ssl.endpoint.identification.algorithm"})
"""Those of librdkafka's properties about security that are heeded here."""

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
        body = struct.pack(">i", len(names)) + b"".join(string(name) for name in names)
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
        answer = self._call(_FIND_COORDINATOR, string(name) + struct.pack(">b", int(kind != "GROUP")))
        answer.skip(4)  # throttle time
        # any other error, such as a coordinator that is still loading, comes after the check of rights
        return answer.int16() not in (_GROUP_AUTHORIZATION_FAILED, _TRANSACTIONAL_ID_AUTHORIZATION_FAILED)

    def coordinators(self, groups: Sequence[str]) -> Mapping[str, Broker | int]:
        """Return the broker that keeps each group's offsets, or Kafka's error code where that is not known."""
        body = b"\x00" + compact_array(map(compact_string, groups)) + NO_TAGS
        answer = self._call(_FIND_COORDINATORS, body, flexible=True)
        answer.skip(4)  # throttle time
        return dict(answer.compact_array(_coordinator))

    def committed(self, groups: Iterable[str]) -> Mapping[str, Mapping[Place, int] | int]:
        """Return all that each of some groups has committed, or Kafka's error code; this broker must keep them.

        An offset that a transaction is about to commit is an error of its group: who waits for a moment knows it.
        """
        every = b"\x00"  # a null array of topics
        wanted = (compact_string(group) + every + NO_TAGS for group in groups)
        answer = self._call(_OFFSET_FETCH, compact_array(wanted) + b"\x01" + NO_TAGS, flexible=True)
        answer.skip(4)  # throttle time
        return dict(answer.compact_array(_group))

    def _log_in(self, username: str, password: str) -> None:
        answer = self._call(_SASL_HANDSHAKE, string("SCRAM-SHA-512"))
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

    def _call(self, api: tuple[int, int], body: bytes, *, flexible: bool = False) -> Answer:
        self._correlation += 1
        header = struct.pack(">hhi", *api, self._correlation) + string(_CLIENT_ID)
        request = header + (NO_TAGS if flexible else b"") + body
        try:
            self._socket.sendall(struct.pack(">i", len(request)) + request)
            (length,) = struct.unpack(">i", self._receive(4))
            if not 4 <= length <= _MAX_RESPONSE_BYTES:
                raise ClusterUnavailable(f"{self.broker} answered with something that is not Kafka's protocol")
            answer = Answer(self._receive(length))
            if answer.int32() != self._correlation:
                raise ClusterUnavailable(f"{self.broker} answered another request than the one that was sent")
            if flexible:
                answer.tags()
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


def _topic(answer: Answer) -> tuple[str, TopicView]:
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


def _coordinator(answer: Answer) -> tuple[str, Broker | int]:
    group = answer.compact_string()
    broker = Broker(answer.int32(), answer.compact_string(), answer.int32())
    error = answer.int16()
    answer.compact_string()  # the same in words
    answer.tags()
    return group, error or broker


def _group(answer: Answer) -> tuple[str, Mapping[Place, int] | int]:
    group = answer.compact_string()
    offsets: dict[Place, int] = {}
    errors = []
    for topic, partitions in answer.compact_array(_offsets):
        for partition, offset, error in partitions:
            if error:
                errors.append(error)
            elif offset >= 0:
                offsets[topic, partition] = offset
    errors.append(answer.int16())
    answer.tags()
    return group, next(filter(None, errors), 0) or offsets


def _offsets(answer: Answer) -> tuple[str, list[tuple[int, int, int]]]:
    topic, partitions = answer.compact_string(), answer.compact_array(_offset)
    answer.tags()
    return topic, partitions


def _offset(answer: Answer) -> tuple[int, int, int]:
    partition, offset = answer.int32(), answer.int64()
    answer.skip(4)  # leader epoch
    answer.compact_string()  # what was committed beside it
    error = answer.int16()
    answer.tags()
    return partition, offset, error


def can_log_in(settings: Settings) -> bool:
    """Tell whether a connection can be opened with these settings: SCRAM-SHA-512 or no login, no other TLS settings."""
    return all(name in _UNDERSTOOD or not name.startswith(("sasl.", "ssl.", "security.")) for name in settings.kafka)


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
