"""What groups have committed, asked from outside."""

from __future__ import annotations

import secrets

from confluent_kafka import Consumer, TopicPartition

from lockgate.committed import Committed
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.offsets import GroupOffsets
from tests.worlds import SharedStack, World


def test_offsets_of_several_groups_are_told_and_none_of_a_group_that_never_was(
    stack: SharedStack, world: World
) -> None:
    config = stack.settings("admin").client_config()
    topic = world.source_topic
    groups = [f"{world.name}-{number}" for number in range(2)]
    for number, group in enumerate(groups):
        consumer = Consumer(config | {"group.id": group})
        consumer.commit(offsets=[TopicPartition(topic, number, 5 + number)], asynchronous=False)
        consumer.close()
    unknown = f"{world.name}-{secrets.token_hex(4)}"
    places = [(topic, number) for number in range(3)]
    with Committed(config) as offsets:
        for _ in range(2):  # the second time over the same connections
            assert offsets.of([*groups, unknown], places) == {
                groups[0]: {(topic, 0): 5},
                groups[1]: {(topic, 1): 6},
                unknown: {},
            }
    with Cluster(stack.settings("admin")) as cluster:  # an administrator's way: many groups in one request
        assert GroupOffsets(cluster).committed(dict.fromkeys([*groups, unknown], places)) == {
            groups[0]: {(topic, 0): 5},
            groups[1]: {(topic, 1): 6},
            unknown: {},
        }
