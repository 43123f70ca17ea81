"""Waiting until what was applied works: on every broker, for every principal, proven with its own credentials."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import attrs

from lockgate.contracts.derive import Acl, Topic
from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.cluster import Broker, Cluster
from lockgate.provisioning.credentials import CredentialsFolder
from lockgate.provisioning.desired import Desired
from lockgate.provisioning.wire import BrokerConnection

__all__ = ["Readiness", "wait_until_ready"]

_THREADS = 8
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5


@attrs.frozen
class Readiness:
    """Say what was proven."""

    brokers: int
    principals: int
    rights: int
    """Bindings that every broker grants to a connection of their principal."""
    seconds: float


@attrs.frozen
class _Probe:
    """Hold what one principal must be able to do, at whichever broker."""

    principal: str
    topics: Mapping[str, frozenset[str]]
    others: tuple[Acl, ...]
    """Rights on groups and transactional ids."""


def wait_until_ready(
    cluster: Cluster, folder: CredentialsFolder, desired: Desired, *, timeout: float = 30.0
) -> Readiness:
    """Wait until all topics have leaders and enough replicas in sync, and until all rights work at every broker.

    A created user or ACL reaches the brokers one by one, so each principal logs in at each of them and asks what it
    may do. Raise ClusterUnavailable or ClusterDenied with what is still missing after `timeout` seconds.
    """
    started = time.monotonic()
    deadline = started + timeout
    denials = {binding for binding in _bindings(cluster) if binding.permission == "DENY"}
    probes = [_probe(desired, name, denials) for name in desired.users]
    proven: set[tuple[str, Broker]] = set()
    pause = _FIRST_PAUSE
    denied = False
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lockgate-probe") as pool:
        while True:
            # asked again each round: a broker that has died meanwhile is not waited for
            missing = _topics_missing(cluster, desired)
            brokers = cluster.brokers()
            open_probes = [(p, broker) for p in probes for broker in brokers if (p.principal, broker) not in proven]
            answers = pool.map(lambda pair: _ask(pair[0], pair[1], folder, desired.topics), open_probes)
            for (probe, broker), answer in zip(open_probes, answers, strict=True):
                if answer is None:
                    proven.add((probe.principal, broker))
                else:
                    missing.append(str(answer))
                    denied = denied or isinstance(answer, ClusterDenied)
            if not missing:
                rights = sum(len(p.others) + sum(map(len, p.topics.values())) for p in probes)
                return Readiness(len(brokers), len(probes), rights, time.monotonic() - started)
            if time.monotonic() + pause > deadline:
                raise _not_ready(missing, timeout, denied=denied)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _bindings(cluster: Cluster) -> frozenset[Binding]:
    return cluster.bindings_in(cluster.result(cluster.describe_acls(), "a request for its access control lists"))


def _probe(desired: Desired, principal: str, denials: set[Binding]) -> _Probe:
    topics: dict[str, set[str]] = defaultdict(set)
    others = []
    for acl in desired.acls_by_principal[principal]:
        if any(denial.takes_away(Binding.of(acl)) for denial in denials):
            continue  # somebody denied it by hand, and the plan says so: it will not work however long we wait
        if acl.resource == "TOPIC":
            topics[acl.name].add(acl.operation)
        else:
            others.append(acl)
    return _Probe(principal, {name: frozenset(operations) for name, operations in topics.items()}, tuple(others))


def _topics_missing(cluster: Cluster, desired: Desired) -> list[str]:
    there = cluster.metadata().topics
    missing = []
    for topic in desired.topics.values():
        partitions = there[topic.name].partitions if topic.name in there else {}
        in_sync = int(topic.config.get("min.insync.replicas", "1"))
        good = sum(p.leader >= 0 and len(p.isrs) >= in_sync for p in partitions.values())
        if good < topic.partitions:
            missing.append(f"topic {topic.name}: {good} of {topic.partitions} partitions can be written")
    return missing


def _ask(probe: _Probe, broker: Broker, folder: CredentialsFolder, topics: Mapping[str, Topic]) -> ClusterError | None:
    """Return why a principal cannot work at a broker yet, or None where it can."""
    try:
        with BrokerConnection(broker, folder.settings(probe.principal)) as connection:
            views = connection.topics(tuple(probe.topics)) if probe.topics else {}
            for name, operations in probe.topics.items():
                view = views.get(name)
                if view is None or not operations <= view.operations:
                    wanted = " and ".join(sorted(operations))
                    return ClusterDenied(f"{broker} does not let {probe.principal} {wanted} topic {name} yet")
                if view.leaders < topics[name].partitions:
                    return ClusterUnavailable(f"{broker} does not know all leaders of topic {name} yet")
            for acl in probe.others:
                # any id under a prefix will do
                example = acl.name if acl.pattern == "LITERAL" else f"{acl.name}probe"
                if not connection.may_use(acl.resource, example):
                    resource = acl.resource.lower().replace("_", " ")
                    return ClusterDenied(f"{broker} does not let {probe.principal} use {resource} {acl.name} yet")
    except ClusterError as error:
        return error
    return None


def _not_ready(missing: list[str], timeout: float, *, denied: bool) -> ClusterError:
    shown = "; ".join(missing[:3]) + (f"; and {len(missing) - 3} more" if len(missing) > 3 else "")
    kind = ClusterDenied if denied else ClusterUnavailable
    return kind(
        f"everything was applied, but does not work yet after {timeout:.0f} s: {shown}",
        next_step="run `lockgate apply` again when the brokers are well; it goes on where it stopped",
    )
