"""Settings: how a principal reaches the brokers and the registry."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from lockgate.errors import SettingsError

__all__ = [
    "LAST_PORT",
    "Settings",
    "credentials_directory",
    "home_directory",
    "metrics_port_of",
    "read_env_file",
    "settings_for",
    "write_env_file",
    "write_private",
]

_GUARDED = {
    "acks",
    "auto.offset.reset",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.remote.assignor",
    "isolation.level",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
}
"""librdkafka properties that guarantees rest on."""
_OF_THE_BROKERS = {"heartbeat.interval.ms", "session.timeout.ms"}
"""What a client may not say under KIP-848's group protocol."""
LAST_PORT = 65535


def _secret(_: object) -> str:
    return "'…'"


@attrs.frozen
class Settings:
    """Hold one principal's connection settings; passwords never show in its repr."""

    bootstrap_servers: str
    """Comma-separated `host:port` list."""
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=_secret)
    ca_file: str | None = None
    registry_url: str | None = None
    """The Confluent-compatible API's base."""
    registry_username: str | None = None
    registry_password: str | None = attrs.field(default=None, repr=_secret)
    kafka: Mapping[str, str] = attrs.field(factory=dict)
    """Further librdkafka properties, none of which a guarantee rests on."""
    metrics_host: str = "127.0.0.1"
    """Where a running workload listens for who asks for its metrics."""
    metrics_port: int | None = None
    """0: any that is free; None: it does not listen."""

    def client_config(self) -> dict[str, Any]:
        """Return the librdkafka properties that every client of this principal shares."""
        config: dict[str, Any] = {"bootstrap.servers": self.bootstrap_servers}
        secured = self.ca_file is not None
        if self.username is not None:
            config |= {
                "security.protocol": "SASL_SSL" if secured else "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": self.username,
                "sasl.password": self.password or "",
            }
        elif secured:
            config["security.protocol"] = "SSL"
        if secured:
            config["ssl.ca.location"] = self.ca_file
        return config | dict(self.kafka)


def home_directory(root: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Return where the local stack of a project lives: `LOCKGATE_HOME`, or `.lockgate` beside the compose file."""
    environ = os.environ if environ is None else environ
    home = environ.get("LOCKGATE_HOME")
    return Path(home).expanduser().absolute() if home else root / ".lockgate"


def credentials_directory(root: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder that holds `<principal>.env` and `<principal>.properties` of the local stack."""
    return home_directory(root, environ) / "credentials"


def settings_for(principal: str, root: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Return a principal's settings: the `LOCKGATE_…` variables, or the local stack's credentials file.

    The file is used only where `LOCKGATE_BOOTSTRAP_SERVERS` is not set; then other variables override its values.
    Raise SettingsError where neither is there, or where several settings are wrong: all of them in one message.
    """
    environ = os.environ if environ is None else environ
    values = {name: environ[name] for name in environ if name.startswith("LOCKGATE_")}
    if "LOCKGATE_BOOTSTRAP_SERVERS" not in values:
        file = credentials_directory(root, environ) / f"{principal}.env"
        if not file.is_file():
            raise SettingsError(
                f"no settings for {principal}: LOCKGATE_BOOTSTRAP_SERVERS is not set, and there is no {file}",
                next_step="run `lockgate up` for a local stack, or set the LOCKGATE_… variables",
            )
        values = read_env_file(file) | values
    return _settings(values)


def metrics_port_of(values: Mapping[str, str]) -> int | None:
    """Return the `LOCKGATE_METRICS_PORT` among variables; raise SettingsError where it is no port."""
    text = values.get("LOCKGATE_METRICS_PORT")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= LAST_PORT):
        raise SettingsError(f"LOCKGATE_METRICS_PORT is {text!r}; it takes a port, or 0 for any that is free")
    return int(text)


def read_env_file(file: Path) -> dict[str, str]:
    """Return the `NAME=VALUE` lines of a file; raise SettingsError where it cannot be read or has other lines."""
    values = {}
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, found, value = stripped.partition("=")
        if not found:
            raise SettingsError(
                f"{file}:{number}: expected NAME=VALUE", next_step="remove the file; `lockgate apply` writes it anew"
            )
        values[name] = value
    return values


def _settings(values: Mapping[str, str]) -> Settings:
    mistakes = []
    kafka = {}
    for name, value in values.items():
        if name.startswith("LOCKGATE_KAFKA_"):
            key = name.removeprefix("LOCKGATE_KAFKA_").lower().replace("_", ".")
            if key in _GUARDED:
                mistakes.append(f"{name} may not be set: Lockgate's guarantees rest on {key}")
            kafka[key] = value
    if kafka.get("group.protocol") == "consumer":
        for key in sorted(_OF_THE_BROKERS & kafka.keys()):
            name = "LOCKGATE_KAFKA_" + key.replace(".", "_").upper()
            mistakes.append(f"{name} may not be set: with LOCKGATE_KAFKA_GROUP_PROTOCOL=consumer it is the brokers'")
    password = values.get("LOCKGATE_PASSWORD")
    password_file = values.get("LOCKGATE_PASSWORD_FILE")
    if password_file is not None:
        try:
            password = Path(password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            mistakes.append(f"LOCKGATE_PASSWORD_FILE: {password_file}: {error.strerror}")
    if values.get("LOCKGATE_USERNAME") and password is None and not mistakes:
        mistakes.append("LOCKGATE_USERNAME is set, but neither LOCKGATE_PASSWORD nor LOCKGATE_PASSWORD_FILE")
    ca_file = values.get("LOCKGATE_CA_FILE") or None
    if ca_file is not None and not Path(ca_file).is_file():
        mistakes.append(f"LOCKGATE_CA_FILE: there is no file {ca_file}")
    port = None
    try:
        port = metrics_port_of(values)
    except SettingsError as error:
        mistakes.append(error.message)
    if mistakes:
        raise SettingsError("; ".join(mistakes))
    return Settings(
        bootstrap_servers=values["LOCKGATE_BOOTSTRAP_SERVERS"],
        username=values.get("LOCKGATE_USERNAME") or None,
        password=password,
        ca_file=ca_file,
        registry_url=values.get("LOCKGATE_REGISTRY_URL") or None,
        registry_username=values.get("LOCKGATE_REGISTRY_USERNAME") or None,
        registry_password=values.get("LOCKGATE_REGISTRY_PASSWORD") or None,
        kafka=kafka,
        metrics_host=values.get("LOCKGATE_METRICS_HOST") or "127.0.0.1",
        metrics_port=port,
    )


def write_env_file(file: Path, settings: Settings) -> None:
    """Write settings as `NAME=VALUE` lines into a file that only its owner can read."""
    pairs = {
        "LOCKGATE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "LOCKGATE_USERNAME": settings.username,
        "LOCKGATE_PASSWORD": settings.password,
        "LOCKGATE_CA_FILE": settings.ca_file,
        "LOCKGATE_REGISTRY_URL": settings.registry_url,
        "LOCKGATE_REGISTRY_USERNAME": settings.registry_username,
        "LOCKGATE_REGISTRY_PASSWORD": settings.registry_password,
    } | {"LOCKGATE_KAFKA_" + name.replace(".", "_").upper(): value for name, value in settings.kafka.items()}
    write_private(file, "".join(f"{name}={value}\n" for name, value in pairs.items() if value is not None))


def write_private(file: Path, text: str) -> None:
    """Replace a file with mode 0600 in one step: no reader ever sees it half written or open to others."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    draft.replace(file)
