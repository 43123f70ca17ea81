"""Apply a plan: make the changes, then wait until they work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lockgate.connection import Settings
from lockgate.contracts.model import Contracts
from lockgate.provisioning.changes import (
    AddPartitions,
    AlterConfig,
    Change,
    CreateAcl,
    CreateTopic,
    CreateUser,
    RegisterSchema,
    SetLevel,
    SetPassword,
    StartGroup,
    WriteCredentials,
)
from lockgate.provisioning.cluster import Cluster
from lockgate.provisioning.credentials import CredentialsFolder, new_password
from lockgate.provisioning.desired import desired_state
from lockgate.provisioning.groups import set_starts
from lockgate.provisioning.offsets import GroupOffsets
from lockgate.provisioning.plan import Plan
from lockgate.provisioning.readiness import wait_until_ready
from lockgate.registry import Registry

__all__ = ["apply"]

_C = TypeVar("_C", bound=Change)

_REGISTRY_THREADS = 4


def apply(
    plan: Plan,
    contracts: Contracts,
    settings: Settings,
    credentials: Path,
    *,
    progress: Callable[[str], None],
    timeout: float = 30.0,
) -> None:
    """Make a plan's changes and return when they work at every broker; nothing is ever deleted.

    `progress` gets one line a step, without a secret. Each change is made so that an interrupted run is finished by the
    next one. Raise PlanRefused before anything is touched, and ClusterError or RegistryError (and what is below them)
    where a change fails or does not work within `timeout` seconds.
    """
    plan.raise_if_refused()
    folder = CredentialsFolder(credentials, settings)
    with Cluster(settings) as cluster:
        cluster.settled_metadata()
        cluster.require("DESCRIBE", *(["ALTER"] if plan.changes else []))
        _require_registration(plan, settings)
        with ThreadPoolExecutor(1, thread_name_prefix="lockgate-registry") as beside:
            # the registry's part goes on beside the brokers'; leaving the block waits for both, errors included
            subjects = beside.submit(_registry_part, plan, settings)
            _cluster_part(plan, cluster, folder, progress)
            for line in subjects.result():
                progress(line)
        ready = wait_until_ready(cluster, folder, desired_state(contracts, settings), timeout=timeout)
    progress(
        f"{ready.rights} rights work for {ready.principals} principals on {_count(ready.brokers, 'broker')} "
        f"({ready.seconds:.1f} s)"
    )


def _require_registration(plan: Plan, settings: Settings) -> None:
    """Raise RegistryDenied where the identity could not make the registry's part, before anything else is touched."""
    for change in plan.changes:
        if isinstance(change, SetLevel | RegisterSchema):
            with Registry(settings) as registry:
                # the one question that only those are answered who may register: a reader gets 403
                registry.is_compatible(change.name, change.subject.event.schema)
            return


def _cluster_part(plan: Plan, cluster: Cluster, folder: CredentialsFolder, progress: Callable[[str], None]) -> None:
    creations = _of(plan, CreateTopic)
    growths = _of(plan, AddPartitions)
    alterations = _of(plan, AlterConfig)
    acls = _of(plan, CreateAcl)
    starts, offsets = _of(plan, StartGroup), GroupOffsets(cluster)
    # before anything that tells a group from a new one is made: an interrupted run must not make it begin elsewhere
    begun = set_starts(offsets, starts, early=True)
    passwords = _write_credentials(plan, folder)
    # all requests are under way together: none needs another's result, not even an ACL its topic or user
    steps: list[tuple[dict[str, Any], str, str, str]] = [
        (cluster.create_topics([c.topic for c in creations]), "topic", "created", "to create topic"),
        (
            cluster.create_partitions({c.name: c.topic.partitions for c in growths}),
            "topic",
            "grown",
            "to add partitions to topic",
        ),
        (
            cluster.set_configs({c.name: {d.key: d.after for d in c.differences} for c in alterations}),
            "topic",
            "reconfigured",
            "to configure topic",
        ),
        (cluster.set_passwords(passwords), "user", "given a password", "to set the password of"),
        (cluster.create_acls(c.acl for c in acls), "right", "granted", "to grant"),
    ]
    for futures, noun, verb, doing in steps:
        if futures:
            cluster.results(futures, doing)
            progress(f"{_count(len(futures), noun)} {verb}")
    begun = max(begun, set_starts(offsets, starts, early=False))
    if begun:
        progress(f"{_count(begun, 'group')} given first offsets")
    rewritten = _of(plan, WriteCredentials)
    if rewritten:
        progress(f"{_count(len(rewritten), 'principal')} given new credentials files")


def _write_credentials(plan: Plan, folder: CredentialsFolder) -> dict[str, str]:
    """Write the files first and return the passwords to set: a password that only a broker knows would be lost."""
    passwords: dict[str, str] = {}
    for change in plan.changes:
        match change:
            case CreateUser(principal):
                # also where the plan found no file: an earlier run may have been interrupted just after writing it
                passwords[principal.name] = folder.password(principal.name) or new_password()
            case SetPassword(principal):
                passwords[principal.name] = new_password()
            case WriteCredentials(principal):
                folder.write(principal.name, folder.settings(principal.name).password or "")
    for name, password in passwords.items():
        folder.write(name, password)
    return passwords


def _registry_part(plan: Plan, settings: Settings) -> list[str]:
    levels, schemas = _of(plan, SetLevel), _of(plan, RegisterSchema)
    if not levels and not schemas:
        return []
    with Registry(settings) as registry, ThreadPoolExecutor(_REGISTRY_THREADS) as pool:
        # a level stands before the first version that is judged by it
        _all(pool, [partial(registry.set_compatibility, c.name, c.subject.compatibility) for c in levels])
        _all(pool, [partial(registry.register, c.name, c.subject.event.schema) for c in schemas])
    lines = [f"{_count(len(levels), 'compatibility level')} set"] if levels else []
    return lines + ([f"{_count(len(schemas), 'schema')} registered"] if schemas else [])


def _all(pool: ThreadPoolExecutor, calls: Iterable[Callable[[], object]]) -> None:
    for future in [pool.submit(call) for call in calls]:
        future.result()


def _of(plan: Plan, kind: type[_C]) -> Sequence[_C]:
    return [change for change in plan.changes if isinstance(change, kind)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
