"""How far partitions are behind their ends, as brokers tell it, and where they do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from lockgate.runtime import ends
from lockgate.runtime.ends import Ends

ONE, TWO = ("items", 0), ("items", 1)


class Brokers:
    """Answer what a client asks."""

    def __init__(self) -> None:
        self.ends = {ONE: 10, TWO: 20}
        self.committed_in = {TWO: 15}
        self.asked = 0
        self.away = False
        self.hangs: threading.Event | None = None
        self.closed = False

    def poll(self, timeout: float) -> None:
        """Have nothing to report."""

    def offsets_for_times(self, wanted: Sequence[TopicPartition], _: float) -> list[Any]:
        self.asked += 1
        if self.hangs is not None:
            self.hangs.wait()
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return [self._answer(one, self.ends) for one in wanted]

    def committed(self, wanted: Sequence[TopicPartition], _: float) -> list[Any]:
        return [self._answer(one, self.committed_in) for one in wanted]

    def close(self) -> None:
        self.closed = True

    def _answer(self, one: TopicPartition, known: dict[tuple[str, int], int]) -> TopicPartition:
        return TopicPartition(one.topic, one.partition, known.get((one.topic, one.partition), -1001))


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


def made(brokers: Any, now: Sequence[float] = (0.0,)) -> Ends:
    return Ends(lambda: brokers, clock=lambda: now[0])


def test_the_lag_is_what_lies_between_the_commit_and_the_end(brokers: Brokers) -> None:
    assert made(brokers).lags({ONE: 4, TWO: 20}) == {ONE: 6, TWO: 0}


def test_what_this_process_has_not_committed_itself_the_group_is_asked(brokers: Brokers) -> None:
    assert made(brokers).lags({ONE: 4, TWO: None}) == {ONE: 6, TWO: 5}


def test_a_partition_of_which_nothing_is_known_is_left_out(brokers: Brokers) -> None:
    del brokers.ends[ONE]
    assert made(brokers).lags({ONE: 4, TWO: 20}) == {TWO: 0}
    brokers.committed_in = {}
    assert made(brokers).lags({TWO: None}) == {}


def test_a_commit_that_is_newer_than_the_answer_is_no_lag_below_zero(brokers: Brokers) -> None:
    assert made(brokers).lags({ONE: 12}) == {ONE: 0}


def test_brokers_that_do_not_answer_are_left_alone_for_a_while(brokers: Brokers) -> None:
    now, brokers.away = [0.0], True
    ends = made(brokers, now)
    assert ends.lags({ONE: 4}) == {}
    now[0], brokers.away = 9.9, False
    assert ends.lags({ONE: 4}) == {}
    assert brokers.asked == 1
    now[0] = 10.0
    assert ends.lags({ONE: 4}) == {ONE: 6}


def test_nobody_is_asked_where_nothing_is_assigned_or_after_the_end(brokers: Brokers) -> None:
    ends = made(brokers)
    assert ends.lags({}) == {}
    ends.close()
    assert ends.lags({ONE: 4}) == {}
    assert brokers.asked == 0


def test_a_question_that_does_not_come_back_keeps_neither_others_nor_the_end(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "_ANSWER", 0.05)
    brokers.hangs, asking = threading.Event(), made(brokers)
    thread = threading.Thread(target=asking.lags, args=({ONE: 4},), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not brokers.asked:
        assert time.monotonic() < deadline
    assert asking.lags({ONE: 4}) == {}
    asking.close()
    assert not brokers.closed, "it is in use"
    brokers.hangs.set()
    thread.join(30)
