"""Apply: plan under the lock, make the changes, wait until they work, and record them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lockgate.connection import Settings
from lockgate.contracts.model import Contracts
from lockgate.errors import PlanRefused
from lockgate.provisioning.applied import recorded
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
from lockgate.provisioning.deleting import delete, deleted_key
from lockgate.provisioning.desired import Desired, desired_state
from lockgate.provisioning.groups import set_starts
from lockgate.provisioning.ledger import ensure_ledger, read_ledger, write_ledger
from lockgate.provisioning.lock import ApplyLock
from lockgate.provisioning.offsets import GroupOffsets
from lockgate.provisioning.plan import Plan, make_plan
from lockgate.provisioning.planfile import SavedPlan
from lockgate.provisioning.readiness import wait_until_ready
from lockgate.provisioning.reports import counted
from lockgate.provisioning.requests import create_acls, create_partitions, create_topics, set_configs, set_passwords
from lockgate.registry import Registry

__all__ = ["apply", "make_changes"]

_C = TypeVar("_C", bound=Change)

_REGISTRY_THREADS = 4


def apply(
    contracts: Contracts,
    settings: Settings,
    credentials: Path,
    *,
    progress: Callable[[str], None],
    saved: SavedPlan | None = None,
    allow_delete: bool = False,
    timeout: float = 30.0,
) -> Plan:
    """Bring cluster, registry and credentials to what the contracts ask, one apply at a time; return what was planned.

    The plan is made when every other apply is done. With `saved`, it must be that plan, or what an interrupted run left
    of it. Without `allow_delete` nothing is deleted. `progress` gets one line a step, without a secret. Each change is
    made so that an interrupted run is finished by the next one. Raise PlanRefused before anything is touched, and
    ClusterError or RegistryError (and what is below them) where a change fails or does not work within `timeout`
    seconds.
    """
    with Cluster(settings) as cluster:
        cluster.settled_metadata()
        cluster.require("DESCRIBE")
        ensure_ledger(cluster)
    with ApplyLock(settings, progress) as lock:
        plan = make_plan(contracts, settings, credentials)
        if saved is not None:
            saved.check(plan)
            if plan.deletions and not allow_delete:
                raise PlanRefused(
                    f"the plan deletes {counted(len(plan.deletions), 'thing')}, so nothing was touched",
                    next_step="apply it with --allow-delete, or save another plan",
                )
        make_changes(
            plan,
            contracts,
            settings,
            credentials,
            progress=progress,
            allow_delete=allow_delete,
            timeout=timeout,
            still_held=lock.check,
        )
    return plan


def make_changes(
    plan: Plan,
    contracts: Contracts,
    settings: Settings,
    credentials: Path,
    *,
    progress: Callable[[str], None],
    allow_delete: bool = False,
    timeout: float = 30.0,
    still_held: Callable[[], None] = lambda: None,
) -> None:
    """Make a plan's changes, wait until they work at every broker, and record them; see `apply`, which holds the lock.

    `still_held` raises where the lock was lost; it is asked before each step.
    """
    plan.raise_if_refused(deletions=allow_delete)
    folder = CredentialsFolder(credentials, settings)
    desired = desired_state(contracts, settings)
    with Cluster(settings) as cluster:
        cluster.settled_metadata()
        cluster.require("DESCRIBE", *(["ALTER"] if plan.changes else []))
        _require_registration(plan, settings)
        ensure_ledger(cluster)
        applied = read_ledger(settings)
        still_held()
        write_ledger(settings, applied.announced(change.right for change in _of(plan, CreateAcl)))
        with ThreadPoolExecutor(1, thread_name_prefix="lockgate-registry") as beside:
            # the registry's part goes on beside the brokers'; leaving the block waits for both, errors included
            subjects = beside.submit(_registry_part, plan, settings)
            _cluster_part(plan, cluster, folder, progress, still_held)
            for line in subjects.result():
                progress(line)
        deletions = plan.deletions if allow_delete else ()
        still_held()
        delete(deletions, cluster, folder, settings, _both(progress, still_held))
        ready = wait_until_ready(cluster, folder, desired, timeout=timeout)
        still_held()
        _record(settings, desired, deletions, cluster)
    progress(
        f"{ready.rights} rights work for {ready.principals} principals on {counted(ready.brokers, 'broker')} "
        f"({ready.seconds:.1f} s)"
    )


def _both(progress: Callable[[str], None], still_held: Callable[[], None]) -> Callable[[str], None]:
    """Return what reports a step and then asks whether the next one may follow."""

    def report(line: str) -> None:
        progress(line)
        still_held()

    return report


def _record(settings: Settings, desired: Desired, deletions: Sequence[Change], cluster: Cluster) -> None:
    """Write down what is now, for the next plan; entries that did not change are not written again."""
    applied = read_ledger(settings)
    there = cluster.bindings_in(cluster.result(cluster.describe_acls(), "a request for its access control lists"))
    entries = applied.kept(recorded(desired), there)
    gone = set(map(deleted_key, deletions)) - set(entries)
    write_ledger(settings, applied.differences(entries) | dict.fromkeys(gone & set(applied.entries)))


def _require_registration(plan: Plan, settings: Settings) -> None:
    """Raise RegistryDenied where the identity could not make the registry's part, before anything else is touched."""
    for change in plan.changes:
        if isinstance(change, SetLevel | RegisterSchema):
            with Registry(settings) as registry:
                # the one question that only those are answered who may register: a reader gets 403
                registry.is_compatible(change.name, change.subject.event.schema)
            return


def _cluster_part(
    plan: Plan,
    cluster: Cluster,
    folder: CredentialsFolder,
    progress: Callable[[str], None],
    still_held: Callable[[], None],
) -> None:
    creations = _of(plan, CreateTopic)
    growths = _of(plan, AddPartitions)
    alterations = _of(plan, AlterConfig)
    acls = _of(plan, CreateAcl)
    values: dict[str, dict[str, str]] = {}
    for change in alterations:  # one topic may have several, each for its own cause
        values.setdefault(change.name, {}).update({d.key: d.after for d in change.differences})
    starts, offsets = _of(plan, StartGroup), GroupOffsets(cluster)
    # before anything that tells a group from a new one is made: an interrupted run must not make it begin elsewhere
    begun = set_starts(offsets, starts, early=True)
    passwords = _write_credentials(plan, folder)
    still_held()
    # a record of a new partition may fail at once: its retry and dead-letter partitions are there before it
    derived = {c.name: c.topic.partitions for c in growths if c.topic.kind != "domain"}
    cluster.results(create_partitions(cluster, derived), "to add partitions to topic")
    if derived:
        progress(f"{counted(len(derived), 'derived topic')} grown")
    # all requests are under way together: none needs another's result, not even an ACL its topic or user
    steps: list[tuple[dict[str, Any], str, str, str]] = [
        (create_topics(cluster, [c.topic for c in creations]), "topic", "created", "to create topic"),
        (
            create_partitions(cluster, {c.name: c.topic.partitions for c in growths if c.topic.kind == "domain"}),
            "topic",
            "grown",
            "to add partitions to topic",
        ),
        (
            set_configs(cluster, values),
            "topic",
            "reconfigured",
            "to configure topic",
        ),
        (set_passwords(cluster, passwords), "user", "given a password", "to set the password of"),
        (create_acls(cluster, (c.right for c in acls)), "right", "granted", "to grant"),
    ]
    for futures, noun, verb, doing in steps:
        if futures:
            cluster.results(futures, doing)
            progress(f"{counted(len(futures), noun)} {verb}")
    begun = max(begun, set_starts(offsets, starts, early=False))
    if begun:
        progress(f"{counted(begun, 'group')} given first offsets")
    rewritten = _of(plan, WriteCredentials)
    if rewritten:
        progress(f"{counted(len(rewritten), 'principal')} given new credentials files")


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
    lines = [f"{counted(len(levels), 'compatibility level')} set"] if levels else []
    return lines + ([f"{counted(len(schemas), 'schema')} registered"] if schemas else [])


def _all(pool: ThreadPoolExecutor, calls: Iterable[Callable[[], object]]) -> None:
    for future in [pool.submit(call) for call in calls]:
        future.result()


def _of(plan: Plan, kind: type[_C]) -> Sequence[_C]:
    return [change for change in plan.changes if isinstance(change, kind)]
