"""What the errors of librdkafka and the brokers mean, and what to do about them."""

from __future__ import annotations

import re

from confluent_kafka import KafkaError

from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable

__all__ = ["ANOTHER_PRINCIPAL", "DENIED", "PASSING", "UNAVAILABLE", "cluster_error"]

ANOTHER_PRINCIPAL = "use an administrator: --as admin, or LOCKGATE_USERNAME and LOCKGATE_PASSWORD"

_NOISE = re.compile(r"^\w+://(?=\S+: )| \(after \d+ms in state \w+\)")
"""What librdkafka puts around an error's text."""

_NOT_LOGGED_IN = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
DENIED = _NOT_LOGGED_IN | {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
UNAVAILABLE = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._SSL,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.NOT_CONTROLLER,
    KafkaError.REQUEST_TIMED_OUT,
}
PASSING = {
    # the group's coordinator is being made, loaded or moved; one of its transactions is ending
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    # a topic that was just made
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    # a leader has moved: the client, or the broker that it asks, has not heard of it yet
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    # the client's own words for partitions without a leader, and for those that it has not heard of
    KafkaError._NOENT,
    KafkaError._UNKNOWN_PARTITION,
}
"""What only needs a moment."""


def cluster_error(error: KafkaError, doing: str, *, servers: str) -> ClusterError:
    """Return the error of ours that says what a Kafka error means; `doing` completes "refused …"."""
    code, text = error.code(), _NOISE.sub("", error.str())
    if code in DENIED:
        return ClusterDenied(
            f"the cluster at {servers} refused {doing}: {text}",
            next_step="see LOCKGATE_USERNAME and LOCKGATE_PASSWORD, or the principal's file under credentials/"
            if code in _NOT_LOGGED_IN
            else ANOTHER_PRINCIPAL,
        )
    if code in UNAVAILABLE:
        return ClusterUnavailable(
            f"the cluster at {servers} did not answer {doing}: {text}",
            next_step="see that LOCKGATE_CA_FILE holds the authority that signed the brokers' certificates"
            if code == KafkaError._SSL
            else "see that the brokers run and can be reached: `lockgate status` for a local stack",
        )
    return ClusterError(f"the cluster at {servers} failed {doing}: {text}")
