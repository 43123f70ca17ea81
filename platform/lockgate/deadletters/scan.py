"""Reading letter boxes from their first letter to what was their last when the reading began."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from lockgate.connection import Settings
from lockgate.deadletters.box import Box
from lockgate.deadletters.letter import Letter
from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable, LockgateError
from lockgate.records import Coordinates

__all__ = ["cluster_error", "scan", "scan_topics"]

_DENIED = {
    KafkaError._AUTHENTICATION,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_PASSING = {
    # a leader or coordinator is on the move; librdkafka marks not all of these as retriable
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
}
_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}


def scan(
    settings: Settings,
    boxes: Iterable[Box],
    *,
    group: str,
    start: Mapping[tuple[str, int], int] | None = None,
    patience: float = 30.0,
) -> Iterator[Letter]:
    """Yield the letters of some boxes, those that lay there when the scan began; nothing is committed.

    `group` is the principal's own name: it may read no other. `start` leaves out what lies before some offsets. Raise
    ClusterDenied, ClusterUnavailable (nothing came for `patience` seconds) or ClusterError.
    """
    by_topic = {box.topic: box for box in boxes}
    for message in scan_topics(settings, by_topic, group=group, start=start, patience=patience):
        topic, partition, offset = str(message.topic()), message.partition(), message.offset()
        yield Letter(
            by_topic[topic],
            Coordinates(topic, partition if partition is not None else -1, offset if offset is not None else -1),
            message.key(),
            message.value(),
            tuple(message.headers() or ()),  # type: ignore[arg-type]  # a consumer gives (str, bytes) pairs
            message.timestamp()[1],
        )


def scan_topics(
    settings: Settings,
    topics: Iterable[str],
    *,
    group: str,
    start: Mapping[tuple[str, int], int] | None = None,
    patience: float = 30.0,
) -> Iterator[Message]:
    """Yield the committed records of whole topics, up to the end that each partition had when the scan began.

    `start` gives first offsets by (topic, partition); partitions that it does not name are read from their beginning.
    """
    complaints: list[KafkaError] = []
    consumer = Consumer(
        {
            **settings.client_config(),
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 10,  # the default of a second is what a short scan would wait for
            "error_cb": complaints.append,
        }
    )
    try:
        ends = _ends(consumer, topics, start or {}, patience)
        yield from _read(consumer, ends, start or {}, patience)
    except KafkaException as error:
        consumer.poll(0)  # hands the reason of a failed connection to the callback
        cause = next((each for each in complaints if each.code() in _DENIED), error.args[0])
        raise cluster_error(cause, settings) from error
    finally:
        consumer.close()


def _ends(
    consumer: Consumer, topics: Iterable[str], start: Mapping[tuple[str, int], int], patience: float
) -> dict[tuple[str, int], int]:
    """Return the end offset of each partition that holds anything from its start on."""
    ends = {}
    for topic in topics:
        metadata = consumer.list_topics(topic, timeout=patience).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        for partition in metadata.partitions:
            found = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=patience)
            if found is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            low, high = found
            if max(low, start.get((topic, partition), low)) < high:
                ends[topic, partition] = high
    return ends


def _read(
    consumer: Consumer,
    ends: dict[tuple[str, int], int],
    start: Mapping[tuple[str, int], int],
    patience: float,
) -> Iterator[Message]:
    consumer.assign([TopicPartition(*place, start.get(place, OFFSET_BEGINNING)) for place in ends])
    open_ends = dict(ends)
    last_sign_of_life = time.monotonic()
    while open_ends:
        for message in consumer.consume(1000, timeout=0.2):
            last_sign_of_life = time.monotonic()
            place = (str(message.topic()), message.partition() or 0)
            error = message.error()
            if error is None:
                # What was written after the scan began is left out, so that the scan ends however fast it grows.
                if (message.offset() or 0) < ends[place]:
                    yield message
                else:
                    open_ends.pop(place, None)
            elif error.code() == KafkaError._PARTITION_EOF:
                # Only the end-of-partition event ends it: the last offsets may be transaction markers, which are
                # never delivered.
                if (message.offset() or 0) >= ends[place]:
                    open_ends.pop(place, None)
            else:
                raise KafkaException(error)
        if time.monotonic() - last_sign_of_life > patience:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no records came"))


def cluster_error(error: KafkaError, settings: Settings) -> LockgateError:
    """Turn Kafka's error into Lockgate's, with the next step."""
    who = settings.username or "this client"
    code: Any = error.code()
    if code in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        return ClusterDenied(
            f"the brokers at {settings.bootstrap_servers} did not accept {who}",
            next_step="`lockgate apply` writes the credentials files anew",
        )
    if code in _DENIED:
        return ClusterDenied(f"{who} may not do this: {error.str()}", next_step="name another identity with --as")
    if code in _MISSING:
        return ClusterError(f"the cluster does not know this topic: {error.str()}", next_step="run `lockgate apply`")
    if error.retriable() or code in _PASSING:
        return ClusterUnavailable(
            f"the brokers at {settings.bootstrap_servers} did not answer in time: {error.str()}",
            next_step="`lockgate status` shows a local stack's state",
        )
    return ClusterError(f"the cluster refused: {error.str()}")
