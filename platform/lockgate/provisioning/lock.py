"""One apply at a time: the right to apply is the assignment of the ledger's one partition."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException

from lockgate.connection import Settings
from lockgate.contracts.names import APPLIED_TOPIC, APPLY_GROUP
from lockgate.errors import ClusterError, ClusterUnavailable
from lockgate.provisioning.failures import DENIED, cluster_error

__all__ = ["ApplyLock"]

_SESSION_SECONDS = 10
"""How long the lock of a process that was killed is kept."""

_QUIET_SECONDS = 3.0


class ApplyLock:
    """Hold the right to apply, as a context manager: entering waits until every other holder is done or dead.

    A member of the group keeps its partition while others join (`cooperative-sticky`), and loses it `_SESSION_SECONDS`
    after its process has died. Raise ClusterUnavailable where it is not to be had within `patience` seconds.
    """

    def __init__(self, settings: Settings, progress: Callable[[str], None], *, patience: float = 300.0) -> None:
        self._settings = settings
        self._progress = progress
        self._patience = patience
        self._held = threading.Event()
        self._over = threading.Event()
        self._refusal: KafkaError | None = None
        self._thread = threading.Thread(target=self._keep, name="lockgate-lock", daemon=True)
        config: dict[str, Any] = settings.client_config() | {
            "group.id": APPLY_GROUP,
            "client.id": f"lockgate-apply/{socket.gethostname()}/{os.getpid()}",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": _SESSION_SECONDS * 1000,
            "heartbeat.interval.ms": 1000,
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "topic.metadata.refresh.interval.ms": 1000,  # the ledger may have been made a moment ago
        }
        self._consumer = Consumer(config)

    def __enter__(self) -> Self:
        self._thread.start()
        started = time.monotonic()
        told = False
        try:
            while not self._held.wait(0.05):
                waited = time.monotonic() - started
                if self._refusal is not None:
                    doing = f"to join the group {APPLY_GROUP}"
                    raise cluster_error(self._refusal, doing, servers=self._settings.bootstrap_servers)
                if waited > _QUIET_SECONDS and not told:
                    told = True
                    self._progress("waiting: somebody else is applying to this cluster")
                if waited > self._patience:
                    raise ClusterUnavailable(
                        f"somebody else has been applying to this cluster for {self._patience:.0f} s",
                        next_step=f"`kafka-consumer-groups --describe --members --group {APPLY_GROUP}` says who",
                    )
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def check(self) -> None:
        """Raise ClusterError where the lock was lost: another apply may have begun."""
        if not self._held.is_set():
            raise ClusterError(
                "this apply lost its lock, because the brokers had not heard of it for too long; it stops here",
                next_step="run `lockgate apply` again; it goes on where this one stopped",
            )

    def _keep(self) -> None:
        try:
            self._consumer.subscribe(
                [APPLIED_TOPIC],
                on_assign=lambda _, partitions: self._held.set() if partitions else None,
                on_revoke=self._lost,
                on_lost=self._lost,
            )
            while not self._over.is_set():
                message = self._consumer.poll(0.1)  # the records are not wanted, the membership is
                error = None if message is None else message.error()
                if error is not None and error.code() in DENIED:
                    self._refusal = error
        except KafkaException as error:
            self._refusal = error.args[0]
            self._held.clear()

    def _lost(self, _: Consumer, partitions: list[Any]) -> None:
        if partitions:
            self._held.clear()

    def _end(self) -> None:
        self._over.set()
        self._thread.join()
        self._consumer.close()
