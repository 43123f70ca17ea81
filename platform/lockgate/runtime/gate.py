"""How many handlers may be at work during an outage and after it, where several are at once. No client, no thread."""

from __future__ import annotations

from collections.abc import Callable

from lockgate.errors import Reject
from lockgate.runtime.lanes import Job, Lanes
from lockgate.runtime.outage import Outage

__all__ = ["Gate"]


class Gate:
    """Let handlers begin as a breaker allows: none, one as a probe, then one more at once with each success.

    What is in hand waits in its lane meanwhile, and a record that failed is the next of its lane. A handler that began
    before the breaker opened tells nothing of what came after: if it fails, its record stays, too.
    """

    def __init__(self, outage: Outage, lanes: Lanes, size: int, wake: Callable[[], None]) -> None:
        self._outage = outage
        self._lanes = lanes
        self._size = size
        self._wake = wake
        self._at_once = size  # how many handlers may be at work; `size` is no limit at all

    def look(self) -> bool:
        """Let a probe begin whose time has come; tell whether records may be taken: where none is in hand for it."""
        limit = self._outage.limit()
        if self._outage.state == "closed":
            if self._at_once < self._size:
                self._allow(self._at_once)  # some of those at work may be lost
            return True
        if limit:
            self._allow(limit)
        return bool(limit) and self._lanes.idle

    def ended(self, job: Job) -> bool:
        """Note how a handler ended; tell whether its record stays in hand, to be handled again."""
        if job.stage == "read":  # no handler had it, so it tells nothing
            self._allow(None if self._at_once == self._size else self._at_once, job)
            return False
        failed = job.error is not None and job.stage == "handle" and not isinstance(job.error, Reject)
        outage, state = self._outage, self._outage.state
        if job.term != outage.term:
            return failed
        stays = failed and outage.failed((job.share.place, job.message.offset()))
        if not failed:
            outage.succeeded(1)
        if outage.state == "open":
            self._at_once = 0
        elif state == "half-open":
            self._at_once = min(2, self._size)
        elif self._at_once == self._size:
            return stays
        else:
            self._at_once += not failed
        self._allow(None if self._at_once == self._size else self._at_once, job)
        return stays

    def _allow(self, at_once: int | None, ended: Job | None = None) -> None:
        if self._lanes.allow(self._outage.term, at_once, ended):
            self._wake()
