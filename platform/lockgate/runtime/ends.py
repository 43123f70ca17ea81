"""Where partitions end, asked of the brokers by a client of its own: the loop's is the loop's alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from lockgate.records import Place

__all__ = ["Ends"]

_ANSWER = 2.0
"""Seconds that an answer may take: who asks for metrics gives up after some, and would see none of them."""
_AGAIN = 10.0
"""Seconds for which nobody is asked after there was no answer."""


class Ends:
    """Tell how far partitions are behind, also those that stand still: of these the loop's client hears nothing.

    Any thread may ask. `connect` makes the client, when it is asked for the first time.
    """

    def __init__(self, connect: Callable[[], Consumer], clock: Callable[[], float] = time.monotonic) -> None:
        self._connect = connect
        self._clock = clock
        self._lock = threading.Lock()
        self._client: Consumer | None = None
        self._not_before = 0.0
        self._closed = False

    def lags(self, committed: Mapping[Place, int | None]) -> dict[Place, int]:
        """Return how many offsets lie between what is committed and the ends of partitions.

        None stands for what is not known here, and the group is asked. A partition for which there is no answer, or in
        which nothing was ever committed, is left out.
        """
        if not committed or not self._lock.acquire(timeout=_ANSWER):
            return {}  # somebody else's question does not come back
        try:
            return {} if self._closed or self._clock() < self._not_before else self._ask(committed)
        except KafkaException:
            self._not_before = self._clock() + _AGAIN
            return {}
        finally:
            self._lock.release()

    def close(self) -> None:
        """Let the client go; one whose call does not come back is left behind, for a stop does not wait for it."""
        self._closed = True
        if self._lock.acquire(timeout=2 * _ANSWER):
            try:
                if self._client is not None:
                    self._client.close()
            finally:
                self._lock.release()

    def _ask(self, committed: Mapping[Place, int | None]) -> dict[Place, int]:
        if self._client is None:
            self._client = self._connect()
        self._client.poll(0)  # what it reports would pile up
        # a timestamp of -1 stands for the end; all partitions of a broker are one question
        ends = _known(self._client.offsets_for_times([TopicPartition(*p, OFFSET_END) for p in committed], _ANSWER))
        asked = [TopicPartition(*place) for place, offset in committed.items() if offset is None]
        elsewhere = _known(self._client.committed(asked, _ANSWER)) if asked else {}
        found = {place: elsewhere.get(place) if offset is None else offset for place, offset in committed.items()}
        return {
            place: max(0, ends[place] - offset)
            for place, offset in found.items()
            if offset is not None and place in ends
        }


def _known(answers: Sequence[TopicPartition]) -> dict[Place, int]:
    return {(one.topic, one.partition): one.offset for one in answers if one.error is None and one.offset >= 0}
