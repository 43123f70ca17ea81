"""A rehearsal of changes on the brokers themselves: they may know reasons to refuse that no comparison shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from confluent_kafka import KafkaError

from lockgate.provisioning.change import Change
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.reports import Refusal
from lockgate.provisioning.requests import create_partitions, create_topics, set_configs
from lockgate.provisioning.topics import AddPartitions, AlterConfig, CreateTopic

__all__ = ["rehearse"]


def rehearse(changes: Iterable[Change], cluster: Cluster) -> Iterator[Refusal]:
    """Ask the brokers to validate what concerns topics, and return what they would refuse: policies, bad values.

    Nothing is changed. Raise ClusterError where they cannot be asked.
    """
    creations, growths = [], {}
    alterations: dict[str, dict[str, str]] = {}
    origins: dict[str, str] = {}
    for change in changes:
        origins[change.name] = change.declared
        match change:
            case CreateTopic(topic):
                creations.append(topic)
            case AddPartitions(topic):
                growths[topic.name] = topic.partitions
            case AlterConfig(topic, differences):
                values = alterations.setdefault(topic.name, {})
                values.update({difference.key: difference.after for difference in differences})
    answers = [
        create_topics(cluster, creations, validate_only=True),
        create_partitions(cluster, growths, validate_only=True),
        set_configs(cluster, alterations, validate_only=True),
    ]
    for futures in answers:
        for name, error in cluster.failures(futures).items():
            yield _refusal(name, error, origins[name])


def _refusal(name: str, error: KafkaError, declared: str) -> Refusal:
    return Refusal("topic", name, f"the brokers refuse it: {error.str()}", "change what the contract asks", declared)
