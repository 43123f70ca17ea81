"""Calls of a client in a thread of their own: one that does not come back in time is left to itself."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue

__all__ = ["Calls", "Overdue"]

_Call = Callable[[], None]


class Overdue(Exception):  # noqa: N818  # it says what the call is; whether that is an error is the caller's to say
    """Say that a call has not come back in time; it goes on, with all that it holds."""


class Calls:
    """Make calls, one at a time, and wait for each no longer than it may take.

    Some of a client's calls wait in C, whatever time they are given. A call that is overdue keeps its thread, and the
    thread keeps what the call holds: destroying a client that has a call under way waits for ever, too. The thread is a
    daemon, so the end of the process waits for neither.
    """

    def __init__(self) -> None:
        self._hand: _Hand | None = None

    def make(self, call: _Call, within: float) -> None:
        """Make a call, and raise what it raises; raise Overdue if it takes longer than `within` seconds."""
        if self._hand is None:
            self._hand = _Hand()
        hand, self._hand = self._hand, None  # whatever interrupts the wait: its answer is never taken for another's
        hand.calls.put(call)
        try:
            error = hand.answers.get(timeout=within)
        except Empty:
            raise Overdue from None
        self._hand = hand
        if error is not None:
            raise error


class _Hand:
    """Own a thread, until nobody holds this any more; a call that it makes then is its last."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[_Call | None] = SimpleQueue()
        self.answers: SimpleQueue[BaseException | None] = SimpleQueue()
        weakref.finalize(self, self.calls.put, None)
        threading.Thread(target=_serve, args=(self.calls, self.answers), name="calls", daemon=True).start()


def _serve(calls: SimpleQueue[_Call | None], answers: SimpleQueue[BaseException | None]) -> None:
    while (call := calls.get()) is not None:
        error: BaseException | None = None
        try:
            call()
        except BaseException as raised:  # it is raised where the call was asked for
            error = raised
        call = None  # first: whoever has the answer may let go of the client, and it is not to live on in here
        answers.put(error)
        error = None
