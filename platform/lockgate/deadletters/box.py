"""Letter boxes: the dead-letter topics that follow from the contracts, and who may open them."""

from __future__ import annotations

import attrs

from lockgate.contracts import names
from lockgate.contracts.derive import way_back
from lockgate.contracts.model import Contracts
from lockgate.errors import UsageError

__all__ = ["Box", "boxes"]


@attrs.frozen
class Box:
    """Describe the dead-letter topic of one workload for the topic that it reads."""

    topic: str
    source: str
    """The domain topic whose records fail."""
    workload: str
    team: str
    """The slug of the team that owns the workload, and with it the letters."""
    way_back: str
    """The topic that replayed letters go to, read by the workload alone."""
    holds: bool = False
    """Whether a dead letter holds its key."""

    @property
    def parked(self) -> str:
        """Return the topic in which the later records of a held key wait."""
        return names.parked_topic(self.source, self.workload)

    @property
    def reader(self) -> str:
        """Return the principal that may read these letters."""
        return names.reader_principal(self.team)

    @property
    def replayer(self) -> str:
        """Return the principal that may read these letters and send them back."""
        return names.replayer_principal(self.team)


def boxes(contracts: Contracts, *, team: str | None = None, workload: str | None = None) -> tuple[Box, ...]:
    """Return the letter boxes of a team, of a workload, or all of them.

    Raise UsageError with the known names where no such team or workload has dead letters.
    """
    every = tuple(
        Box(
            names.dead_letter_topic(source.topic.name, each.name),
            source.topic.name,
            each.name,
            service.owner.slug,
            way_back(contracts, each),
            each.holds,
        )
        for service in contracts.services
        for each in service.workloads
        if (source := contracts.source_of(each)) is not None
    )
    if team is not None and team.lower() not in {box.team for box in every}:
        raise UsageError(
            f"no team {team!r} has dead letters",
            next_step=f"known teams: {', '.join(sorted({box.team for box in every}))}",
        )
    if workload is not None and workload not in {box.workload for box in every}:
        contracts.workload(workload)  # says which names there are, where there is none
        raise UsageError(
            f"{workload} reads no topic, so it has no dead letters",
            next_step=f"workloads that read: {', '.join(sorted(box.workload for box in every))}",
        )
    return tuple(
        box
        for box in every
        if (team is None or box.team == team.lower()) and (workload is None or box.workload == workload)
    )
