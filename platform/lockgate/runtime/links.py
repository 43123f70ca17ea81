"""What a producer reaches the outside by: a registry, and a Kafka client."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaError
from confluent_kafka import Producer as KafkaProducer

from lockgate.connection import Settings
from lockgate.registry import Registry
from lockgate.runtime.clients import OnError, connect_producer
from lockgate.runtime.encoding import SubjectSource
from lockgate.runtime.login import Login

__all__ = ["Links", "SettingsLinks"]


class Links(Protocol):
    """What a producer reaches the outside by; `SettingsLinks` are a program's own."""

    registry: SubjectSource

    def connect(self, on_error: OnError, transactional_id: str | None) -> KafkaProducer:
        """Return an idempotent client, a transactional one where it gets an id."""

    def close(self) -> None:
        """Let go of the registry."""


class SettingsLinks:
    """The links of a program, as its settings have them."""

    def __init__(self, workload: str, settings: Settings, root: Path) -> None:
        self._login = Login(workload, root, settings)
        self._workload = workload
        self._settings = settings
        self._registry = Registry(settings)
        self.registry: SubjectSource = self._registry

    def connect(self, on_error: OnError, transactional_id: str | None) -> KafkaProducer:
        """Return an idempotent client, a transactional one where it gets an id; it takes up a rotated password."""

        def report(error: KafkaError) -> None:
            self._login.on_error(error)
            on_error(error)

        return self._login.watch(connect_producer(self._settings, self._workload, report, transactional_id), "producer")

    def close(self) -> None:
        """Close the connections to the registry."""
        self._registry.close()
