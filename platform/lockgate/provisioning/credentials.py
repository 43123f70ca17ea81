"""The credentials folder: what a principal needs to reach the cluster, for Lockgate and for Kafka's own tools.

`<principal>.env` holds `LOCKGATE_…` variables, `<principal>.properties` the same for Kafka's console tools. Passwords
are made here, written here and read here; plans, progress and errors never hold one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

import attrs

from lockgate.connection import Settings, read_env_file, write_private
from lockgate.contracts.derive import CI
from lockgate.errors import SettingsError

__all__ = ["REGISTRY_READER", "CredentialsFile", "CredentialsFolder", "new_password"]

REGISTRY_READER = "registry-reader"
"""The file with the registry's shared read identity, which is no user in Kafka."""

_PASSWORD = "LOCKGATE_PASSWORD"  # noqa: S105  # a variable's name
_REGISTRY_IDENTITY = ("LOCKGATE_REGISTRY_USERNAME", "LOCKGATE_REGISTRY_PASSWORD")

_SHARED = ("security.protocol", "ssl.endpoint.identification.algorithm")
"""Properties of the cluster that every principal needs; the administrator's others may be its own, or secret."""


def new_password() -> str:
    """Return 256 random bits that need no quoting in any file."""
    return secrets.token_urlsafe(32)


@attrs.frozen
class CredentialsFile:
    """Say what is known of one principal's files, without any secret."""

    has_password: bool
    authenticates: bool | None
    """Whether a broker accepted the password; None where it was not tried."""
    outdated: tuple[str, ...]
    """What differs from what `apply` would write, in short phrases; empty where the files are as they should be."""


class CredentialsFolder:
    """Read and write the credentials files of one cluster's principals.

    `settings` are the administrator's: brokers, CA and registry are taken over from there, identities are not.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self._settings = settings

    @property
    def registry_reader_missing(self) -> bool:
        """Return whether the registry asks for an identity, and there is none to give to workloads."""
        return self._settings.registry_username is not None and not self._registry_identity(REGISTRY_READER)

    def password(self, principal: str) -> str | None:
        """Return the password in a principal's file, or None."""
        values = self._values(principal)
        return values.get(_PASSWORD) or None if values.get("LOCKGATE_USERNAME", principal) == principal else None

    def settings(self, principal: str) -> Settings:
        """Return the settings to log in as a principal with the password in its file."""
        password = self.password(principal)
        if password is None:
            raise SettingsError(
                f"{self._env(principal)} holds no password of {principal}", next_step="run `lockgate apply`"
            )
        return self._as(principal, password)

    def outdated(self, principal: str) -> tuple[str, ...]:
        """Return what `write` would change while the password stays, in short phrases."""
        password = self.password(principal)
        if password is None:
            return ()
        files = (self._env(principal), self._properties(principal))
        wanted = self._wanted(principal, password)
        values = self._values(principal)
        reasons = [f"{name} is not up to date" for name, value in wanted.items() if values.get(name) != value]
        reasons += [f"{file.name} is missing" for file in files if not file.is_file()]
        reasons += [
            f"{file.name} can be read by others" for file in files if file.is_file() and file.stat().st_mode & 0o077
        ]
        if not reasons and files[1].read_text(encoding="utf-8") != self._properties_text(principal, password):
            reasons.append(f"{files[1].name} is not up to date")
        return tuple(reasons)

    def write(self, principal: str, password: str) -> None:
        """Write both files of a principal; further variables in the `.env` file stay."""
        values = self._values(principal) | self._wanted(principal, password)
        write_private(self._env(principal), _lines(values.items()))
        write_private(self._properties(principal), self._properties_text(principal, password))

    def has_files(self, principal: str) -> bool:
        """Return whether there is a file of a principal's."""
        return self._env(principal).is_file() or self._properties(principal).is_file()

    def remove(self, principal: str) -> None:
        """Delete both files of a principal, as far as they are there."""
        for file in (self._env(principal), self._properties(principal)):
            file.unlink(missing_ok=True)

    def _as(self, principal: str, password: str) -> Settings:
        shared = {name: value for name, value in self._settings.kafka.items() if name in _SHARED}
        return attrs.evolve(self._settings, username=principal, password=password, kafka=shared)

    def _wanted(self, principal: str, password: str) -> dict[str, str]:
        settings = self._settings
        values = {
            "LOCKGATE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "LOCKGATE_USERNAME": principal,
            _PASSWORD: password,
            "LOCKGATE_CA_FILE": settings.ca_file,
            "LOCKGATE_REGISTRY_URL": settings.registry_url,
        }
        for name in _SHARED:
            values["LOCKGATE_KAFKA_" + name.replace(".", "_").upper()] = settings.kafka.get(name)
        # `ci` keeps its own identity in the registry; everybody else has the one that may only read
        identity = {} if principal == CI else self._registry_identity(REGISTRY_READER)
        return {name: value for name, value in values.items() if value is not None} | identity

    def _registry_identity(self, name: str) -> dict[str, str]:
        values = self._values(name)
        return {variable: values[variable] for variable in _REGISTRY_IDENTITY if values.get(variable)}

    def _values(self, name: str) -> dict[str, str]:
        file = self._env(name)
        return read_env_file(file) if file.is_file() else {}

    def _env(self, name: str) -> Path:
        return self.folder / f"{name}.env"

    def _properties(self, name: str) -> Path:
        return self.folder / f"{name}.properties"

    def _properties_text(self, principal: str, password: str) -> str:
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
        config = self._as(principal, password).client_config()
        values = {
            "bootstrap.servers": self._settings.bootstrap_servers,
            "security.protocol": str(config["security.protocol"]),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.jaas.config": f"{module} required username={_quoted(principal)} password={_quoted(password)};",
        }
        if self._settings.ca_file is not None:
            values |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": self._settings.ca_file}
        return _lines((name, value.replace("\\", "\\\\")) for name, value in values.items())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _lines(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name}={value}\n" for name, value in pairs)
