"""What a plan only reports: what cannot be applied, and what is there besides the contracts."""

from __future__ import annotations

from typing import Literal

import attrs

from lockgate.provisioning.change import Kind

__all__ = ["Beyond", "Draining", "Refusal", "Unmanaged", "counted"]


@attrs.frozen(order=True)
class Refusal:
    """Say what the contracts ask for and cannot have, why, and what to do instead."""

    kind: Kind
    name: str
    reason: str
    next_step: str
    declared: str = ""
    action: Literal["apply", "delete"] = "apply"
    """What is refused: a `delete` stands in the way of nothing else."""


@attrs.frozen(order=True)
class Beyond:
    """Report an ACL that changes who may do what with something in the contracts, and that no contract asks for."""

    permission: Literal["ALLOW", "DENY"]
    name: str
    """The binding in one phrase."""
    reason: str


@attrs.frozen(order=True)
class Draining:
    """Report a retry topic that its workload's contract no longer lists.

    The workload goes on reading it, and its rights stay, as long as it is there: nothing that waits in it is stranded.
    """

    name: str
    workload: str
    waiting: int
    """Records in it that the workload has not done; at 0 the topic may go."""
    declared: str


@attrs.frozen(order=True)
class Unmanaged:
    """Report something that is there and in no contract; it is left alone."""

    kind: Kind
    name: str
    note: str = ""


def counted(number: int, noun: str) -> str:
    """Return a number and a noun, in the plural where there are several: `3 topics`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
