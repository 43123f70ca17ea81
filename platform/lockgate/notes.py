"""What a commit in a retry topic says beside its offset: which records behind it are finished. Pure.

Written by `runtime`, read by `runtime` when it takes over a partition and by `deadletters`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

__all__ = ["Finished", "note_of"]


def note_of(read_to: int, unfinished: Iterable[tuple[int, int]]) -> str:
    """Return the note of a commit: how far was read, and the runs `(first, last)` of what of it is unfinished.

    The commit's offset is where the first run begins. Numbers are distances, from one run's end to the next one's
    beginning and on to its end, so that some hundred runs fit into the 4 KiB that brokers take.
    """
    words: list[str] = []
    begin = end = -1
    for first, last in unfinished:
        if begin < 0:
            begin = end = first
        words.append(f"{first - end}" + (f"~{last - first}" if last > first else ""))
        end = last
    return f"{read_to - begin}:{','.join(words)}" if words else ""


class Finished:
    """Tell which records behind a committed offset are finished: what the note of that commit says."""

    def __init__(self, offset: int = 0, note: str = "") -> None:
        self._next = offset
        self._begins: list[int] = []
        self._ends: list[int] = []
        read, colon, words = note.partition(":")
        if not colon:
            return
        self._next = offset + int(read)
        end = offset
        for word in words.split(","):
            distance, _, length = word.partition("~")
            begin = end + int(distance)
            end = begin + int(length or 0)
            self._begins.append(begin)
            self._ends.append(end)

    def __contains__(self, offset: int) -> bool:
        if offset >= self._next:
            return False
        run = bisect_right(self._begins, offset) - 1
        return run < 0 or offset > self._ends[run]
