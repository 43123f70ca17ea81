"""Wait until brokers and registry really answer, and admit the first SCRAM user."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from lockgate.errors import ClusterDenied, ClusterUnavailable, StackError
from lockgate.local.compose import Program
from lockgate.local.identities import ADMIN, Identities

__all__ = [
    "administrator",
    "admit_administrator",
    "is_admitted",
    "mutual_tls",
    "registry_answers",
    "registry_url",
    "wait_for_brokers",
    "wait_until",
]


def _nothing() -> None:
    return None


_POLL = 0.1
_ELECTED = 90.0
"""Seconds. A quorum that has lost its leader elects another one, on a busy machine in more than one attempt."""
_SCRAM_ITERATIONS = 4096  # Kafka's minimum; passwords are 256 random bits, so more would only cost time


def mutual_tls(bootstrap: str, ca_file: Path, certificate: Path, key: Path) -> dict[str, Any]:
    """Return the librdkafka properties of a client that shows a certificate."""
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SSL",
        "ssl.ca.location": str(ca_file),
        "ssl.certificate.location": str(certificate),
        "ssl.key.location": str(key),
        "log_level": 2,  # brokers that are not up yet are why this waits
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 200,
        "socket.connection.setup.timeout.ms": 3000,
    }


def administrator(bootstrap: str, identities: Identities) -> dict[str, Any]:
    """Return the librdkafka properties of the SCRAM user `admin`."""
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": ADMIN,
        "sasl.password": identities.password(ADMIN),
        "ssl.ca.location": str(identities.ca_file),
    }


def registry_url(registry: Program, host: str) -> str:
    """Return the base of the registry's Confluent-compatible API."""
    return f"https://{host}:{registry.environment['QUARKUS_HTTP_SSL_PORT']}/apis/ccompat/v7"


def wait_until(ready: Callable[[], bool], seconds: float, what: str, check: Callable[[], None] = _nothing) -> None:
    """Poll until `ready`; raise StackError after `seconds`.

    `check` runs in between, and raises where waiting is vain: the process that is awaited has died.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        check()
        if time.monotonic() > deadline:
            raise StackError(f"{what} did not answer within {seconds:.0f} s", next_step="see `lockgate status`")
        time.sleep(_POLL)


def brokers_seen(client: AdminClient, timeout: float) -> set[int]:
    """Return the ids of the brokers that the cluster counts among its own; empty while nobody answers."""
    try:
        return set(client.list_topics(timeout=timeout).brokers)
    except KafkaException:
        return set()


def wait_for_brokers(
    client: AdminClient, wanted: set[int], seconds: float, check: Callable[[], None] = _nothing
) -> None:
    """Wait until the brokers with these ids are registered and unfenced."""
    names = ", ".join(f"broker {node}" for node in sorted(wanted))
    wait_until(lambda: wanted <= brokers_seen(client, 1.0), seconds, names, check)


def admit_administrator(
    client: AdminClient,
    configs: Sequence[dict[str, Any]],
    identities: Identities,
    check: Callable[[], None] = _nothing,
) -> None:
    """Make the SCRAM user `admin` where it is missing, and wait until it may log in with each configuration."""

    def made() -> bool:
        try:
            if not is_user(client, ADMIN):
                admit(client, ADMIN, identities.password(ADMIN))
        except ClusterUnavailable:
            brokers_seen(client, 1.0)  # the controller may be another one by now: the client asks only for a reason
            return False
        return True

    wait_until(made, _ELECTED, "the controller", check)
    for config in configs:
        timeouts = chain((1.0, 2.0, 4.0), repeat(8.0))  # a first answer is quick, or the machine is busy

        def admitted(config: dict[str, Any] = config, timeouts: Iterator[float] = timeouts) -> bool:
            try:
                return is_admitted(config, next(timeouts))
            except ClusterDenied:
                # Not yet on this broker; or the secret was made anew while the data were kept.
                admit(client, ADMIN, identities.password(ADMIN))
                return False

        wait_until(admitted, _ELECTED, f"{config['bootstrap.servers']}, asked by {ADMIN},", check)


def admit(client: AdminClient, user: str, password: str) -> None:
    """Give a SCRAM user a password, through a connection that is trusted already."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _SCRAM_ITERATIONS)
    asked: list[UserScramCredentialAlteration] = [UserScramCredentialUpsertion(user, info, password.encode())]
    future = client.alter_user_scram_credentials(asked, request_timeout=20)[user]
    try:
        future.result(timeout=30)
    except KafkaException as error:
        raise ClusterUnavailable(f"the user {user} cannot be made: {error.args[0].str()}") from error


def is_user(client: AdminClient, user: str) -> bool:
    """Return whether the cluster knows a SCRAM user."""
    try:
        asked: Any = client.describe_user_scram_credentials([user], request_timeout=5)  # a dict, for a list of names
        asked[user].result(timeout=30)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.RESOURCE_NOT_FOUND:
            return False
        raise ClusterUnavailable(f"the users cannot be listed: {error.args[0].str()}") from error
    return True


def is_admitted(config: dict[str, Any], timeout: float) -> bool:
    """Return whether a broker takes a client's credentials; False where it does not answer in time.

    Raise ClusterDenied where it refuses them.
    """
    errors: list[KafkaError] = []
    client = AdminClient(config | {"error_cb": errors.append, "log_level": 0})
    try:
        client.list_topics(timeout=timeout)
    except KafkaException:
        client.poll(0)  # errors are handed over here, and nowhere else
        if any(error.code() == KafkaError._AUTHENTICATION for error in errors):
            raise ClusterDenied(f"{config['bootstrap.servers']} refuses {config.get('sasl.username')}") from None
        return False
    return True


def registry_answers(url: str, ca_file: Path, user: str, password: str) -> bool:
    """Return whether the registry serves an authenticated request."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
        answer = httpx.get(f"{url}/subjects", auth=(user, password), verify=context, timeout=3.0, trust_env=False)
    except (httpx.TransportError, OSError):
        return False
    return answer.status_code == 200
