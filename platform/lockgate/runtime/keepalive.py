"""A second thread that polls while a batch takes long, so that a slow handler does not cost its partitions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lockgate.records import Place

__all__ = ["KeepAlive"]

_TICK = 0.1
_TAKES_LONG = 3.0
"""Seconds after which a batch is no longer waited for: the others of the group would wait, too."""


class KeepAlive:
    """Poll in the place of the loop, whenever a batch is in hand for longer than usual.

    Everything is paused meanwhile: polls bring rebalances and errors, and no records. Rebalances are reported from
    this thread, then; the loop is busy with a handler.
    """

    def __init__(self, consumer: Consumer, max_poll_interval: float, waits: Callable[[Place], bool]) -> None:
        self._consumer = consumer
        self._after = min(_TAKES_LONG, max_poll_interval / 3)
        self._waits = waits
        self._busy_since: float | None = None
        self._idle = threading.Event()
        self._idle.set()
        self._lock = threading.Lock()
        self._paused: set[Place] = set()
        self._back: dict[Place, int] = {}
        self._errors: list[Any] = []
        self._failure: KafkaException | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keepalive", daemon=True)
        self.steering = False
        """Whether this thread polls."""

    def busy(self) -> None:
        """Note that a batch is in hand."""
        if not self._thread.is_alive() and not self._closed.is_set():
            self._thread.start()
        self._idle.clear()
        self._busy_since = time.monotonic()

    def idle(self) -> list[Any]:
        """Note that none is; return, once the consumer is the caller's alone, the errors that polls brought."""
        self._busy_since = None
        self._idle.set()
        if not self.steering:
            return []
        with self._lock:
            self.steering = False
            paused, self._paused = self._paused, set()
            back, self._back = self._back, {}
            errors, self._errors = self._errors, []
            if self._failure is not None:
                raise self._failure
            for place, offset in back.items():
                self._consumer.seek(TopicPartition(*place, offset))
            resumed = [TopicPartition(*place) for place in paused if not self._waits(place)]
            if resumed:
                self._consumer.resume(resumed)
            return errors

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait for the batch in hand, where this is the thread that polls; tell whether it was settled."""
        return threading.current_thread() is not self._thread or self._idle.wait(seconds)

    @contextmanager
    def kept_out(self) -> Iterator[bool]:
        """Keep this thread from polling within the block, if it does not poll already; tell whether that is so.

        Who calls the client while it polls waits for the poll, for the client lets one thread in at a time; a rebalance
        within the poll waits for the batch in hand, and so for who calls.
        """
        out = self._lock.acquire(blocking=False)
        try:
            yield out and not self.steering
        finally:
            if out:
                self._lock.release()

    def forget(self, place: Place) -> bool:
        """Drop a partition that comes or goes; tell whether it was paused here: the caller resumes it."""
        paused = place in self._paused
        self._paused.discard(place)
        self._back.pop(place, None)
        return paused

    def close(self) -> None:
        """Poll no more."""
        self._closed.set()
        self.idle()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(_TICK):
            since = self._busy_since
            if since is None or time.monotonic() - since < self._after or self._failure is not None:
                continue
            with self._lock:
                was = self.steering
                self.steering = True  # first: whoever ends the batch now either sees it, or is seen here
                if self._busy_since != since:
                    self.steering = was
                    continue
                try:
                    self._steer()
                except KafkaException as error:  # the loop raises it: going on could pass over records
                    self._failure = error

    def _steer(self) -> None:
        self._pause()
        while (message := self._consumer.poll(0)) is not None:
            error = message.error()
            if error is None:
                # of a partition that has come just now: it is read again as soon as it goes on
                self._back.setdefault((str(message.topic()), message.partition() or 0), message.offset() or 0)
            elif error.code() != KafkaError._PARTITION_EOF:
                self._errors.append(message)
            self._pause()

    def _pause(self) -> None:
        """Pause what is not paused yet."""
        fresh = [e for e in self._consumer.assignment() if (e.topic, e.partition) not in self._paused]
        if fresh:
            self._consumer.pause(fresh)
            self._paused |= {(entry.topic, entry.partition) for entry in fresh}
