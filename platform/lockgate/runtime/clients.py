"""The Kafka clients of a workload, with the settings that its guarantees rest on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from lockgate.connection import Settings
from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable, LockgateError, SettingsError
from lockgate.runtime.logs import bridge

__all__ = ["connect_consumer", "connect_control", "connect_onlooker", "connect_producer", "trouble_of"]

_CLIENT_DEFAULTS: dict[str, Any] = {
    # while no broker can be reached the client begins anew with all of them, so every wait is the first one
    "reconnect.backoff.ms": 500,
    "reconnect.backoff.max.ms": 2000,
}
_CONSUMER_DEFAULTS: dict[str, Any] = _CLIENT_DEFAULTS | {
    "fetch.queue.backoff.ms": 10,  # the default of 1 s starves a fast loop
    "session.timeout.ms": 10000,  # a killed process's partitions move on after this long
    "topic.metadata.refresh.interval.ms": 30000,
}
_CONSUMER_GUARANTEES: dict[str, Any] = {
    "allow.auto.create.topics": False,
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,  # commits pass transaction markers at a partition's end
    "isolation.level": "read_committed",
    # A main partition and the retry partitions of its number belong to one process; the cooperative assignor does not
    # give that, and a running group cannot change over to `range` from it without a stop.
    "partition.assignment.strategy": "range",
}
_PRODUCER_DEFAULTS: dict[str, Any] = _CLIENT_DEFAULTS | {
    "compression.type": "lz4",
    "delivery.timeout.ms": 60000,
    "linger.ms": 5,
    "queue.buffering.max.kbytes": 131072,
    "retries": 1000,  # bounded by the delivery timeout before
    "retry.backoff.max.ms": 1000,
}
_TRANSACTION_TIMEOUT_MS = 10000
"""For so long, at most, what a killed process left open keeps readers of its results waiting."""
_PRODUCER_GUARANTEES: dict[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    # the brokers know each topic's limit and count compressed bytes; the client's own limit must not be the stricter
    "message.max.bytes": 64 * 1024 * 1024,
    "partitioner": "murmur2_random",  # keys lie where Java and Flink clients put them
}

_DENIED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
_DOWN = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TRANSPORT, KafkaError._SSL})

OnError = Callable[[KafkaError], None]


def connect_consumer(settings: Settings, workload: str, on_error: OnError) -> Consumer:
    """Return a consumer in the workload's group; it connects in the background."""
    config = _with_defaults(_CONSUMER_DEFAULTS, settings) | _CONSUMER_GUARANTEES
    if config.get("group.protocol") == "consumer":  # KIP-848: the brokers assign, and they alone know the timeouts
        for name in ("session.timeout.ms", "partition.assignment.strategy"):
            del config[name]
        config["group.remote.assignor"] = "range"
    config |= {"group.id": workload, "client.id": workload, "error_cb": on_error}
    try:
        return Consumer(config, logger=bridge(workload, group=workload))
    except KafkaException as error:
        raise _refused(error) from error


def connect_control(settings: Settings, workload: str, on_error: OnError) -> Consumer:
    """Return a consumer that is assigned its partitions by hand, and is no member of the workload's group."""
    config = _with_defaults(_CLIENT_DEFAULTS, settings) | _CONSUMER_GUARANTEES
    config["group.protocol"] = "classic"  # whatever the workload's own is: this one joins no group
    config |= {"group.id": workload, "client.id": f"{workload}~control", "error_cb": on_error}
    try:
        return Consumer(config, logger=bridge(workload, group=workload))
    except KafkaException as error:
        raise _refused(error) from error


def connect_onlooker(settings: Settings, workload: str) -> Consumer:
    """Return a consumer that only asks, where partitions end and what the workload's group has committed.

    It sees what is written, also in transactions that are still open. It says nothing: the workload's own clients tell
    what is wrong with the brokers.
    """
    config = _with_defaults(_CLIENT_DEFAULTS, settings) | _CONSUMER_GUARANTEES
    config |= {"group.protocol": "classic", "isolation.level": "read_uncommitted", "log_level": 0}
    config |= {"group.id": workload, "client.id": f"{workload}~metrics"}
    try:
        return Consumer(config)
    except KafkaException as error:
        raise _refused(error) from error


def connect_producer(
    settings: Settings,
    workload: str,
    on_error: OnError,
    transactional_id: str | None = None,
    *,
    group: str | None = None,
) -> Producer:
    """Return an idempotent producer, a transactional one where it gets an id; it connects in the background.

    `group` is that of a workload which also consumes: its lines in the log tell it.
    """
    config = _with_defaults(_PRODUCER_DEFAULTS, settings) | _PRODUCER_GUARANTEES
    config |= {"client.id": workload, "error_cb": on_error}
    if transactional_id is not None:
        config.setdefault("transaction.timeout.ms", _TRANSACTION_TIMEOUT_MS)
        # a record that is later than its transaction is of no use
        config["delivery.timeout.ms"] = config["transaction.timeout.ms"]
        config["transactional.id"] = transactional_id
    try:
        return Producer(config, logger=bridge(workload, **({} if group is None else {"group": group})))
    except KafkaException as error:
        raise _refused(error) from error


def _with_defaults(defaults: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    given = settings.client_config()
    most = str(given.get("reconnect.backoff.max.ms", ""))
    if most.isdecimal():  # the client refuses a first wait that is longer than the longest one
        defaults = {**defaults, "reconnect.backoff.ms": min(int(most), defaults["reconnect.backoff.ms"])}
    return {**defaults, **given}


def _refused(error: KafkaException) -> SettingsError:
    return SettingsError(
        f"the Kafka client does not take its settings: {error.args[0].str()}",
        next_step="check the LOCKGATE_KAFKA_… variables and LOCKGATE_CA_FILE",
    )


def trouble_of(error: KafkaError, workload: str, doing: str) -> tuple[str, LockgateError] | None:
    """Return a refusal that only an administrator can mend, as `(what it is about, error)`; None for all others.

    `doing` completes "may not …": `write orders.dlq.orders-service`.
    """
    code = error.code()
    if code in _LOGIN:
        return "login", ClusterDenied(
            f"the brokers refused to authenticate {workload}: {error.str()}",
            next_step="check LOCKGATE_USERNAME and LOCKGATE_PASSWORD; `lockgate apply` writes new credentials",
        )
    if code in _DENIED:
        return doing, ClusterDenied(
            f"{workload} may not {doing}: {error.str()}",
            next_step="`lockgate plan` shows rights that are missing, `lockgate apply` grants them",
        )
    if code in _MISSING:
        return doing, ClusterError(
            f"{workload} cannot {doing}: {error.str()}",
            next_step="`lockgate plan` shows topics that are missing, `lockgate apply` makes them",
        )
    if code in _DOWN:
        return "cluster", ClusterUnavailable(
            f"no broker answers {workload}: {error.str()}",
            next_step="check LOCKGATE_BOOTSTRAP_SERVERS and LOCKGATE_CA_FILE; `lockgate status` for a local stack",
        )
    return None
