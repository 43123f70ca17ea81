"""What the contracts ask of a cluster, a registry and the credentials folder."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from lockgate.connection import Settings
from lockgate.contracts.derive import Acl, Principal, Subject, Topic, derive
from lockgate.contracts.model import Contracts

__all__ = ["Desired", "desired_state"]


@attrs.frozen
class Desired:
    """Hold what should be there, keyed by name, in the contracts' order."""

    topics: Mapping[str, Topic]
    users: Mapping[str, Principal]
    acls: tuple[Acl, ...]
    subjects: Mapping[str, Subject]
    administrator: str | None
    """The user that plans and applies: it belongs to no contract, and is not reported as unmanaged."""

    def acls_of(self, principal: str) -> tuple[Acl, ...]:
        """Return the rights of one principal."""
        return tuple(acl for acl in self.acls if acl.principal == principal)


def desired_state(contracts: Contracts, settings: Settings) -> Desired:
    """Derive the desired state for the cluster that `settings` (the administrator's) lead to."""
    derived = derive(contracts)
    return Desired(
        topics={topic.name: topic for topic in derived.topics},
        users={principal.name: principal for principal in derived.principals},
        acls=derived.acls,
        subjects={subject.name: subject for subject in derived.subjects},
        administrator=settings.username,
    )
