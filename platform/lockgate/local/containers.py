"""What the one-shot containers of docker-compose.yaml do: certificates first, contracts and credentials later."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from confluent_kafka.admin import AdminClient

from lockgate.connection import settings_for, write_private
from lockgate.contracts.load import load
from lockgate.local.compose import Program, read
from lockgate.local.credentials import write_credentials
from lockgate.local.identities import Identities
from lockgate.local.readiness import (
    administrator,
    admit_administrator,
    mutual_tls,
    registry_answers,
    registry_url,
    wait_for_brokers,
    wait_until,
)
from lockgate.provisioning.apply import apply

__all__ = ["hand_out", "prepare", "provision"]

_SECONDS = 120.0


def prepare(root: Path, state: Path, owner: int, progress: Callable[[str], None]) -> None:
    """Make certificates, the registry's users and the data folders, and give them to the containers' user id."""
    programs = read(root)
    identities = Identities(state)
    made = identities.prepare(
        [(broker.name, broker.environment["KAFKA_NODE_ID"]) for broker in _brokers(programs)], _registry(programs).name
    )
    for program in programs:
        (state / "data" / program.name).mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / "containers").mkdir(exist_ok=True, mode=0o700)
    for path in (state, *state.rglob("*")):
        os.chown(path, owner, -1)
    progress("made certificates and passwords" if made else "certificates and passwords are there")


def provision(root: Path, state: Path, host_state: str, progress: Callable[[str], None]) -> None:
    """Admit the administrator, apply the contracts from inside the network, and hand the credentials out."""
    programs, identities = read(root), Identities(state)
    brokers, registry = _brokers(programs), _registry(programs)
    servers = [broker.advertised("CONTAINER") for broker in brokers]
    inner = ",".join(broker.advertised("INTERNAL") for broker in brokers)
    client = AdminClient(mutual_tls(inner, identities.ca_file, *identities.client_files()))
    wait_for_brokers(client, {int(broker.environment["KAFKA_NODE_ID"]) for broker in brokers}, _SECONDS)
    admit_administrator(client, [administrator(server, identities) for server in servers], identities)
    url = registry_url(registry, registry.name)
    reader = "registry-reader"
    wait_until(
        lambda: registry_answers(url, identities.ca_file, reader, identities.password(reader)), _SECONDS, registry.name
    )
    progress("brokers and registry answer")

    home = state / "containers" / "provision"
    outside = {
        ",".join(servers): ",".join(broker.advertised("CLIENT") for broker in brokers),
        url: registry_url(registry, "localhost"),
        str(identities.ca_file): f"{host_state}/certificates/ca.pem",
    }
    _take_over(state / "credentials", home / "credentials", outside)
    write_credentials(home / "credentials", identities, ",".join(servers), url)
    contracts = load(root)
    settings = settings_for("admin", root, {"LOCKGATE_HOME": str(home)})
    apply(contracts, settings, home / "credentials", progress=progress)

    workloads = [workload.name for service in contracts.services for workload in service.workloads]
    hand_out(state, home / "credentials", workloads, identities.ca_file, outside)
    progress("handed the credentials out")


def hand_out(state: Path, source: Path, workloads: list[str], ca_file: Path, outside: Mapping[str, str]) -> None:
    """Copy credentials to where they are needed: each workload's container sees its own, the host all of them.

    `outside` maps addresses and paths inside of the containers to what the host calls them.
    """
    certificate = ca_file.read_text(encoding="utf-8")
    for workload in workloads:
        own = state / "containers" / workload
        text = (source / f"{workload}.env").read_text(encoding="utf-8")
        write_private(own / "credentials" / f"{workload}.env", text.replace(str(ca_file), "/lockgate/ca.pem"))
        write_private(own / "ca.pem", certificate)
    _copy(source, state / "credentials", outside)


def _take_over(known: Path, home: Path, outside: Mapping[str, str]) -> None:
    # Passwords that `lockgate up` made stay valid when the same state is run by Docker.
    if known.is_dir() and not home.is_dir():
        _copy(known, home, {there: inside for inside, there in outside.items()})


def _copy(source: Path, target: Path, words: Mapping[str, str]) -> None:
    for file in sorted(source.iterdir()):
        text = file.read_text(encoding="utf-8")
        for old, new in words.items():
            text = text.replace(old, new)
        write_private(target / file.name, text)


def _brokers(programs: tuple[Program, ...]) -> list[Program]:
    return [program for program in programs if program.kind == "kafka"]


def _registry(programs: tuple[Program, ...]) -> Program:
    return next(program for program in programs if program.kind == "registry")
