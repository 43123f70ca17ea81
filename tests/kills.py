"""Kills at the boundaries of the record path on the real cluster, and what came of a load."""

from __future__ import annotations

import secrets
import signal
import threading

from tests.books import AT_LEAST_ONCE, CONCURRENT, EXACTLY_ONCE, HOLDING, ORDER_KEY, Verdict
from tests.faults import Subject
from tests.worlds import eventually

_EVERYWHERE = ("fetched", "handled", "sent", "revoked", "left")
_TRANSACTIONAL = ("offsets", "offsets-sent", "transaction", "transaction-committed")
CRASHES = {
    AT_LEAST_ONCE: (*_EVERYWHERE, "acknowledged", "committing", "committed"),
    CONCURRENT: (*_EVERYWHERE, "acknowledged", "committing", "committed"),
    EXACTLY_ONCE: (*_EVERYWHERE, *_TRANSACTIONAL),
    ORDER_KEY: (*_EVERYWHERE, *_TRANSACTIONAL, "committed"),
    HOLDING: (*_EVERYWHERE, *_TRANSACTIONAL, "committed", "released"),
}
"""Which points of `tests.crashes` a mode passes."""

_PATIENCE = 150.0


def crash(subject: Subject, point: str, nth: int, count: int) -> Verdict:
    """Kill a process at a point, let another one go on, and return what came of the load."""
    load = f"{point}-{secrets.token_hex(3)}"
    if point in ("revoked", "left"):
        return _crash_in_a_rebalance(subject, load, point, count)
    if point == "released":
        return _crash_at_a_release(subject, load, point, count)
    subject.write(load, count)
    with subject.running(point, nth) as victim:
        assert victim.ended(_PATIENCE) == -signal.SIGKILL, victim.text
    with subject.running() as heir:
        subject.settle(heir)
        heir.stop()
    return subject.verdict(load, count)


def _crash_in_a_rebalance(subject: Subject, load: str, point: str, count: int) -> Verdict:
    with subject.running(point, 1) as victim:
        victim.until(lambda: "Partitions assigned" in victim.text, "its partitions", _PATIENCE)
        written: list[int] = []
        ended = victim.process.poll
        writing = threading.Thread(
            target=lambda: written.append(subject.write(load, 50 * count, subject.pause, lambda: ended() is not None))
        )
        writing.start()
        victim.until(lambda: "Sent to retry tier" in victim.text, "its first records", _PATIENCE)
        with subject.running() as heir:
            assert victim.ended(_PATIENCE) == -signal.SIGKILL, victim.text
            writing.join()
            subject.settle(heir)
            heir.stop()
    return subject.verdict(load, written[0])


def _crash_at_a_release(subject: Subject, load: str, point: str, count: int) -> Verdict:
    subject.write(load, count)
    with subject.running(point, 1) as victim, subject.watched() as left:
        eventually(lambda: left() == {} or victim.process.poll() is not None, "a release", _PATIENCE)
        assert victim.ended(_PATIENCE) == -signal.SIGKILL, victim.text
    with subject.running() as heir:
        subject.settle(heir)
        heir.stop()
    return subject.verdict(load, count)
