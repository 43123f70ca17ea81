"""What an operator asks of this workload, followed while it runs: whether it is to be paused."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from lockgate.control import ControlState
from lockgate.runtime.clients import trouble_of
from lockgate.runtime.logs import logger_for
from lockgate.runtime.patience import Patience

__all__ = ["Control"]

_EVERY = 0.2
"""Seconds between two looks: polling more often than intake does has no point."""


class Control:
    """Read a workload's control topic to its end at the start, and what is added to it later on.

    It has a consumer of its own: every process reads the one partition, and none of them joins the group for it.
    """

    def __init__(self, workload: str, topic: str, connect: Callable[[], Consumer], patience: Patience) -> None:
        self._workload = workload
        self.topic = topic
        self._patience = patience
        self._log = logger_for(workload, group=workload)
        self._looked_at = 0.0
        self._state: ControlState | None = None
        self._complete = False
        self._consumer = connect()
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])

    @property
    def paused(self) -> bool:
        """Return whether the last word was to pause."""
        return self._state is not None and self._state.paused

    def read(self, timeout: float) -> bool:
        """Return whether all that was said so far is known; wait for it so many seconds."""
        deadline = time.monotonic() + timeout
        while not self._complete and time.monotonic() < deadline:
            self._next(0.1)
        return self._complete

    def look(self) -> None:
        """Take note of what was said since, now and then; never wait."""
        now = time.monotonic()
        if now - self._looked_at >= _EVERY:
            self._looked_at = now
            while self._next(0):
                pass

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _next(self, timeout: float) -> bool:
        """Take one message; return whether there was one."""
        message = self._consumer.poll(timeout)
        if message is None:
            return False
        error = message.error()
        if error is None:
            self._patience.over(f"read {self.topic}")
            self._hear(message.value())
        elif error.code() == KafkaError._PARTITION_EOF:
            self._patience.over(f"read {self.topic}")
            self._complete = True
        else:
            trouble = trouble_of(error, self._workload, f"read {self.topic}")
            if trouble is None or trouble[0] == "cluster" or self._patience.trouble(*trouble):
                self._log.warning("The control topic cannot be read", error=error.str())
        return True

    def _hear(self, value: bytes | None) -> None:
        state = ControlState.decode(value)
        if state is None:
            self._log.warning("A record of the control topic is not understood; it changes nothing")
            return
        self._state = state
        said = "Asked to pause" if state.paused else "Asked to go on"
        self._log.info(said, by=state.by, at=state.at, why=state.why)
