"""Write what the first programs need to reach the stack: the administrator's files and the registry's identities."""

from __future__ import annotations

from pathlib import Path

from lockgate.connection import Settings, write_env_file, write_private
from lockgate.local.identities import ADMIN, Identities

__all__ = ["write_credentials"]

_REGISTRY_PREFIX = "LOCKGATE_REGISTRY_"


def write_credentials(folder: Path, identities: Identities, bootstrap_servers: str, registry_url: str) -> None:
    """Write `admin.env`, `admin.properties`, and the registry's part of `registry-reader.env` and `ci.env`."""
    password = identities.password(ADMIN)
    settings = Settings(
        bootstrap_servers=bootstrap_servers,
        username=ADMIN,
        password=password,
        ca_file=str(identities.ca_file),
        registry_url=registry_url,
        registry_username="ci",
        registry_password=identities.password("ci"),
    )
    write_env_file(folder / f"{ADMIN}.env", settings)
    write_private(folder / f"{ADMIN}.properties", properties(ADMIN, password, bootstrap_servers, identities.ca_file))
    for name in ("registry-reader", "ci"):
        _write_registry_part(folder / f"{name}.env", name, identities.password(name))


def properties(user: str, password: str, bootstrap_servers: str, ca_file: Path) -> str:
    """Return a client's properties for Kafka's own tools."""
    login = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return (
        f"bootstrap.servers={bootstrap_servers}\n"
        "security.protocol=SASL_SSL\n"
        "sasl.mechanism=SCRAM-SHA-512\n"
        f'sasl.jaas.config={login} required username="{user}" password="{password}";\n'
        "ssl.truststore.type=PEM\n"
        f"ssl.truststore.location={ca_file}\n"
    )


def _write_registry_part(file: Path, user: str, password: str) -> None:
    # `ci` is a user of the cluster too: that part of its file is written by who makes the cluster's users.
    part = {f"{_REGISTRY_PREFIX}USERNAME": user, f"{_REGISTRY_PREFIX}PASSWORD": password}
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    kept = [line for line in lines if line.partition("=")[0] not in part]
    write_private(file, "".join(f"{line}\n" for line in [*kept, *(f"{key}={value}" for key, value in part.items())]))
