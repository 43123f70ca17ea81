"""The ledger: the compacted topic in which every administrator finds what was last applied."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from lockgate.connection import Settings
from lockgate.contracts.derive import Topic
from lockgate.contracts.model import Location
from lockgate.contracts.names import APPLIED_TOPIC, APPLY_GROUP
from lockgate.errors import ClusterError, ClusterUnavailable
from lockgate.provisioning.applied import Applied
from lockgate.provisioning.change import State
from lockgate.provisioning.cluster import Cluster, brokers_in
from lockgate.provisioning.failures import DENIED, cluster_error
from lockgate.provisioning.requests import create_topics

__all__ = ["ensure_ledger", "read_ledger", "write_ledger"]

_SECONDS = 30.0
_BATCH = 1000
_VERSION = 1
_REPLICATION = 3

_PASSING = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
}
"""What a topic answers that was made a moment ago, and a client that another broker will serve."""


def ensure_ledger(cluster: Cluster) -> None:
    """Create the ledger where it is not there yet; nobody but administrators has rights to it."""
    metadata = cluster.settled_metadata()
    if APPLIED_TOPIC in metadata.topics:
        return
    replication = min(_REPLICATION, len(brokers_in(metadata)))
    config = {"cleanup.policy": "compact", "min.insync.replicas": str(max(1, replication - 1))}
    at = Location(APPLIED_TOPIC, 1)
    topic = Topic(APPLIED_TOPIC, "domain", 1, replication, config, "", None, None, at)
    refused = cluster.failures(create_topics(cluster, [topic]))
    for error in refused.values():
        # two that apply for the first time at once: either may make it
        if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise cluster_error(error, f"to create topic {APPLIED_TOPIC}", servers=cluster.servers)


def read_ledger(settings: Settings) -> Applied:
    """Return what was last applied; the ledger must be there. Raise ClusterError where it cannot be read."""
    doing = f"a request for what was last applied (topic {APPLIED_TOPIC})"
    consumer = Consumer(
        settings.client_config()
        | {
            "group.id": APPLY_GROUP,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        }
    )
    entries: dict[str, State] = {}
    deadline = time.monotonic() + _SECONDS
    try:
        consumer.assign([TopicPartition(APPLIED_TOPIC, 0, 0)])
        while time.monotonic() < deadline:
            for message in consumer.consume(_BATCH, 0.02):  # it waits that long for a full batch, also at the end
                error = message.error()
                if error is None:
                    _take(message, entries)
                elif error.code() == KafkaError._PARTITION_EOF:
                    return Applied(entries)
                elif error.code() not in _PASSING:
                    raise cluster_error(error, doing, servers=settings.bootstrap_servers)
    except KafkaException as error:
        raise cluster_error(error.args[0], doing, servers=settings.bootstrap_servers) from error
    finally:
        consumer.close()
    raise ClusterUnavailable(f"the cluster at {settings.bootstrap_servers} did not answer {doing} in time")


def write_ledger(settings: Settings, entries: Mapping[str, State | None]) -> None:
    """Replace entries of the record, None taking one away; return when all of it is on the brokers."""
    if not entries:
        return
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    doing = f"to record what was applied (topic {APPLIED_TOPIC})"
    seconds = int(_SECONDS * 1000)
    # Not idempotent, which would begin with half a second of waiting for an id: one request at a time keeps the order,
    # and an entry that is written twice is the same entry.
    config: dict[str, Any] = {"acks": "all", "max.in.flight": 1, "delivery.timeout.ms": seconds, "linger.ms": 5}
    producer = Producer(settings.client_config() | config | {"log_level": 3})
    for key, value in entries.items():
        entry = {"version": _VERSION, "state": value}
        text = None if value is None else json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
        producer.produce(APPLIED_TOPIC, text, key.encode(), on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(_SECONDS + 1)
    if failures:
        denied = [error for error in failures if error.code() in DENIED]
        raise cluster_error((denied or failures)[0], doing, servers=settings.bootstrap_servers)
    if left:
        raise ClusterUnavailable(f"the cluster at {settings.bootstrap_servers} did not answer {doing} in time")


def _take(message: Message, entries: dict[str, State]) -> None:
    key, value = message.key(), message.value()
    if not isinstance(key, bytes):
        return  # nothing of ours: every entry has a key
    if value is None:
        entries.pop(key.decode(), None)
        return
    place = f"{APPLIED_TOPIC}-{message.partition()}@{message.offset()}"
    try:
        entry = json.loads(value)
        version, state = entry["version"], entry["state"]
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"{place} is no record of Lockgate's",
            next_step=f"somebody wrote to {APPLIED_TOPIC} by hand: delete that topic; `lockgate apply` makes it anew",
        ) from error
    if version != _VERSION:
        raise ClusterError(
            f"{place} was recorded in version {version}, and version {_VERSION} is understood",
            next_step="use the version of Lockgate that was last used to apply",
        )
    entries[key.decode()] = state
