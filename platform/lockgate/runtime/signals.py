"""Stopping: the first signal asks for an orderly end, the second one ends now."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType

__all__ = ["Echo", "Stop"]

_INTERRUPTED = 130
_UNFINISHED = 2
_ECHO = 0.5
"""Seconds in which the same signal is no other request than the one before."""


class Echo:
    """Tell a second request from the first one's echo.

    `timeout` and its like send a signal to a process, and then to the group that it is in: it arrives twice at once.
    """

    def __init__(self) -> None:
        self._number = 0
        self._at = 0.0

    def heard(self, number: int) -> bool:
        """Note a signal; tell whether it is an echo."""
        now = time.monotonic()
        if number == self._number and now - self._at < _ECHO:
            return True
        self._number, self._at = number, now
        return False


class Stop:
    """Tell whether this process was asked to stop; past the grace period it ends, whatever it is doing.

    Nothing is lost by an abrupt end: what was not committed is delivered again. Handlers of signals only set a flag
    and write with `os.write`, because they may interrupt anything, a log line included.
    """

    def __init__(self, grace: float = 30.0) -> None:
        self.requested = False
        self.grace = grace
        """Seconds."""
        self._echo = Echo()

    def install(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP; only in a process's main thread."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)

    def request(self) -> None:
        """Ask for an orderly end."""
        if not self.requested:
            self.requested = True
            timer = threading.Timer(self.grace, self._too_late)
            timer.daemon = True
            timer.start()

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until the stop; return whether it was requested."""
        end = time.monotonic() + seconds
        while not self.requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(0.05, left))
        return self.requested

    def _signalled(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the interpreter's signature
        if self._echo.heard(number):
            return
        if self.requested:
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"stopped at once, on the second signal\n")
            os._exit(_INTERRUPTED)
        self.request()

    def _too_late(self) -> None:
        text = f"stopped after {self.grace:g} s of grace: what was in hand is delivered again\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())
        os._exit(_UNFINISHED)
