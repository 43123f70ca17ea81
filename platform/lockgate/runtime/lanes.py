"""Which record may be handled next, where several are handled at once. No client, no thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any

from lockgate.records import Envelope
from lockgate.runtime.decoding import Entry
from lockgate.runtime.encoding import Encoded
from lockgate.runtime.keys import Ident
from lockgate.runtime.offsets import Progress

__all__ = ["Job", "Lanes", "Share"]


class Share:
    """Stand for one partition from its assignment until it goes, or is read again: what is in hand of it."""

    __slots__ = ("bytes", "closed", "dead", "jobs", "place", "progress", "running")

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.place = progress.place
        self.jobs = 0
        """Records that were taken and have no outcome yet."""
        self.bytes = 0
        """The size of their values."""
        self.running = 0
        """Handlers at work."""
        self.closed = False
        """Whether no handler is to begin any more."""
        self.dead = False
        """Whether the outcome of a handler that is at work counts for nothing any more."""

    def take_in(self, job: Job) -> None:
        """Note a record that is in hand."""
        self.jobs += 1
        self.bytes += job.size

    def let_go(self, job: Job) -> None:
        """Note one that is in hand no more."""
        self.jobs -= 1
        self.bytes -= job.size


class Job:
    """Hold one record on its way through its handler."""

    __slots__ = (
        "entry",
        "envelope",
        "error",
        "event",
        "events",
        "ident",
        "lane",
        "message",
        "seconds",
        "share",
        "size",
        "stage",
        "term",
    )

    def __init__(
        self, message: Any, envelope: Envelope | None, event: Any, entry: Entry, share: Share, lane: Hashable
    ) -> None:
        self.message = message
        self.envelope = envelope
        self.event = event
        self.entry = entry
        self.share = share
        self.lane = lane
        """Records of one lane are handled one after the other; None: whenever there is a slot."""
        self.ident: Ident | None = None
        """What it is known by among the records of its key, where their order is kept through retries."""
        self.size = len(message.value() or b"")
        self.events: Sequence[Encoded] = ()
        """What is to be published."""
        self.error: BaseException | None = None
        self.stage = "handle"
        """Where the error was raised: `read`, `handle` or `publish`."""
        self.seconds = 0.0
        """How long its handler took."""
        self.term = -1
        """The term of the breaker in which its handler began."""

    @classmethod
    def unreadable(cls, message: Any, envelope: Envelope | None, error: Exception, share: Share) -> Job:
        """Return a record that cannot be read, which takes its turn like any other: to handle it raises the error."""
        job = cls(message, envelope, error, (None, _raise, None, False), share, None)
        job.stage = "read"
        return job

    @property
    def stops(self) -> bool:
        """Tell whether something of it has to be on the brokers before the next of its lane."""
        return self.lane is not None and (self.error is not None or bool(self.events))

    def anew(self) -> Job:
        """Return the same record without what its handler led to: one that still looks at that may do so."""
        job = Job(self.message, self.envelope, self.event, self.entry, self.share, self.lane)
        job.ident = self.ident
        return job


def _raise(error: Exception) -> None:
    raise error


class Lanes:
    """Hand out records: those of one lane in order, one at a time; lanes in turn. Any thread may call.

    A lane stops behind a record that failed, with `stopping` also behind one that has results: `resume` lets it go on
    once it is settled what becomes of that record, `again` puts the record back, `drain` takes what is behind it.
    """

    def __init__(self, *, stopping: bool = False) -> None:
        self._stopping = stopping
        self._ready: deque[Job] = deque()
        self._behind: dict[Hashable, deque[Job]] = {}  # by lane: a lane that is in here has one ready or running
        self._term = 0
        self._permits: int | None = None  # how many more may begin now; None: all
        self._trials: set[Job] = set()  # those that began with a permit, and whose outcome nobody has told yet
        self.lock = threading.Lock()

    def add(self, jobs: Sequence[Job]) -> None:
        """Take records in, those of a lane in order."""
        with self.lock:
            for job in jobs:
                if job.lane is None:
                    self._ready.append(job)
                    continue
                behind = self._behind.get(job.lane)
                if behind is None:
                    self._behind[job.lane] = deque()
                    self._ready.append(job)
                else:
                    behind.append(job)

    def take(self) -> Job | None:
        """Return a record whose turn it is, or None; call `done` when its handler has ended."""
        with self.lock:
            while self._ready and self._permits != 0:
                job = self._ready.popleft()
                if job.share.closed:
                    self._advance(job)
                    continue
                if self._permits is not None:
                    self._permits -= 1
                    self._trials.add(job)
                job.term = self._term
                job.share.running += 1
                return job
            return None

    def done(self, job: Job) -> None:
        """Let the next of a lane have its turn, behind all lanes that wait for theirs."""
        with self.lock:
            job.share.running -= 1
            if not self._stops_at(job):
                self._advance(job)

    def resume(self, job: Job) -> bool:
        """Let a lane go on where it stopped behind a record; tell whether it had."""
        with self.lock:
            stopped = self._stops_at(job)
            if stopped:
                self._advance(job)
            return stopped

    def again(self, job: Job) -> None:
        """Have a record handled once more, before all that wait; its lane had stopped behind it."""
        with self.lock:
            self._ready.appendleft(job)

    def allow(self, term: int, at_once: int | None, ended: Job | None = None) -> bool:
        """Let so many handlers be at work from now on, of those that begin in a term of the breaker; None: all.

        `ended` is at work no more: what it led to is known. Nor are those whose outcome counts for nothing. Tell
        whether a handler may begin now.
        """
        with self.lock:
            self._term = term
            self._trials = {job for job in self._trials if job is not ended and job.term == term and not job.share.dead}
            self._permits = None if at_once is None else max(0, at_once - len(self._trials))
            return self._permits != 0 and bool(self._ready)

    @property
    def idle(self) -> bool:
        """Tell whether handlers might begin, but there is no record for them."""
        with self.lock:
            return self._permits != 0 and all(job.share.closed for job in self._ready)

    def drain(self, job: Job) -> list[Job]:
        """Return what is behind a record that a lane stopped at; the lane is empty then."""
        with self.lock:
            behind = self._behind.pop(job.lane, None) if job.lane is not None else None
            return [other for other in behind or () if not other.share.closed]

    def close(self, share: Share) -> None:
        """Let no handler begin with a partition's records any more; what is at work goes on."""
        with self.lock:
            share.closed = True

    def _stops_at(self, job: Job) -> bool:
        return job.lane is not None and (job.error is not None or (self._stopping and bool(job.events)))

    def _advance(self, job: Job) -> None:
        if job.lane is None:
            return
        behind = self._behind[job.lane]
        while behind and behind[0].share.closed:
            behind.popleft()
        if behind:
            self._ready.append(behind.popleft())
        else:
            del self._behind[job.lane]
