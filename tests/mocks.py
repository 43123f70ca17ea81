"""Mock brokers of the client library, one by one down and up again: its Python interface does not offer that."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka

__all__ = ["MockBrokers"]

_PRODUCER = 0
_ERROR_SIZE = 512


class MockBrokers:
    """Own so many brokers, numbered from 1, in this process."""

    def __init__(self, count: int) -> None:
        self._library = _library()
        self._count = count
        errors = ctypes.create_string_buffer(_ERROR_SIZE)
        config = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(config, b"log_level", b"0", errors, _ERROR_SIZE)
        # the brokers run in a client's threads
        self._client = self._library.rd_kafka_new(_PRODUCER, config, errors, _ERROR_SIZE)
        assert self._client, errors.value
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, count)
        self.servers: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def make(self, topic: str) -> None:
        """Make a topic with one partition, which every broker has."""
        self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), 1, self._count)

    def coordinate(self, kind: str, name: str, broker: int) -> None:
        """Let a broker coordinate a `group` or a `transaction`."""
        self._library.rd_kafka_mock_coordinator_set(self._cluster, kind.encode(), name.encode(), broker)

    def down(self, broker: int) -> None:
        """End a broker's connections, and take no new ones."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self, broker: int) -> None:
        """Let a broker come back."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def close(self) -> None:
        """End the brokers."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    @classmethod
    @contextmanager
    def running(cls, count: int = 3) -> Iterator[MockBrokers]:
        """Start brokers, and end them."""
        brokers = cls(count)
        try:
            yield brokers
        finally:
            brokers.close()


def _library() -> Any:
    """Return the C library that the Python client has loaded."""
    assert confluent_kafka.__file__ is not None
    package = Path(confluent_kafka.__file__).parent
    (file,) = (package.parent / "confluent_kafka.libs").glob("librdkafka*")
    library = ctypes.CDLL(str(file))
    pointer, text, number, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_size_t
    for name, result, *arguments in (
        ("rd_kafka_conf_new", pointer),
        ("rd_kafka_conf_set", ctypes.c_int, pointer, text, text, text, size),
        ("rd_kafka_new", pointer, ctypes.c_int, pointer, text, size),
        ("rd_kafka_destroy", None, pointer),
        ("rd_kafka_mock_cluster_new", pointer, pointer, ctypes.c_int),
        ("rd_kafka_mock_cluster_destroy", None, pointer),
        ("rd_kafka_mock_cluster_bootstraps", text, pointer),
        ("rd_kafka_mock_topic_create", ctypes.c_int, pointer, text, ctypes.c_int, ctypes.c_int),
        ("rd_kafka_mock_coordinator_set", ctypes.c_int, pointer, text, text, number),
        ("rd_kafka_mock_broker_set_down", ctypes.c_int, pointer, number),
        ("rd_kafka_mock_broker_set_up", ctypes.c_int, pointer, number),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
