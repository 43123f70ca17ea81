"""Every derived name, built here and never parsed."""

from __future__ import annotations

__all__ = [
    "APPLIED_TOPIC",
    "APPLY_GROUP",
    "MAX_NAME_LENGTH",
    "MAX_PRINCIPAL_LENGTH",
    "MAX_SUBJECT_LENGTH",
    "MAX_TIERS",
    "RESERVED_PARTS",
    "RESERVED_PRINCIPALS",
    "control_topic",
    "dead_letter_topic",
    "folded",
    "is_control_topic",
    "longest_topic",
    "parked_topic",
    "reader_principal",
    "replayer_principal",
    "retry_topic",
    "subject",
    "transactional_id_prefix",
]

MAX_NAME_LENGTH = 249
"""Kafka's limit for a topic's name, derived suffixes included (`Topic.MAX_NAME_LENGTH`)."""

MAX_PRINCIPAL_LENGTH = 200
"""Ours: `credentials/<principal>.properties` must be a legal file name (255 bytes) while it is being replaced, too."""

MAX_SUBJECT_LENGTH = 512
"""The registry's limit (a column of its database)."""

APPLIED_TOPIC = "lockgate.ledger"
"""The topic that holds what was last applied. `ledger` is a part that no other name may have."""

APPLY_GROUP = "lockgate~apply"
"""The group whose one assignment is the right to apply; `~` occurs in no workload's name."""

MAX_TIERS = 20
"""How many retry topics a workload may have."""

RESERVED_PARTS = frozenset({"control", "retry", "dlq", "ledger", "parked"})
"""What no part (between dots) of a topic's or a workload's name may be, because derived names have it."""

RESERVED_PRINCIPALS = frozenset({"admin", "ci", "anonymous", "registry-reader"})
"""Identities of the platform itself, lower case; so are the brokers, `kafka-1` and so on."""


def retry_topic(topic: str, workload: str, tier: int) -> str:
    """Return the name of a retry topic; tiers count from 1."""
    return f"{topic}.retry.{workload}.{tier}"


def parked_topic(topic: str, workload: str) -> str:
    """Return the name of the topic in which records wait for an earlier one of their key."""
    return f"{topic}.retry.{workload}.parked"


def dead_letter_topic(topic: str, workload: str) -> str:
    """Return the name of the dead-letter topic of one workload for one topic."""
    return f"{topic}.dlq.{workload}"


def control_topic(topic: str, workload: str) -> str:
    """Return the name of the topic that tells the processes of one workload whether to pause."""
    return f"{topic}.control.{workload}"


def is_control_topic(name: str) -> bool:
    """Tell a control topic from all others: no topic or workload has that part in its own name."""
    return ".control." in name


def longest_topic(topic: str, workload: str) -> str:
    """Return the longest name that any workload's contract can derive from it: that of its parking lane."""
    return parked_topic(topic, workload)


def folded(name: str) -> str:
    """Return what is left of a name in metrics: Kafka folds `.` and `_`, Prometheus `-` too, people the case."""
    return name.lower().replace(".", "_").replace("-", "_")


def subject(topic: str, event_type: str) -> str:
    """Return the registry subject of an event type's full name (TopicRecordNameStrategy)."""
    return f"{topic}-{event_type}"


def transactional_id_prefix(workload: str) -> str:
    """Return the prefix of a workload's transactional ids; `~` occurs in no workload's name."""
    return f"{workload}~"


def reader_principal(team_slug: str) -> str:
    """Return the principal that may read a team's dead letters; also its consumer group."""
    return f"{team_slug}~reader"


def replayer_principal(team_slug: str) -> str:
    """Return the principal that may replay a team's dead letters; also its consumer group."""
    return f"{team_slug}~replayer"
