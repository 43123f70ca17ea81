"""Read docker-compose.yaml: the one description of the cluster, as Docker sees it and as this machine runs it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import yaml

from lockgate.errors import StackError

__all__ = ["COMPOSE_FILE", "Program", "embed", "read"]

COMPOSE_FILE = "docker-compose.yaml"

Kind = Literal["kafka", "registry"]

_IMAGES: Mapping[str, Kind] = {"apache/kafka": "kafka", "apicurio/apicurio-registry": "registry"}
"""The images whose programs this machine can run itself; every other service is Docker's alone."""

_STATE = ".lockgate"
"""The state folder's name in the compose file; `LOCKGATE_HOME` puts another in its place."""

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?::?-(?P<default>[^{}]*))?\})"
)


@attrs.frozen
class Program:
    """Describe one broker or registry: its environment and the ports that it opens on this machine."""

    name: str
    kind: Kind
    version: str
    environment: Mapping[str, str]
    volumes: tuple[tuple[str, str], ...]
    """(source, container path) pairs as the file has them."""

    @property
    def ports(self) -> tuple[int, ...]:
        """Return the ports that it listens on, ascending."""
        if self.kind == "kafka":
            found = re.findall(r"://[^:,]*:(\d+)", self.environment.get("KAFKA_LISTENERS", ""))
        else:
            names = ("QUARKUS_HTTP_SSL_PORT", "QUARKUS_MANAGEMENT_PORT")
            found = [self.environment[name] for name in names if name in self.environment]
        return tuple(sorted(int(port) for port in found))

    def advertised(self, listener: str) -> str:
        """Return the `host:port` under which clients find a broker's listener."""
        found = re.search(rf"(?:^|,){listener}://([^,]+)", self.environment.get("KAFKA_ADVERTISED_LISTENERS", ""))
        if found is None:
            raise StackError(f"{COMPOSE_FILE}: {self.name} advertises no listener {listener}")
        return found.group(1)


def read(root: Path, environ: Mapping[str, str] | None = None) -> tuple[Program, ...]:
    """Return the brokers and the registry that a project's compose file describes, as Docker would start them.

    Raise StackError for a file that is missing, is no YAML, or describes no broker or more than one registry.
    """
    file = root / COMPOSE_FILE
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StackError(
            f"there is no {file}: it describes the local stack", next_step="run this in a project that has one"
        ) from error
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise StackError(f"{file}: cannot be read: {' '.join(str(error).split())}") from error
    services = document.get("services") if isinstance(document, dict) else None
    if not isinstance(services, dict):
        raise StackError(f"{file}: there are no services in it")
    variables = os.environ if environ is None else environ
    programs = []
    for name, service in services.items():
        image, _, version = str(service.get("image", "")).partition(":")
        kind = _IMAGES.get(image)
        if kind is not None:
            programs.append(_program(name, kind, version, service, variables))
    kinds = [program.kind for program in programs]
    if "kafka" not in kinds or kinds.count("registry") != 1:
        raise StackError(f"{file}: expected brokers (image apache/kafka) and one registry (apicurio/apicurio-registry)")
    return tuple(programs)


def embed(program: Program, programs: tuple[Program, ...], root: Path, home: Path) -> Program:
    """Return a program as this machine runs it: host names become localhost, container paths the state folder's."""
    paths = sorted(
        ((target, str(_host_path(source, root, home))) for source, target in program.volumes),
        key=lambda pair: -len(pair[0]),
    )
    names = "|".join(re.escape(other.name) for other in programs)
    host = re.compile(rf"(?<=//|.@)(?:{names})(?=:\d)")

    def local(value: str) -> str:
        for target, source in paths:
            value = re.sub(rf"(?<![\w./-]){re.escape(target)}(?=$|[/,;])", source.replace("\\", r"\\"), value)
        return host.sub("localhost", value).replace("0.0.0.0", "127.0.0.1")  # noqa: S104  # taken away, not bound to

    environment = {name: local(value) for name, value in program.environment.items()}
    return attrs.evolve(program, environment=environment)


def _program(name: str, kind: Kind, version: str, service: Mapping[str, Any], variables: Mapping[str, str]) -> Program:
    environment = service.get("environment") or {}
    if isinstance(environment, list):
        environment = dict(str(pair).partition("=")[::2] for pair in environment)
    volumes = []
    for volume in service.get("volumes") or ():
        source, _, rest = str(volume).partition(":")
        volumes.append((source, rest.split(":")[0]))
    return Program(
        name=name,
        kind=kind,
        version=version,
        environment={key: _interpolate(_text(value), variables) for key, value in environment.items()},
        volumes=tuple(volumes),
    )


def _text(value: object) -> str:
    # Docker refuses a bare `true` in an environment; YAML's spelling of it is not Python's.
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _interpolate(value: str, variables: Mapping[str, str]) -> str:
    def resolve(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        name = found["plain"] or found["braced"]
        return variables.get(name) or found["default"] or ""

    return _VARIABLE.sub(resolve, value)


def _host_path(source: str, root: Path, home: Path) -> Path:
    parts = Path(source).parts
    if parts and parts[0] == _STATE:
        return home.joinpath(*parts[1:])
    return (root / source).absolute()
