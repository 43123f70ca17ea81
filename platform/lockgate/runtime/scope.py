"""The transactions of a program: begun and ended by itself, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from lockgate.errors import DeliveryError, LockgateError, UsageError
from lockgate.runtime.clients import trouble_of
from lockgate.runtime.transactions import insist

__all__ = ["Scope"]

_TIMEOUT = 30.0
"""Seconds for the brokers to answer one step."""


class Scope:
    """Begin, commit and abort transactions of one client; know whether one is open, and what spoils it."""

    def __init__(self, workload: str, client: Any, behind: Callable[[KafkaError], LockgateError | None]) -> None:
        self._workload = workload
        self._client = client
        self._behind = behind
        self._prepared = False
        self._lock = threading.Lock()
        self.open = False
        self.refused: DeliveryError | None = None
        """The first event of the open transaction that the brokers did not take."""

    def renew(self, client: Any) -> None:
        """Go on with another client: taking the transactional id, it ends whatever the old one has left open."""
        self._client = client
        self._prepared = False

    def begin(self) -> None:
        """Open a transaction; raise UsageError where one is open, DeliveryError where the brokers do not let us."""
        with self._lock:
            if self.open:
                raise UsageError(
                    f"{self._workload} has a transaction open already",
                    next_step="end it first, or make another Producer",
                )
            if not self._prepared:
                self._step("take a transactional id", self._client.init_transactions)
                self._prepared = True
            try:
                self._client.begin_transaction()
            except KafkaException as error:
                raise self._failure("begin a transaction", error.args[0]) from error
            self.refused = None
            self.open = True

    def commit(self) -> None:
        """Make the transaction count; raise DeliveryError where it does not, or where nobody knows."""
        try:
            insist(self._client.commit_transaction, timeout=_TIMEOUT)
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                self.abort()
                raise self._failure("commit a transaction, which was aborted", error.args[0]) from error
            self.open = False
            raise self._failure("commit a transaction, which may count or not", error.args[0]) from error
        self.open = False

    def abort(self) -> None:
        """Let nothing of the transaction count; what cannot be aborted now, the brokers abort after its timeout."""
        self.open = False
        self._step("abort a transaction", self._client.abort_transaction)

    def _step(self, doing: str, call: Callable[..., None]) -> None:
        try:
            insist(call, timeout=_TIMEOUT)
        except KafkaException as error:
            raise self._failure(doing, error.args[0]) from error

    def _failure(self, doing: str, error: KafkaError) -> DeliveryError:
        if (cause := self._behind(error)) is not None:
            return DeliveryError(f"{self._workload} could not {doing}: {cause.message}", next_step=cause.next_step)
        trouble = trouble_of(error, self._workload, doing)
        step = trouble[1].next_step if trouble is not None else "make a new Producer" if error.fatal() else None
        return DeliveryError(f"{self._workload} could not {doing}: {error.str()}", next_step=step)
