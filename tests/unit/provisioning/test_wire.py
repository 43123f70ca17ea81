"""The probe's side of Kafka's protocol, against a server that answers with bytes written by hand."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lockgate.connection import Settings
from lockgate.errors import ClusterDenied, ClusterUnavailable
from lockgate.provisioning.cluster import Broker
from lockgate.provisioning.wire import BrokerConnection, TopicView, can_log_in

Answer = Callable[[bytes], bytes]
"""Takes a request (header included) and returns all bytes to send, length and correlation id included."""


def framed(request: bytes, body: bytes) -> bytes:
    content = request[4:8] + body
    return struct.pack(">i", len(content)) + content


def string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


@contextmanager
def broker(*answers: Answer) -> Iterator[Broker]:
    """Serve one connection, one answer a request, then close it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as stream:
                for answer in answers:
                    (length,) = struct.unpack(">i", stream.read(4))
                    connection.sendall(answer(stream.read(length)))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Broker(1, "127.0.0.1", server.getsockname()[1])
        thread.join(5)


PLAIN = Settings("unused")
SCRAM = Settings("unused", username="tracker", password="s3cret")


def metadata(request: bytes) -> bytes:
    partition = struct.pack(">hiii", 0, 0, 2, 5) + struct.pack(">iii", 2, 1, 2) + struct.pack(">ii", 1, 2)
    leaderless = struct.pack(">hiii", 5, 1, -1, 5) + struct.pack(">ii", 1, 1) + struct.pack(">i", 0)
    none = struct.pack(">i", 0)
    topics = [
        struct.pack(">h", 0)
        + string("parcels")
        + b"\x00"
        + struct.pack(">i", 2)
        + partition
        + none
        + leaderless
        + none
        + struct.pack(">i", 1 << 3 | 1 << 8),
        struct.pack(">h", 29) + string("secrets") + b"\x00" + none + struct.pack(">i", -(2**31)),
    ]
    body = (
        struct.pack(">i", 0)
        + struct.pack(">i", 1)
        + struct.pack(">i", 1)
        + string("host")
        + struct.pack(">i", 9092)
        + struct.pack(">h", -1)  # no rack
        + string("cluster")
        + struct.pack(">i", 1)
        + struct.pack(">i", len(topics))
        + b"".join(topics)
        + struct.pack(">i", -(2**31))
    )
    return framed(request, body)


def coordinator(error: int) -> Answer:
    return lambda request: framed(request, struct.pack(">ih", 0, error) + string("?") + struct.pack(">i", -1))


def compact(text: str) -> bytes:
    return bytes([len(text) + 1]) + text.encode()


def flexible(body: str | bytes) -> Answer:
    content = body.encode() if isinstance(body, str) else body
    return lambda request: framed(request, b"\x01\x00\x02ab" + struct.pack(">i", 0) + content)  # a tag of two bytes


def test_coordinators_of_many_groups_come_in_one_answer() -> None:
    found = compact("tracker") + struct.pack(">i", 2) + compact("host") + struct.pack(">ih", 9092, 0) + b"\x00\x00"
    lost = compact("other") + struct.pack(">i", -1) + b"\x00" + struct.pack(">ih", -1, 15) + compact("why") + b"\x00"
    with broker(flexible(b"\x03" + found + lost + b"\x00")) as at, BrokerConnection(at, PLAIN) as connection:
        assert connection.coordinators(["tracker", "other"]) == {"tracker": Broker(2, "host", 9092), "other": 15}


def test_what_groups_have_committed_comes_in_one_answer() -> None:
    def partition(number: int, offset: int, note: bytes, error: int = 0) -> bytes:
        return struct.pack(">iqi", number, offset, -1) + note + struct.pack(">h", error) + b"\x00"

    note = b"\xac\x02" + b"x" * 299  # its length takes two bytes
    topic = (
        compact("parcels") + b"\x04" + partition(0, 1842, note) + partition(1, -1, b"\x00") + partition(2, 7, b"\x01")
    )
    tracker = compact("tracker") + b"\x02" + topic + b"\x00" + struct.pack(">h", 0) + b"\x00"
    unstable = compact("parcels") + b"\x02" + partition(0, 3, b"\x01", error=88) + b"\x00"
    billing = compact("billing") + b"\x02" + unstable + struct.pack(">h", 0) + b"\x00"
    nobody = compact("nobody") + b"\x01" + struct.pack(">h", 0) + b"\x00"
    moved = compact("moved") + b"\x01" + struct.pack(">h", 16) + b"\x00"
    answer = flexible(b"\x05" + tracker + billing + nobody + moved + b"\x00")
    with broker(answer) as at, BrokerConnection(at, PLAIN) as connection:
        assert connection.committed(["tracker", "billing", "nobody", "moved"]) == {
            "tracker": {("parcels", 0): 1842, ("parcels", 2): 7},
            "billing": 88,
            "nobody": {},
            "moved": 16,
        }


@pytest.mark.parametrize(
    ("settings", "can"),
    [
        ({}, True),
        ({"ssl.endpoint.identification.algorithm": "none", "socket.timeout.ms": "1000"}, True),
        ({"sasl.mechanism": "OAUTHBEARER"}, False),
        ({"ssl.key.location": "key.pem"}, False),
    ],
)
def test_only_some_ways_to_log_in_are_spoken(settings: dict[str, str], can: bool) -> None:
    assert can_log_in(Settings("unused", kafka=settings)) is can


def test_topics_come_with_leaders_and_the_operations_that_are_allowed() -> None:
    with broker(metadata) as at, BrokerConnection(at, PLAIN) as connection:
        assert connection.topics(["parcels", "secrets"]) == {
            "parcels": TopicView(0, frozenset({"READ", "DESCRIBE"}), partitions=2, leaders=1),
            "secrets": TopicView(29, frozenset(), partitions=0, leaders=0),
        }


@pytest.mark.parametrize(("error", "allowed"), [(0, True), (15, True), (30, False), (53, False)])
def test_only_a_refusal_means_that_a_group_may_not_be_used(error: int, allowed: bool) -> None:
    with broker(coordinator(error)) as at, BrokerConnection(at, PLAIN) as connection:
        assert connection.may_use("GROUP", "tracker") is allowed


def test_a_refused_login_names_user_and_broker_and_not_the_password() -> None:
    def refuse(request: bytes) -> bytes:
        return framed(request, struct.pack(">h", 58) + string("bad credentials") + struct.pack(">iq", 0, 0))

    def offer(request: bytes) -> bytes:
        return framed(request, struct.pack(">hi", 0, 1) + string("SCRAM-SHA-512"))

    with broker(offer, refuse) as at, pytest.raises(ClusterDenied) as caught:
        BrokerConnection(at, SCRAM)
    assert str(caught.value) == f"{at} refused the login of tracker: bad credentials"


def test_a_broker_without_the_mechanism_is_told() -> None:
    with (
        broker(lambda request: framed(request, struct.pack(">hi", 33, 0))) as at,
        pytest.raises(ClusterDenied, match="does not offer SCRAM-SHA-512"),
    ):
        BrokerConnection(at, SCRAM)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", "not Kafka's protocol"),
        (lambda _: struct.pack(">ii", 4, 999), "another request"),
        (lambda request: framed(request, b"\x00\x00"), "ended early"),
        (lambda _: b"\x00\x00", "broke the connection off"),
        (lambda _: b"", "broke the connection off"),
    ],
    ids=["http", "wrong correlation", "short body", "short length", "closed"],
)
def test_an_answer_that_makes_no_sense_is_an_unavailable_broker(answer: Answer, message: str) -> None:
    with (
        broker(answer) as at,
        BrokerConnection(at, PLAIN, timeout=2) as connection,
        pytest.raises(ClusterUnavailable, match=message),
    ):
        connection.topics(["parcels"])


def test_a_port_where_nobody_listens_is_an_unavailable_broker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ClusterUnavailable, match=rf"broker 1 \(127.0.0.1:{port}\) did not answer"):
        BrokerConnection(Broker(1, "127.0.0.1", port), PLAIN)


def test_a_broker_that_says_nothing_is_not_waited_for_longer_than_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = Broker(1, "127.0.0.1", server.getsockname()[1])
        with (
            BrokerConnection(at, PLAIN, timeout=0.2) as connection,
            pytest.raises(ClusterUnavailable, match="timed out"),
        ):
            connection.topics(["parcels"])
