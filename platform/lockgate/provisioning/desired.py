"""What the contracts ask of a cluster, a registry and the credentials folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import attrs

from lockgate.connection import Settings
from lockgate.contracts.derive import Acl, Group, Principal, Subject, Topic, derive
from lockgate.contracts.model import Contracts, Retired

__all__ = ["Desired", "desired_state"]


@attrs.frozen(slots=False)  # the look-up table below is cached in the instance's __dict__
class Desired:
    """Hold what should be there, keyed by name, in the contracts' order."""

    topics: Mapping[str, Topic]
    users: Mapping[str, Principal]
    acls: tuple[Acl, ...]
    subjects: Mapping[str, Subject]
    groups: Mapping[str, Group]
    administrator: str | None
    """The user that plans and applies: it belongs to no contract, and is not reported as unmanaged."""

    retired: tuple[Retired, ...] = ()
    """What the contracts no longer use, and want to be deleted."""

    @cached_property
    def acls_by_principal(self) -> Mapping[str, Sequence[Acl]]:
        """Return the rights of each user, none where it has none."""
        rights: dict[str, list[Acl]] = {name: [] for name in self.users}
        for acl in self.acls:
            rights[acl.principal].append(acl)
        return rights


def desired_state(contracts: Contracts, settings: Settings) -> Desired:
    """Derive the desired state for the cluster that `settings` (the administrator's) lead to."""
    derived = derive(contracts)
    return Desired(
        topics={topic.name: topic for topic in derived.topics},
        users={principal.name: principal for principal in derived.principals},
        acls=derived.acls,
        subjects={subject.name: subject for subject in derived.subjects},
        groups={group.name: group for group in derived.groups},
        administrator=settings.username,
        retired=contracts.retired,
    )
