"""What a workload has written, read back from the brokers and made into an outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from lockgate import records
from lockgate.contracts import names
from lockgate.contracts.model import Contracts, Workload
from lockgate.records import Coordinates, Envelope, Place, without_envelope
from lockgate.runtime.context import event_id_of
from lockgate.runtime.journal import Outcome as Word
from lockgate.testing.events import Events
from lockgate.testing.outcome import DeadLetter, Outcome, Published, Retry

__all__ = ["Reading"]


class Reading:
    """Gather the outcome of a run: counts as the loop notes them, records as the brokers have them."""

    def __init__(self, contracts: Contracts, workload: Workload, events: Events) -> None:
        source = contracts.source_of(workload)
        self._letters = names.dead_letter_topic(source.topic.name if source is not None else "", workload.name)
        self._results = {contracts.domain_of(name).topic.name for name in workload.publishes}
        self._events = events
        self._counts: Counter[Word] = Counter()
        self._published: list[Published] = []
        self._retries: list[Retry] = []
        self._dead: list[DeadLetter] = []

    def add(
        self,
        source: Coordinates,  # noqa: ARG002  # the loop's signature
        outcome: Word,
        *,
        attempt: int,  # noqa: ARG002
        event_id: str,  # noqa: ARG002
        reason: str | None = None,  # noqa: ARG002
        results: Sequence[tuple[str, str, str]] = (),  # noqa: ARG002
    ) -> None:
        """Count an outcome."""
        self._counts[outcome] += 1

    def outcomes(self) -> int:
        """Return how many outcomes were counted."""
        return self._counts.total()

    def write(self) -> None:
        """Take what was counted as settled."""

    def close(self) -> None:
        """Count no more."""

    def take(self, messages: Iterable[Any], now_ms: int) -> None:
        """Sort what the workload has written; `now_ms` is when."""
        for message in messages:
            headers = message.headers() or ()
            if message.topic() in self._results:
                self._published.append(self._result(message, headers))
                continue
            envelope = Envelope.read(headers)
            if envelope is None:
                continue
            own = without_envelope(headers)
            source = envelope.source
            event_id = event_id_of(own, source.topic, source.partition, source.offset)
            if message.topic() == self._letters:
                self._dead.append(
                    DeadLetter(
                        envelope.stage,
                        envelope.reason,
                        envelope.message,
                        envelope.exception,
                        envelope.attempt,
                        event_id,
                        source,
                        message.key(),
                        message.value(),
                        own,
                    )
                )
            elif envelope.due is not None:
                delay = timedelta(milliseconds=envelope.due - now_ms)
                tier = envelope.attempt  # the n-th failure goes to tier n
                self._retries.append(
                    Retry(tier, delay, envelope.attempt, envelope.message, envelope.exception, event_id, source)
                )

    def outcome(self, committed: Mapping[str, int]) -> Outcome:
        """Return what was gathered."""
        return Outcome(
            tuple(self._published),
            tuple(self._retries),
            tuple(self._dead),
            self._counts["handled"],
            self._counts["skipped"],
            committed,
        )

    @staticmethod
    def dues(messages: Iterable[Any]) -> Iterator[tuple[Place, int, int | None]]:
        """Yield place, offset and due time of records; those of a domain topic have none."""
        for message in messages:
            envelope = Envelope.read(message.headers())
            yield (message.topic(), message.partition()), message.offset(), envelope.due if envelope else None

    def _result(self, message: Any, headers: records.Headers) -> Published:
        event_type = (records.header(headers, records.CE_TYPE) or b"").decode()
        event_id = event_id_of(headers, message.topic(), message.partition(), message.offset())
        event = self._events.decode(event_type, message.value())
        return Published(event, event_type, event_id, message.topic(), message.key(), headers)
