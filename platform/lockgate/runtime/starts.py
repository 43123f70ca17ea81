"""Where the client begins in partitions that it was assigned: not before what the group has committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError

from lockgate.records import Place

__all__ = ["Starts", "without"]


class Starts:
    """Know the partitions that came, and of which no record was seen yet.

    The client asks for the committed offset of each. While a transaction that moves it is open (its process was
    killed, say) there is no answer; a rebalance in the midst of that lets librdkafka 2.16 take it for "nothing was
    committed", and begin with the first record there is: `rd_kafka_assignment_apply_offsets` keeps the offset that is
    not known, where it asks again after every other error.
    """

    def __init__(self) -> None:
        self._fresh: set[Place] = set()

    def __bool__(self) -> bool:
        return bool(self._fresh)

    def add(self, place: Place) -> None:
        """Note a partition that came."""
        self._fresh.add(place)

    def discard(self, place: Place) -> None:
        """Note that a partition goes, or that it began where it should."""
        self._fresh.discard(place)

    def firsts(self, batch: Iterable[Any]) -> dict[Place, int]:
        """Return the offset of the first record of each such partition that has one in a batch.

        One whose end comes first has begun behind every record: most retry topics are empty, and are not to be looked
        for in every batch from then on.
        """
        found: dict[Place, int] = {}
        for message in batch:
            place = (message.topic(), message.partition())
            if place not in self._fresh:
                continue
            error = message.error()
            if error is None:
                found.setdefault(place, message.offset())
            elif error.code() == KafkaError._PARTITION_EOF and place not in found:
                self._fresh.discard(place)
        return found

    def too_early(self, firsts: Mapping[Place, int], committed: Mapping[Place, int]) -> dict[Place, int]:
        """Return where to go on in those that began before the committed offset; the others are seen to."""
        wrong = {place: committed[place] for place, first in firsts.items() if committed.get(place, -1) > first}
        self._fresh.difference_update(firsts.keys() - wrong.keys())
        return wrong


def without(batch: Sequence[Any], places: Iterable[Place]) -> list[Any]:
    """Return the messages of a batch that are of other partitions."""
    gone = set(places)
    return [message for message in batch if (message.topic(), message.partition()) not in gone]
