"""Keys that dead letters hold: which there are, how much waits behind them, and their release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs
from confluent_kafka import KafkaException

from lockgate.committed import Committed
from lockgate.connection import Settings
from lockgate.deadletters.box import Box
from lockgate.deadletters.letter import Letter
from lockgate.deadletters.scan import cluster_error, scan_topics
from lockgate.deadletters.sending import Outgoing, send_records
from lockgate.notes import Finished
from lockgate.records import Coordinates, Envelope, enclose

__all__ = ["Hold", "Released", "held", "letters_of", "write_releases"]


@attrs.frozen
class Hold:
    """Say that a dead letter holds its key."""

    box: Box
    key: bytes
    place: Coordinates
    """Where what says so lies, in the parked topic."""
    envelope: Envelope
    """What is said: the letter's coordinates, its failure, and since when."""
    followers: int
    """Later records of the key that wait in the parked topic."""
    replays: int
    """Copies of the letter that were sent back, and wait for the release, too."""
    released: bool
    """Whether a release was written that no process has read yet."""

    @property
    def since(self) -> int:
        """Return since when, in milliseconds since the epoch."""
        return self.envelope.held or 0


@attrs.frozen
class Released:
    """Say what became of a release."""

    hold: Hold
    place: Coordinates | None
    """Where it lies, acknowledged by all in-sync replicas; None where the brokers did not take it."""
    error: str | None = None


@attrs.frozen
class _Copy:
    """Hold what is to be known of an unfinished record of a parked topic."""

    place: Coordinates
    envelope: Envelope

    @property
    def order(self) -> tuple[int, int]:
        return self.envelope.source.offset, self.envelope.replay


def held(settings: Settings, boxes: Iterable[Box], *, group: str, patience: float = 30.0) -> list[Hold]:
    """Return the holds of some workloads, by workload and the time since when; nothing is committed.

    What a workload has finished in its parked topic is what its group has committed there. Raise ClusterDenied,
    ClusterUnavailable or ClusterError.
    """
    holding = [box for box in boxes if box.holds]
    if not holding:
        return []
    found: list[Hold] = []
    with Committed(settings.client_config()) as committed:
        for box in holding:
            try:
                notes = committed.notes(box.workload, box.parked, timeout=patience)
            except KafkaException as error:
                raise cluster_error(error.args[0], settings) from error
            found += _held(settings, box, notes, group, patience)
    return sorted(found, key=lambda hold: (hold.box.workload, hold.since, hold.place))


def _held(
    settings: Settings, box: Box, notes: dict[int, tuple[int, str]], group: str, patience: float
) -> Iterator[Hold]:
    start = {(box.parked, partition): offset for partition, (offset, _) in notes.items()}
    finished = {partition: Finished(*known) for partition, known in notes.items()}
    by_key: dict[tuple[int, bytes], list[_Copy]] = {}
    for message in scan_topics(settings, [box.parked], group=group, start=start, patience=patience):
        partition, offset, key = message.partition() or 0, message.offset() or 0, message.key()
        envelope = Envelope.read(message.headers())  # type: ignore[arg-type]  # a consumer gives (str, bytes) pairs
        if not key or envelope is None or (partition in finished and offset in finished[partition]):
            continue
        if (envelope.group, envelope.source.topic) == (box.workload, box.source):
            copy = _Copy(Coordinates(box.parked, partition, offset), attrs.evolve(envelope, stack=""))
            by_key.setdefault((partition, key), []).append(copy)
    for (_, key), copies in by_key.items():
        released = {copy.order for copy in copies if copy.envelope.releases}
        waiting = [copy for copy in copies if not copy.envelope.is_word]
        for copy in copies:
            if copy.envelope.held is None:
                continue
            source = copy.envelope.source.offset
            yield Hold(
                box,
                key,
                copy.place,
                copy.envelope,
                followers=sum(other.envelope.source.offset > source for other in waiting),
                replays=sum(other.envelope.source.offset == source for other in waiting),
                released=copy.order in released,
            )


def letters_of(holds: Sequence[Hold], letters: Iterable[Letter]) -> dict[Coordinates, Coordinates]:
    """Return, by where a hold lies, where its dead letter lies; those that retention has taken are left out."""
    places = {letter.id: letter.place for letter in letters}
    return {hold.place: place for hold in holds if (place := places.get(hold.envelope.identity)) is not None}


def write_releases(settings: Settings, holds: Sequence[Hold], *, timeout: float = 30.0) -> Iterator[Released]:
    """Write releases into the parked topics, behind what lies there; yield each outcome once the brokers have answered.

    A release names the letter that holds the key, so that writing it twice does no harm.
    """
    records = []
    for hold in holds:
        word = attrs.evolve(
            hold.envelope,
            attempt=0,
            stage="release",
            reason="release",
            message=f"released by {settings.username}",
            exception="",
            held=None,
            releases=True,
        )
        records.append(Outgoing(hold.box.parked, hold.place.partition, hold.key, None, enclose((), word)))
    for hold, sent in zip(holds, send_records(settings, records, timeout=timeout), strict=True):
        yield Released(hold, None, sent) if isinstance(sent, str) else Released(hold, sent)
