"""The loop that keeps the order of keys through retries; docs/decisions/0022-order-by-key.md tells how, and why so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from lockgate.contracts import names
from lockgate.records import Envelope, Place, key_fingerprint
from lockgate.runtime.channel import Ticket
from lockgate.runtime.commits import COMMITTING
from lockgate.runtime.concurrent import ConcurrentLoop
from lockgate.runtime.keys import Action, Ident, Keys
from lockgate.runtime.lanes import Job, Lanes, Share
from lockgate.runtime.parked import LOOK_AGAIN_MS, ParkedTopic
from lockgate.runtime.parts import Parts
from lockgate.runtime.record import Record
from lockgate.runtime.settlement import CutSettlement
from lockgate.runtime.takeover import Number
from lockgate.runtime.transactions import TRANSACTING, Ending

__all__ = ["KeyedLoop"]

_WINDOW = 300
"""Records that are in hand of one partition of a tier at most: what a commit's note has room for."""
_MOST_TICKETS = 2000
"""Copies that wait for a transaction at which nothing more is taken from the domain topic."""


class KeyedLoop(ConcurrentLoop):
    """Handle several records at once, those of a key in order, whatever becomes of each of them.

    Everything that is sent goes in transactions, together with all that is finished in the same partition number. What
    a transaction did not carry is sent again; nothing is read again for it.
    """

    _settlement: CutSettlement

    def __init__(self, parts: Parts, settlement: CutSettlement) -> None:
        super().__init__(parts, settlement)
        self._publisher = parts.publisher
        self._numbers: dict[int, Number] = {}
        self._topics: tuple[str, ...] = ()
        self._tickets: list[Ticket] = []
        self._jobs: dict[tuple[Place, int], Job] = {}  # whose lanes wait for a transaction
        self._letters: dict[tuple[Place, int], tuple[bytes, Ident]] = {}  # what is, or may still be, dead-lettered
        self._parked: set[Ticket] = set()
        self._not_before = 0.0
        self._holding = self._workload.holds
        self._in_doubt: dict[Place, int | None] = {}
        """Where nobody knows what was committed, and with what to begin there if nothing was."""
        self._parking = names.parked_topic(self._topic, self._workload.name)
        self.parked = 0
        """Records that were sent to the parked topic."""
        self._waiting = ParkedTopic(
            self._parking, self._intake, self._publisher, self._parked, self._log, holding=self._holding
        )

    def _make_lanes(self) -> Lanes:
        return Lanes(stopping=True)

    @property
    def keys(self) -> list[Keys[Job]]:
        """Return what is known of keys, by partition number."""
        return [number.keys for number in list(self._numbers.values())]  # others read it, too

    def begin(self, topics: Sequence[str]) -> None:
        """Join the group."""
        self._topics = tuple(topics)
        super().begin(topics)

    def assigned(self, places: Sequence[Place]) -> None:
        """Begin anew with partitions."""
        super().assigned(places)
        for place in places:
            number = self._numbers.setdefault(place[1], Number(len(self._topics) - 1, holding=self._holding))
            if place[0] == self._topic:
                number.main = place
            else:
                self._intake.offsets.of(place).exact = True
                number.add(place)
        for index in {place[1] for place in places}:
            missing = self._numbers[index].missing
            if missing:
                self._log.warning("A partition waits for its retry partitions", partition=index, missing=missing)

    def lost(self, places: Sequence[Place]) -> None:
        """Forget partitions, whatever their handlers still do."""
        super().lost(places)
        gone = set(places)
        for key, job in list(self._jobs.items()):
            if key[0] in gone:
                del self._jobs[key]
                self._lanes.resume(job)
        self._letters = {key: known for key, known in self._letters.items() if key[0] not in gone}
        self._tickets = [ticket for ticket in self._tickets if ticket.progress.place not in gone]
        self._parked.intersection_update(self._tickets)
        for place in places:
            self._numbers.pop(place[1], None)
            self._in_doubt.pop(place, None)

    # ---- what is read

    def _report(self, message: Any) -> None:
        place = (message.topic(), message.partition())
        number = self._numbers.get(place[1]) if place[0] in self._topics else None
        looking = number is not None and number.is_looking_at(place)
        if number is not None and place[0] == self._parking and place not in self._intake.blocked:
            number.at_end = message.error().code() == KafkaError._PARTITION_EOF and not looking
        if number is None or not looking or message.error().code() != KafkaError._PARTITION_EOF:
            super()._report(message)
        elif self._is_end(place, message.offset()):
            if not number.ended(place):  # nothing but transaction markers is behind the committed offset
                self._intake.offsets.of(place).read_to(message.offset())
            self._go_live(number)

    def _is_end(self, place: Place, offset: int) -> bool:
        """Tell whether nothing is behind the end that was read to: not even an open transaction."""
        _, high = self._intake.consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
        return bool(high <= offset)

    def _take(self, message: Any, share: Share, jobs: list[Job]) -> None:
        place, offset, key = share.place, message.offset(), message.key()
        number = self._numbers[place[1]]
        intake = self._intake
        if place == number.main:
            self._take_record(message, share, number, jobs)
            return
        if not self._asked(number):
            intake.hold_back(place, offset, intake.now() + LOOK_AGAIN_MS)
            return
        envelope = self._decoding.envelope(message)
        if not number.ready:
            number.look_at(place, offset, key, envelope, tiered=place[0] != self._parking)
            return
        if place[0] == self._parking:
            if key and envelope is not None:
                self._take_parked(message, share, number, envelope, jobs)
                return
            number.last = -1
        if number.is_finished(place, offset):
            share.progress.read_to(offset + 1)
        elif share.jobs >= _WINDOW:
            intake.hold_back(place, offset, intake.now() + LOOK_AGAIN_MS)
        elif envelope is not None and envelope.due is not None and envelope.due > intake.now():
            intake.hold_back(place, offset, envelope.due)
        else:
            job = self._job(message, share)
            if place in intake.blocked:
                return  # the registry does not answer
            if not key or envelope is None:
                jobs += [job] if job is not None else []
                return
            ident = number.keys.admit(key, envelope.source.offset, envelope.replay, tiered=True)
            self._go_on(message, number, ident, job, jobs)

    def _take_record(self, message: Any, share: Share, number: Number, jobs: list[Job]) -> None:
        """Take a record of the domain topic."""
        offset, key = message.offset(), message.key()
        if not number.ready:
            self._go_live(number)
        if number.keys.full and not number.full:
            self._log.warning(
                "So many copies wait that nothing more is taken from a partition of the domain topic",
                topic=share.place[0],
                partition=share.place[1],
                held_keys=number.keys.held,
            )
        number.full = number.keys.full
        if not number.ready or number.full or len(self._tickets) >= _MOST_TICKETS:
            self._intake.hold_back(share.place, offset, self._intake.now() + LOOK_AGAIN_MS)
            return
        if key and number.keys.knows(key, offset):
            share.progress.read_to(offset + 1)  # only its own offset was not committed
            return
        job = self._job(message, share)
        if job is not None and key:
            job.ident = (offset, 0, 0)
            self._act(number.keys.take(key, offset, job), jobs)
        elif job is not None:
            jobs.append(job)

    def _take_parked(self, message: Any, share: Share, number: Number, envelope: Envelope, jobs: list[Job]) -> None:
        """Take a record of the parked topic."""
        ident = self._waiting.take(
            message,
            share,
            number,
            envelope,
            waiting=len(self._tickets),
            act=lambda actions: self._act(actions, jobs),
        )
        if ident is None:
            return
        job = self._job(message, share)
        if share.place not in self._intake.blocked:
            self._go_on(message, number, ident, job, jobs)
        elif number.keys.put_off_at(message.offset()) is not None:
            share.progress.hold(message.offset())  # the registry does not answer

    def _go_on(self, message: Any, number: Number, ident: Ident, job: Job | None, jobs: list[Job]) -> None:
        """Go on with a copy that was read: it waits for its turn now, or is skipped."""
        if job is not None:
            job.ident = ident
            self._act(number.keys.arrive(message.key(), ident, job), jobs)
        else:
            self._act(number.keys.finish(message.key(), ident), jobs)

    def _unreadable(self, message: Any, share: Share, envelope: Envelope | None, error: Exception) -> Job | None:
        """Let a record that cannot be read have its turn among those of its key, too."""
        if not message.key():
            return super()._unreadable(message, share, envelope, error)
        return self._in_hand_now(Job.unreadable(message, envelope, error, share))

    def _asked(self, number: Number) -> bool:
        """Tell whether it is known what the committed notes of a number's retry partitions say."""
        try:
            return number.ask(self._intake.consumer)
        except KafkaException as error:
            self._log.warning("Waiting for the committed offsets", error=error.args[0].str())
            return False

    def _go_live(self, number: Number) -> None:
        for place, start in number.go_live().items():
            self._intake.hold_back(place, start, self._intake.now())

    # ---- what is decided

    def _act(self, actions: Iterable[Action[Job]], jobs: list[Job]) -> None:
        for what, job in actions:
            if what == "run":
                job.lane = (job.share.place[1], job.message.key())
                jobs.append(job)
                continue
            job.share.let_go(job)
            place, offset = job.share.place, job.message.offset()
            if what == "skip":
                job.share.progress.finish(offset)
            elif job.ident is not None and what == "off" and place[0] == self._parking:
                self._numbers[place[1]].keys.put_off(job.message.key(), job.ident, offset)
            elif job.ident is not None:
                self._parked.add(self._publisher.parked(job.share.progress, Record(job.message, job.envelope)))
                self._letters[place, offset] = job.message.key(), job.ident  # if it does not fit in there

    def _act_now(self, actions: Iterable[Action[Job]]) -> None:
        jobs: list[Job] = []
        self._act(actions, jobs)
        if jobs:
            self._pool.add(jobs)

    def _keys(self, place: Place) -> Keys[Job] | None:
        number = self._numbers.get(place[1])
        return None if number is None else number.keys

    def _ended(self, job: Job) -> bool:
        place, offset, key = job.share.place, job.message.offset(), job.message.key()
        self._outcome(job)
        keys = self._keys(place)
        if job.ident is None or keys is None:
            return False
        if not job.stops:
            self._act_now(keys.finish(key, job.ident))
            return False
        taken = self._publisher.last
        if taken.outcome != "retried":
            self._jobs[place, offset] = job
            return False
        self._letters[place, offset] = key, job.ident  # if it does not fit into its tier
        self._act_now(keys.retry(key, job.ident, self._taken_back(job)))
        return False

    def _taken_back(self, job: Job) -> list[tuple[Ident, Job, bool]]:
        """Take back what was to be handled behind a record, with whether each is a copy."""
        return [
            (other.ident, other, other.share.place[0] != self._topic)
            for other in self._lanes.drain(job)
            if other.ident is not None
        ]

    def step(self) -> None:
        """See to what has ended, and take what there is room for."""
        for partition, number in self._numbers.items():
            self._waiting.go_back(number, partition)
        super().step()

    # ---- what is sent

    def _settle(self) -> None:
        self._tickets += self._publisher.take()
        self._outcomes.settle()  # notes, and what the producer has to say
        self._tickets = [ticket for ticket in self._tickets if self._intake.offsets.current(ticket.progress)]
        if self._in_doubt and self._intake.now() >= self._not_before:
            self._begin_anew()
        if self._tickets and self._intake.now() >= self._not_before:
            self._transact(self._tickets)

    def _transact(self, tickets: list[Ticket]) -> None:
        """Send what is open together with all that is finished; keep it where that does not go through."""
        self._settlement.commits.settle()  # one that arrived later would take back what this one says
        numbers = {ticket.progress.place[1] for ticket in tickets}
        for ticket in tickets:
            ticket.progress.finish(ticket.record.offset)
        entries = [
            (progress, offset)
            for progress in self._intake.offsets
            if progress.place[1] in numbers and (offset := progress.committable()) is not None
        ]
        positions = [TopicPartition(*progress.place, offset, progress.note()) for progress, offset in entries]
        ending, error = self._settlement.transactions.run(tickets, positions, self._intake.metadata)
        if ending is Ending.COMMITTED:
            for progress, offset in entries:
                progress.committed(offset)
            self._tickets = []
            self._refusals.over(tickets)
            self._patience.over(TRANSACTING)
            # one that does not fit into the parked topic is dead-lettered instead: that is an outcome
            self._outcomes.finish(
                ticket for ticket in tickets if ticket not in self._parked or ticket.outcome == "dead-lettered"
            )
            self.parked += sum(
                ticket.outcome == "retried" and ticket.failure is not None
                for ticket in self._parked.intersection(tickets)
            )
            for ticket in tickets:
                self._follow(ticket)
            self._parked.difference_update(tickets)
            self._pool.wake()
            return
        for ticket in tickets:
            ticket.progress.hold(ticket.record.offset)
        if ending is Ending.UNKNOWN:
            self._doubt(numbers, error)
            return
        refused = self._publisher.refused(tickets)
        for ticket in refused:
            self._publisher.replace(ticket)
        if not refused:
            self._not_before = self._intake.now() + self._refusals.delay_of_transaction(tickets, error)

    def _is_clogged(self) -> bool:
        return bool(self._in_doubt or (self._tickets and self._intake.now() < self._not_before))

    def _doubt(self, numbers: Collection[int], error: KafkaError | None) -> None:
        """Let go of all that is in hand of partition numbers: nobody knows what of it was committed."""
        self._log.warning(
            "Nobody saw the end of a transaction: its partitions are taken over anew",
            partitions=" ".join(map(str, sorted(numbers))),
            error=error.str() if error is not None else "",
        )
        found: dict[Place, int | None] = {}
        for progress in self._intake.offsets:
            if progress.place[1] in numbers:
                read = progress.committable()
                found[progress.place] = self._numbers[progress.place[1]].first(progress.place) if read is None else read
        self._intake.release(self._throttled.intersection(found))
        self.lost(list(found))
        for place in found:
            self._intake.offsets.forget(place)  # a plain commit would say what may be out of date
        self._in_doubt.update(found)

    def _begin_anew(self) -> None:
        """Take partition numbers over from what the brokers hold, as soon as they tell."""
        places = list(self._in_doubt)
        error = self._settlement.transactions.prepare()  # first: it ends what the last producer left open
        doing = TRANSACTING if error is not None else COMMITTING
        if error is None:
            try:
                committed = self._intake.committed_in(places)
            except KafkaException as raised:
                error = raised.args[0]
        if error is not None:
            self._not_before = self._intake.now() + self._refusals.delay([], error, doing)
            return
        begin = self._in_doubt | committed
        self._in_doubt = {}
        for place in places:
            self._intake.offsets.assign(place)
        self.assigned(places)
        for place, offset in begin.items():
            if offset is not None:
                self._intake.hold_back(place, offset, self._intake.now())

    def _follow(self, ticket: Ticket) -> None:
        """Let a key go on behind a record whose outcome is on the brokers."""
        record = ticket.record
        where = (record.place, record.offset)
        keys = self._keys(record.place)
        job, letter = self._jobs.pop(where, None), self._letters.pop(where, None)
        if keys is None:
            return
        dead = ticket.outcome == "dead-lettered"
        if job is not None and job.ident is not None:
            key, ident = job.message.key(), job.ident
            if dead and self._holding:
                self._act_now(keys.hold(key, ident, self._taken_back(job)))
            else:
                self._lanes.resume(job)
                self._act_now(keys.finish(key, ident))
        elif letter is not None and dead:
            key, ident = letter
            self._act_now(keys.hold(key, ident) if self._holding else keys.finish(key, ident))
        else:
            return
        if dead and self._holding:
            self._tell_held(record, key)

    def _tell_held(self, record: Record, key: bytes) -> None:
        source = record.source
        self._log.warning(
            "Held a key: its later records wait for `lockgate dlq release`",
            topic=source.topic,
            partition=source.partition,
            offset=source.offset,
            key=key_fingerprint(key),
            event_id=record.event_id,
            held_keys=sum(number.keys.held for number in self._numbers.values()),
        )
