"""What a change may cost those who use what is changed."""

from __future__ import annotations

from typing import Literal

from lockgate.contracts.model import Compatibility
from lockgate.provisioning.change import NO_RISK, Risk

__all__ = ["config_risk", "duration_text", "growth_risk", "level_risk", "worst"]

_LEVELS = ("none", "low", "high")


def worst(*risks: Risk) -> Risk:
    """Return one risk of the highest level among them, with the reasons of all that have that level."""
    level = max(risks, key=lambda risk: _LEVELS.index(risk.level), default=NO_RISK).level
    return Risk(level, "; ".join(dict.fromkeys(risk.reason for risk in risks if risk.level == level and risk.reason)))


def growth_risk(kind: Literal["domain", "retry", "dead-letter", "control"]) -> Risk:
    """Return what more partitions mean for a topic of this kind."""
    if kind == "domain":
        return Risk("high", "keys move: a key's records from now on may be in another partition than its earlier ones")
    return Risk("low", "cannot be taken back")


def config_risk(key: str, before: str | None, after: str) -> Risk:
    """Return what another value of a topic's configuration means."""
    falls, rises = _falls(before, after), _falls(after, before)
    match key:
        case "retention.ms" if falls:
            return Risk("high", f"records older than {duration_text(int(after))} are deleted")
        case "retention.ms":
            return Risk("low", "takes more room on the brokers")
        case "cleanup.policy":
            return Risk("high", f"{before} no longer decides which records are deleted")
        case "max.message.bytes" if falls:
            return Risk("high", "larger records are refused from now on")
        case "min.insync.replicas" if falls:
            return Risk("high", "records are acknowledged with fewer copies")
        case "min.insync.replicas" if rises:
            return Risk("low", "writes wait until more replicas are in sync")
        case "message.timestamp.type":
            return Risk("high", "retention counts from another time")
        case _:
            return Risk("low", "takes effect at once")


def level_risk(before: str | None, after: Compatibility) -> Risk:
    """Return what another compatibility level means."""
    if before is None:
        return NO_RISK
    if _promises(before) - _promises(after):
        return Risk("high", f"schemas may be registered from now on that {before} forbids")
    return Risk("low", "versions that are there are not checked again")


def duration_text(milliseconds: int) -> str:
    """Return a duration as contracts write it: `7d`, `36h`, `300ms`; `for ever` for -1."""
    if milliseconds < 0:
        return "for ever"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def _falls(before: str | None, after: str | None) -> bool:
    """Return whether a number becomes smaller; below zero stands for no limit."""
    try:
        first, second = (int(value or "") for value in (before, after))
    except ValueError:
        return False
    return second >= 0 and (first < 0 or second < first)


def _promises(level: str) -> frozenset[tuple[str, str]]:
    """Return what a level promises: which direction, against the latest version or all."""
    base, transitive, _ = level.partition("_TRANSITIVE")
    directions = {"FULL": ("BACKWARD", "FORWARD"), "NONE": ()}.get(base, (base,))
    extents = ("latest", "all") if transitive else ("latest",)
    return frozenset((direction, extent) for direction in directions for extent in extents)
