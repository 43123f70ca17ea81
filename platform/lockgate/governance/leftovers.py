"""Subjects of the registry that no contract asks for any more: what removed and renamed event types leave behind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lockgate.contracts.derive import derive
from lockgate.contracts.model import Contracts

__all__ = ["leftovers"]

_FULL_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


def leftovers(contracts: Contracts, subjects: Iterable[str]) -> Iterator[str]:
    """Yield the subjects of the contracts' topics whose event types are gone, and of their event types on other topics.

    Others belong to somebody else. A full name holds no hyphen, so what follows a topic's name and a hyphen is one, or
    the subject is that of another topic whose name begins alike.
    """
    wanted = {subject.name for subject in derive(contracts).subjects}
    topics = {domain.topic.name for domain in contracts.domains}
    for subject in sorted(subjects):
        topic, hyphen, full_name = subject.rpartition("-")
        if subject in wanted or not hyphen or not _FULL_NAME.fullmatch(full_name):
            continue
        if topic in topics or full_name in contracts.events:
            yield subject
