"""A Kafka cluster as an administrator sees it: what is asked of it, and errors that say what to do."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Any, Self, TypeVar

import attrs
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    ConfigSource,
    ResourcePatternType,
    ResourceType,
    ScramMechanism,
)

from lockgate.connection import Settings
from lockgate.errors import ClusterDenied, ClusterUnavailable, SettingsError
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.failures import ANOTHER_PRINCIPAL, DENIED, UNAVAILABLE, cluster_error

__all__ = ["Broker", "Cluster", "TopicConfig", "brokers_in"]

_T = TypeVar("_T")

_log = logging.getLogger("lockgate.kafka")
_log.addHandler(logging.NullHandler())  # librdkafka says every failed connection; ours is one error

_CONNECT_SECONDS = 10.0
"""How long a first answer is waited for: brokers that do not run are not going to."""

_SETTLE_SECONDS = 15.0
"""How long brokers that are listed and not reached are waited for."""


@attrs.frozen(order=True)
class Broker:
    """Name a broker and where the administrator's listener reaches it."""

    id: int
    host: str
    port: int

    def __str__(self) -> str:
        return f"broker {self.id} ({self.host}:{self.port})"


@attrs.frozen
class TopicConfig:
    """Hold a topic's configuration."""

    effective: Mapping[str, str]
    overrides: frozenset[str]
    """The keys that were set on the topic itself."""


def brokers_in(metadata: ClusterMetadata) -> tuple[Broker, ...]:
    """Return the brokers of a metadata answer, by id."""
    entries: Any = metadata.brokers.values()  # typed by their initial None
    return tuple(sorted(Broker(entry.id, entry.host, entry.port) for entry in entries))


def _reachable(broker: Broker) -> bool:
    try:
        socket.create_connection((broker.host, broker.port), timeout=1.0).close()
    except OSError:
        return False
    return True


class Cluster:
    """Ask a cluster as its administrator; use it as a context manager. `requests` holds what changes it.

    Calls start their requests at once and return futures where several can be under way together; `results` waits for
    them. Every wait is bounded by `timeout` (seconds) and raises ClusterDenied, ClusterUnavailable or ClusterError.
    """

    def __init__(self, settings: Settings, *, timeout: float = 30.0) -> None:
        self.settings = settings
        self.servers = settings.bootstrap_servers
        self._username = settings.username or "this client"
        self.timeout = timeout
        """Seconds that a request may take."""
        self._failures: list[KafkaError] = []
        config = settings.client_config() | {
            "error_cb": self._failures.append,
            "socket.timeout.ms": int(timeout * 1000),
        }
        try:
            # kept for as long as requests are under way: the futures of a collected client never complete
            self._client = AdminClient(config, logger=_log)
        except KafkaException as error:
            raise SettingsError(f"librdkafka refuses the settings: {error.args[0].str()}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.poll(0)

    @property
    def client(self) -> AdminClient:
        """Return the client, for requests that other modules make."""
        return self._client

    def metadata(self) -> ClusterMetadata:
        """Return brokers and topics; fail at once where the password is wrong, not only when time is up."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            try:
                return self._client.list_topics(timeout=1.0)
            except KafkaException as error:
                cause = self._cause(error.args[0])
                if cause.code() in DENIED or time.monotonic() >= deadline:
                    raise cluster_error(cause, "a request for its metadata", servers=self.servers) from error

    def settled_metadata(self) -> ClusterMetadata:
        """Return brokers and topics when every broker that is listed can be reached, or when that took too long.

        Any listed broker may be asked to pass a request on to the controller. One that has just died is listed until
        its session ends (9 s by default), and a request to it would wait in vain for as long as it may wait at all.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            metadata = self.metadata()
            if all(map(_reachable, brokers_in(metadata))) or time.monotonic() >= deadline:
                return metadata
            time.sleep(0.5)

    def identity(self) -> str:
        """Return the cluster's id, which no other cluster has."""
        answer = self.result(self._client.describe_cluster(), "a request for its id")
        return str(answer.cluster_id)

    def brokers(self) -> tuple[Broker, ...]:
        """Return the brokers that are alive."""
        return brokers_in(self.metadata())

    def require(self, *operations: str) -> None:
        """Raise ClusterDenied unless the principal may do these operations on the cluster itself.

        To be called before `describe_users` and `describe_acls`: refused, librdkafka 2.16 crashes at the first and
        returns an empty list for the second.
        """
        answer = self.result(
            self._client.describe_cluster(include_authorized_operations=True), "a request for what is allowed"
        )
        allowed = {operation.name for operation in answer.authorized_operations or ()}
        missing = [operation for operation in operations if operation not in allowed]
        if missing:
            raise ClusterDenied(
                f"{self._username} may not {' and '.join(missing)} the cluster at {self.servers}",
                next_step=ANOTHER_PRINCIPAL,
            )

    def _cause(self, error: KafkaError) -> KafkaError:
        """Return what really went wrong: a refused login shows itself as a time-out only."""
        self._client.poll(0)
        denied = [failure for failure in self._failures if failure.code() in DENIED]
        if denied:
            return denied[-1]
        if error.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
            telling = [failure for failure in self._failures if failure.code() != KafkaError._ALL_BROKERS_DOWN]
            return telling[-1] if telling else error
        return error

    def result(self, future: Future[_T], doing: str) -> _T:
        """Wait for one answer."""
        try:
            return future.result(self.timeout)
        except KafkaException as error:
            raise cluster_error(self._cause(error.args[0]), doing, servers=self.servers) from error
        except TimeoutError as error:
            raise ClusterUnavailable(f"the cluster at {self.servers} did not answer {doing} in time") from error

    def results(self, futures: Mapping[Any, Future[_T]], doing: str) -> dict[Any, _T]:
        """Wait for all answers, so that none is still under way when the first error is raised."""
        wait(futures.values(), self.timeout)
        return {key: self.result(future, f"{doing} {key}") for key, future in futures.items()}

    def failures(self, futures: Mapping[str, Future[Any]]) -> dict[str, KafkaError]:
        """Return the broker's refusals by name; raise only where it could not be asked at all."""
        wait(futures.values(), self.timeout)
        refused = {}
        for name, future in futures.items():
            try:
                future.result(0)
            except KafkaException as error:
                cause = self._cause(error.args[0])
                if cause.code() in DENIED | UNAVAILABLE:
                    raise cluster_error(cause, f"a rehearsal of {name}", servers=self.servers) from error
                refused[name] = cause
            except TimeoutError as error:
                raise ClusterUnavailable(f"the cluster at {self.servers} did not answer in time") from error
        return refused

    def describe_configs(self, topics: Iterable[str]) -> dict[str, TopicConfig]:
        """Return the effective configuration of topics, defaults included."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        if not resources:
            return {}
        futures = {resource.name: future for resource, future in self._client.describe_configs(resources).items()}
        return {
            name: TopicConfig(
                {entry.name: entry.value for entry in entries.values() if entry.value is not None},
                frozenset(e.name for e in entries.values() if e.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value),
            )
            for name, entries in self.results(futures, "a request for the configuration of topic").items()
        }

    def describe_users(self) -> Future[Any]:
        """Ask for every user with SCRAM credentials; `users_in` reads the answer. `require("DESCRIBE")` first."""
        future: Future[Any] = self._client.describe_user_scram_credentials()  # type: ignore[assignment]  # one future where no user is named
        return future

    @staticmethod
    def users_in(answer: Mapping[str, Any]) -> frozenset[str]:
        """Return the users that can log in by SCRAM-SHA-512."""
        return frozenset(
            name
            for name, user in answer.items()
            if any(info.mechanism == ScramMechanism.SCRAM_SHA_512 for info in user.scram_credential_infos)
        )

    def describe_acls(self) -> Future[Any]:
        """Ask for every binding; `bindings_in` reads the answer. `require("DESCRIBE")` first."""
        return self._client.describe_acls(
            AclBindingFilter(
                ResourceType.ANY,
                None,  # type: ignore[arg-type]  # None is "any" in a filter
                ResourcePatternType.ANY,
                None,  # type: ignore[arg-type]  # likewise
                None,  # type: ignore[arg-type]  # likewise
                AclOperation.ANY,
                AclPermissionType.ANY,
            )
        )

    @staticmethod
    def bindings_in(answer: Iterable[Any]) -> frozenset[Binding]:
        """Return the cluster's bindings as values."""
        return frozenset(
            Binding(
                binding.principal,
                binding.host,
                binding.restype.name,
                binding.name,
                binding.resource_pattern_type.name,
                binding.operation.name,
                binding.permission_type.name,
            )
            for binding in answer
        )
