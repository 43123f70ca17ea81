from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.failures import cluster_error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._AUTHENTICATION, ClusterDenied),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, ClusterDenied),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, ClusterDenied),
        (KafkaError._TRANSPORT, ClusterUnavailable),
        (KafkaError._TIMED_OUT, ClusterUnavailable),
        (KafkaError._SSL, ClusterUnavailable),
        (KafkaError.POLICY_VIOLATION, ClusterError),
    ],
)
def test_a_kafka_error_becomes_one_of_ours(code: int, kind: type[ClusterError]) -> None:
    error = cluster_error(KafkaError(code, "why"), "to create topic parcels", servers="a:1")
    assert type(error) is kind
    assert "to create topic parcels" in error.message
    assert "a:1" in error.message
    assert "why" in error.message


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (KafkaError._AUTHENTICATION, "LOCKGATE_PASSWORD"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "--as admin"),
        (KafkaError._SSL, "LOCKGATE_CA_FILE"),
        (KafkaError._TRANSPORT, "lockgate status"),
    ],
)
def test_it_says_what_to_look_at(code: int, hint: str) -> None:
    assert hint in str(cluster_error(KafkaError(code, "why"), "it", servers="a:1").next_step)


def test_the_noise_around_librdkafkas_texts_is_left_out() -> None:
    text = (
        "sasl_ssl://a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)"
    )
    message = cluster_error(KafkaError(KafkaError._TRANSPORT, text), "it", servers="a:1").message
    assert message.endswith("did not answer it: a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused")


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        (Binding("User:a", "*", "TOPIC", "t", "LITERAL", "READ", "ALLOW"), "a may READ topic t"),
        (Binding("User:*", "*", "TOPIC", "t", "PREFIXED", "ALL", "DENY"), "* may not ALL topic t*"),
        (Binding("User:a", "10.0.0.7", "GROUP", "g", "LITERAL", "READ", "ALLOW"), "a may READ group g from 10.0.0.7"),
        (
            Binding("User:a", "*", "TRANSACTIONAL_ID", "a~", "PREFIXED", "WRITE", "ALLOW"),
            "a may WRITE transactional id a~*",
        ),
        (
            Binding("User:a", "*", "BROKER", "kafka-cluster", "LITERAL", "ALTER", "ALLOW"),
            "a may ALTER cluster kafka-cluster",
        ),
    ],
)
def test_a_binding_reads_as_a_phrase(binding: Binding, text: str) -> None:
    assert str(binding) == text
