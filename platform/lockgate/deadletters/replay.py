"""Sending letters back to the workload that failed on them, and to no other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import attrs

from lockgate.connection import Settings
from lockgate.deadletters.groups import superseded
from lockgate.deadletters.letter import Letter
from lockgate.deadletters.sending import Outgoing, send_records
from lockgate.records import Coordinates, with_envelope

__all__ = ["Choice", "Outcome", "choose", "copy_headers", "send"]


@attrs.frozen
class Choice:
    """Say which letters go back, and which of those asked for do not."""

    chosen: tuple[Letter, ...]
    passed_over: tuple[tuple[Letter, str], ...]
    """Each with why."""
    unknown: tuple[str, ...]
    """Ids that were asked for and lie in no box."""


@attrs.frozen
class Outcome:
    """Say what became of one letter."""

    letter: Letter
    copy: Coordinates | None
    """Where its copy lies, acknowledged by all in-sync replicas; None where the brokers did not take it."""
    error: str | None = None


def choose(
    letters: Iterable[Letter],
    *,
    ids: Collection[str] = (),
    reason: str | None = None,
    limit: int | None = None,
) -> Choice:
    """Choose the letters to send back: those of some ids, or of a reason, oldest first, at most `limit`.

    Passed over are pointers and foreign records (there is nothing to send back) and letters that a later one stands
    for: their record was replayed before and has failed again.
    """
    every = sorted(letters, key=lambda letter: (letter.written, letter.place))
    answered = superseded(every)
    chosen: list[Letter] = []
    passed_over: list[tuple[Letter, str]] = []
    found: set[str] = set()
    for letter in every:
        names = {name for name in ids if letter.is_called(name)}
        if (ids and not names) or (reason is not None and letter.reason != reason):
            continue
        found |= names
        why = _why_not(letter, answered)
        if why is not None:
            passed_over.append((letter, why))
        elif limit is None or len(chosen) < limit:
            chosen.append(letter)
    return Choice(tuple(chosen), tuple(passed_over), tuple(name for name in ids if name not in found))


def _why_not(letter: Letter, answered: dict[str, str]) -> str | None:
    if letter.kind == "foreign":
        return "it has no envelope of this workload: something else wrote it"
    if letter.kind == "pointer":
        return "it is a pointer: the record was too large to be carried, and lies in the domain topic only"
    newer = answered.get(str(letter.place))
    if newer is None:
        return None
    return "it lies here twice; the later copy stands for it" if newer == letter.id else f"{newer} stands for it"


def copy_headers(letter: Letter) -> list[tuple[str, bytes | None]]:
    """Return the headers of a letter's copy: the record's own untouched, the envelope of the next replay round.

    The attempts start afresh and nothing is due: the copy is handled as soon as it arrives.
    """
    if letter.envelope is None:
        raise ValueError(f"{letter.place} has no envelope")
    envelope = attrs.evolve(letter.envelope, replay=letter.envelope.replay + 1, attempt=0, due=None)
    return with_envelope(letter.headers, envelope)


def send(settings: Settings, letters: Sequence[Letter], *, timeout: float = 30.0) -> Iterator[Outcome]:
    """Send copies to the failed workloads' first retry tiers; yield each outcome once the brokers have answered.

    A copy keeps key and value byte for byte and goes to its source's partition number, so that it is read by whoever
    reads its key. The letter itself stays where it is: sending it once more makes another copy, which is handled again.
    """
    records = []
    for letter in letters:
        if letter.envelope is None:
            raise ValueError(f"{letter.place} has no envelope")
        partition = letter.envelope.source.partition
        records.append(Outgoing(letter.box.way_back, partition, letter.key, letter.value, copy_headers(letter)))
    for letter, sent in zip(letters, send_records(settings, records, timeout=timeout), strict=True):
        yield Outcome(letter, None, sent) if isinstance(sent, str) else Outcome(letter, sent)
