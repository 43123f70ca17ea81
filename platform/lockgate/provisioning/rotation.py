"""Rotation: a new password for principals whose processes run on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lockgate.connection import Settings
from lockgate.contracts.model import Contracts
from lockgate.errors import ClusterDenied, ClusterError, ClusterUnavailable, UsageError
from lockgate.provisioning.cluster import Broker, Cluster
from lockgate.provisioning.credentials import CredentialsFolder, new_password
from lockgate.provisioning.desired import desired_state
from lockgate.provisioning.ledger import ensure_ledger
from lockgate.provisioning.lock import ApplyLock
from lockgate.provisioning.requests import set_passwords
from lockgate.provisioning.wire import BrokerConnection

__all__ = ["rotate"]

_THREADS = 8
_PAUSE = 0.1


def rotate(
    principals: Sequence[str],
    contracts: Contracts,
    settings: Settings,
    credentials: Path,
    *,
    progress: Callable[[str], None],
    timeout: float = 30.0,
) -> int:
    """Give principals new passwords, and return for how many brokers it was proven that they hold.

    Credentials files are written first: a process whose login is refused reads its file again, and finds there what the
    brokers ask for by then. Connections that exist live on. Raise UsageError for a principal that is in no contract or
    has no user yet, and ClusterError (and what is below it) where a broker does not take the new password, or still
    takes the old one, after `timeout` seconds.
    """
    folder = CredentialsFolder(credentials, settings)
    _require_known(principals, sorted(desired_state(contracts, settings).users))
    with Cluster(settings) as cluster:
        cluster.settled_metadata()
        cluster.require("DESCRIBE", "ALTER")
        ensure_ledger(cluster)
        with ApplyLock(settings, progress) as lock:
            users = cluster.users_in(cluster.result(cluster.describe_users(), "a request for its users"))
            for principal in principals:
                if principal not in users:
                    raise UsageError(f"{principal} has no user to rotate yet", next_step="run `lockgate apply`")
            before = {name: folder.settings(name) if folder.password(name) else None for name in principals}
            passwords = {name: new_password() for name in principals}
            lock.check()
            for name, password in passwords.items():
                folder.write(name, password)
            progress("credentials files written")
            cluster.results(set_passwords(cluster, passwords), "to set the password of")
        progress("passwords set")
        brokers = cluster.brokers()
        # each broker learns of it by itself, a moment later
        logins = [(broker, folder.settings(name), True) for name in principals for broker in brokers]
        logins += [(broker, old, False) for old in before.values() if old is not None for broker in brokers]
        _prove(logins, timeout)
    return len(brokers)


def _require_known(principals: Sequence[str], known: Sequence[str]) -> None:
    unknown = [principal for principal in principals if principal not in known]
    if unknown:
        raise UsageError(
            f"no principal of the contracts is called {', '.join(unknown)}", next_step=f"there are {', '.join(known)}"
        )


def _prove(logins: list[tuple[Broker, Settings, bool]], timeout: float) -> None:
    """Wait until each login is accepted, or refused, as it should be."""
    deadline = time.monotonic() + timeout
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lockgate-rotate") as pool:
        while True:
            answers = list(pool.map(lambda login: _answer(*login), logins))
            wrong = [(login, why) for login, why in zip(logins, answers, strict=True) if why is not None]
            if not wrong:
                return
            if time.monotonic() > deadline:
                reasons = "; ".join(str(why) for _, why in wrong[:3])
                raise ClusterUnavailable(
                    f"the new passwords are written and set, but after {timeout:.0f} s: {reasons}",
                    next_step="run `lockgate status`, and rotate again when the brokers are well",
                )
            logins = [login for login, _ in wrong]
            time.sleep(_PAUSE)


def _answer(broker: Broker, settings: Settings, accepted: bool) -> ClusterError | None:  # of a tuple
    """Return what is not yet as it should be at a broker, or None."""
    try:
        BrokerConnection(broker, settings).close()
    except ClusterDenied as error:
        return error if accepted else None
    except ClusterError as error:
        return error
    return None if accepted else ClusterDenied(f"{broker} still takes the old password of {settings.username}")
