"""Mistakes, collected while files are read: one mistake never hides another."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from lockgate.errors import Problem

__all__ = ["Report", "nearest"]


class Report:
    """Collect mistakes from all files of a project."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, file: str, line: int, message: str, next_step: str | None = None) -> None:
        """Note one mistake; `line` counts from 1."""
        self.problems.append(Problem(file, line, message, next_step))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, whatever the case it is written in, or None."""
    spelled = {candidate.lower(): candidate for candidate in sorted(known, reverse=True)}
    found = difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=0.65)
    return spelled[found[0]] if found else None
