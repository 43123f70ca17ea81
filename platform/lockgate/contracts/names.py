"""Every derived name, built here and never parsed."""

from __future__ import annotations

__all__ = [
    "MAX_NAME_LENGTH",
    "RESERVED_INFIXES",
    "dead_letter_topic",
    "reader_principal",
    "replayer_principal",
    "retry_topic",
    "subject",
    "transactional_id_prefix",
]

MAX_NAME_LENGTH = 249
"""Kafka's limit for a topic's name, derived suffixes included (`Topic.MAX_NAME_LENGTH`)."""

RESERVED_INFIXES = (".retry.", ".dlq.", ".ledger.")
"""What no domain topic's name may contain, because derived names do."""


def retry_topic(topic: str, workload: str, tier: int) -> str:
    """Return the name of a retry topic; tiers count from 1."""
    return f"{topic}.retry.{workload}.{tier}"


def dead_letter_topic(topic: str, workload: str) -> str:
    """Return the name of the dead-letter topic of one workload for one topic."""
    return f"{topic}.dlq.{workload}"


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
