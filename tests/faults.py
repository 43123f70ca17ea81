"""Faults on the real cluster: worlds that run while something is killed, stopped or cut off, and what came of it.

The books are kept by `tests.books`; results, letters and copies are read committed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from lockgate import records
from lockgate.avro.codec import Decoder, Encoder
from lockgate.connection import credentials_directory, read_env_file
from lockgate.contracts import names
from lockgate.contracts.derive import consumer_topics
from lockgate.records import Headers
from tests.books import (
    AT_LEAST_ONCE,
    CONCURRENT,
    EXACTLY_ONCE,
    HOLDING,
    KEYED,
    ORDER_KEY,
    Copy,
    Outcome,
    Verdict,
    balance,
)
from tests.crashes import armed
from tests.worlds import QUICK, Running, SharedStack, World, envelope_of, headers_of, make_world

MODES: dict[str, dict[str, object]] = {
    AT_LEAST_ONCE: {},
    EXACTLY_ONCE: {"exactly_once": "true"},
    ORDER_KEY: {"order": "key", "concurrency": 8},
    CONCURRENT: {"order": "none", "concurrency": 8},
    HOLDING: {"order": "key", "concurrency": 8, "on_dead_letter": "hold"},
}
SOAKED = [mode for mode in MODES if mode != HOLDING]
"""Held keys are released when all else is through: in a soak that is at its end, and thousands wait by then."""

HANDLERS = """
    import time

    def now() -> int:
        # the machine's, whatever this process is made to believe
        return int(time.clock_gettime(time.CLOCK_REALTIME) * 1000)

    @service.handler("$work")
    def work(event: a.Made, context: Context) -> b.Sent:
        begun = now()
        time.sleep(0.004)
        if event.size % rejected == 7:
            raise Reject(f"never, at {begun}")
        if event.size % hopeless == 11 or (event.size % 10 == 3 and context.attempt == 1):
            raise RuntimeError(f"later, at {begun} and {now()}")
        return b.Sent(item_id=event.item_id, origin=f"{event.size} {context.attempt} {begun}")

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""
_OFTEN = "    rejected, hopeless = 10, 20\n"
_SELDOM = "    rejected, hopeless = 70, 100\n"
"""Of which sizes there are dead letters; seldom where each holds its key until it is released, one after the other."""
_DELAY = 1000
_AT = re.compile(r" at (\d+)(?: and (\d+))?$")
"""When a handler began, and when it gave up."""
_KEYS = 12
_WAVE = 10
_PATIENCE = 150.0
"""Seconds after which a process that has not moved stands still."""
_AT_MOST = 600.0
_BETWEEN_LOOKS = 0.3
_ANSWER = 5.0

Left = dict[str, int]
"""How many offsets are not committed, by topic."""


class Subject:
    """Hold a world in one mode, write loads to it, and keep the books."""

    def __init__(self, stack: SharedStack, folder: Path, mode: str) -> None:
        self.mode = mode
        self.pause = 0.6 if mode in KEYED else 0.2
        """Seconds between waves of ten records: a key whose record fails waits for a second, and most of them do."""
        self.world: World = make_world(stack, folder, retry=f"[{_DELAY}ms]", partitions=3, **MODES[mode])
        self.world.write_handlers((_SELDOM if mode == HOLDING else _OFTEN) + HANDLERS)
        self.environ = dict(QUICK)
        if mode != AT_LEAST_ONCE:
            self.environ["LOCKGATE_KAFKA_TRANSACTION_TIMEOUT_MS"] = "3000"
        self.topics = consumer_topics(self.world.contracts, self.world.contracts.workload(self.world.worker))
        self._letters = names.dead_letter_topic(self.world.source_topic, self.world.worker)
        self._tier = names.retry_topic(self.world.source_topic, self.world.worker, 1)
        self._parked = names.parked_topic(self.world.source_topic, self.world.worker)
        self._released: dict[str, int] = {}
        """By the identity of a letter, until when at least it held its key: milliseconds."""
        self._framing = records.frame(self.world.schema_id("Made"), b"")
        events = self.world.contracts.events
        self._encoder = Encoder(events[f"{self.world.source_topic}.Made"].schema)
        result = events[f"{self.world.result_topic}.Sent"].schema
        self._decoder = Decoder(result, result)

    def write(
        self,
        load: str,
        count: int,
        pause: float = 0.0,
        enough: Callable[[], object] = lambda: False,
        ready: Callable[[], object] = lambda: True,
        least: int = 1,
    ) -> int:
        """Write records in waves, `pause` seconds apart, until it is enough; return how many they were.

        They are `least` to `count`. While `ready` says no, there is no wave.
        """
        settings = self.world.settings(self.world.writer).client_config()
        settings |= {"enable.idempotence": True, "acks": "all", "delivery.timeout.ms": 300_000, "log_level": 0}
        producer = Producer(settings)
        refused: list[str] = []

        def done(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append(error.str())

        written = 0
        while written < least or (written < count and not enough()):
            if not ready():
                producer.poll(pause)
                continue
            for number in range(written, min(written + _WAVE, count)):
                item = f"{load}.{number % _KEYS}"
                datum = {"item_id": item, "size": number, "colour": "RED", "note": None}
                value = self._framing + self._encoder.encode(datum)
                headers: Headers = [("ce_id", f"{load}/{number}".encode())]
                producer.produce(
                    self.world.source_topic,
                    value,
                    item.encode(),
                    number % _KEYS % 3,
                    headers=list(headers),
                    on_delivery=done,
                )
            written = min(written + _WAVE, count)
            producer.poll(0)
            time.sleep(pause)
        left = producer.flush(300)
        assert (left, refused) == (0, []), f"{left} records were not written: the books would be wrong"
        return written

    @contextmanager
    def running(
        self, point: str | None = None, nth: int = 0, environ: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """Run the workload; with a point, it is killed there."""
        environ = self.environ | dict(environ or {})
        if point is not None:
            folder = self.world.root / f"armed-{secrets.token_hex(3)}"
            armed(folder, point, nth)
            environ["PYTHONPATH"] = str(folder)
        if "PYTHONPATH" in environ and "PYTHONPATH" in os.environ:
            environ["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
        with self.world.running(environ=environ) as running:
            yield running

    def settle(
        self,
        running: Running,
        patience: float = _AT_MOST,
        tell: Callable[[Left | None], None] = lambda _: None,
    ) -> None:
        """Wait until the group has come to the end of everything; release what dead letters hold on the way.

        Fail where that takes more than `patience` seconds, where nothing moves for long, or the process ends. `tell`
        gets what is left at each look.
        """
        began = moved = time.monotonic()
        last: Left | None = None
        quiet = 0
        with self.watched() as look:
            while quiet < 2:  # a record may go from one topic to another while they are looked at
                left = look()
                now = time.monotonic()
                quiet = quiet + 1 if left == {} else 0
                if left != last:
                    last, moved = left, now
                tell(left)
                assert running.process.poll() is None, f"the process ended before everything did:\n{running.text}"
                assert now < moved + _PATIENCE, f"nothing has moved for long; left is {left}\n{running.text}"
                assert now < began + patience, f"no end in {patience:g} s; left is {left}\n{running.text}"

    @contextmanager
    def watched(self) -> Iterator[Callable[[], Left | None]]:
        """Give what looks how many offsets are left, by topic, those without any left out; None while nobody knows.

        It takes its time: a dozen questions, many times a second, would keep the brokers from their work. Where keys
        are held, and nothing but those is left, it releases them.
        """
        config = self.world.stack.settings("admin").client_config()
        config |= {"group.id": self.world.worker, "enable.auto.commit": False, "log_level": 0}
        # what lies behind a transaction that a dead process has left open is still to come
        config["isolation.level"] = "read_uncommitted"
        consumer = Consumer(config)

        def look() -> Left | None:
            time.sleep(_BETWEEN_LOOKS)
            left = self._left(consumer)
            if self.mode == HOLDING and left is not None and set(left) == {self._parked}:
                self._release()  # written again where it was not read yet, which does no harm
            return left

        try:
            yield look
        finally:
            consumer.close()

    def verdict(self, load: str, written: int) -> Verdict:
        """Hold the outcomes of a load against what was written."""
        letters = list(self._enveloped(self._letters, load))
        outcomes = list(self._results(load))
        outcomes += [Outcome(each.number, each.attempt, each.begun, each.key, is_letter=True) for each in letters]
        copies = [Copy(each.number, each.ended, each.key) for each in self._enveloped(self._tier, load)]
        released = {each.number: self._released[each.identity] for each in letters if each.identity in self._released}
        return balance(written, outcomes, copies, _DELAY, released if self.mode == HOLDING else None)

    def _results(self, load: str) -> Iterator[Outcome]:
        for message in self.world.read(self.world.result_topic):
            item = (message.key() or b"").decode()
            if item.rpartition(".")[0] == load:
                origin = str(self._decoder.decode(message.value() or b"")["origin"])
                number, attempt, handled = map(int, origin.split())
                yield Outcome(number, attempt, handled, item)

    def _enveloped(self, topic: str, load: str) -> Iterator[_Enveloped]:
        for message in self.world.read(topic):
            ident = (dict(headers_of(message)).get("ce_id") or b"").decode()
            if ident.rpartition("/")[0] == load:
                envelope = envelope_of(message)
                found = _AT.search(envelope.message)
                assert found is not None, f"{envelope.identity}: {envelope.message}"
                yield _Enveloped(
                    number=int(ident.rpartition("/")[2]),
                    key=(message.key() or b"").decode(),
                    identity=envelope.identity,
                    attempt=envelope.attempt,
                    begun=int(found[1]),
                    ended=int(found[2] or found[1]),
                )

    def reaching(self, bootstrap_servers: str) -> dict[str, str]:
        """Return the variables with which the workload reaches the brokers at other addresses."""
        file = credentials_directory(self.world.root, self.world.stack.environ) / f"{self.world.worker}.env"
        return read_env_file(file) | {"LOCKGATE_BOOTSTRAP_SERVERS": bootstrap_servers}

    def _left(self, consumer: Consumer) -> Left | None:
        places = [TopicPartition(topic, partition) for topic in self.topics for partition in range(3)]
        left: Counter[str] = Counter()
        try:
            # after a leader has moved, the client is refused (FENCED_LEADER_EPOCH) until its metadata is new
            consumer.list_topics(timeout=_ANSWER)
            for entry in consumer.committed(places, _ANSWER):
                _, end = consumer.get_watermark_offsets(TopicPartition(entry.topic, entry.partition), timeout=_ANSWER)
                left[entry.topic] += end - max(entry.offset, 0)
        except KafkaException:
            return None  # while a broker is away, nobody knows
        return dict(+left)

    def _release(self) -> None:
        """Do what an operator does: let all keys go on that are held."""
        at = time.time_ns() // 1_000_000
        done = self.world.stack.lockgate(
            "dlq", "release", self.world.worker, "--all", "--yes", "--output", "json", root=self.world.root
        )
        if done.stdout:  # a broker may be away: what was not released will be
            for chosen in json.loads(done.stdout)["chosen"]:
                self._released.setdefault(chosen["letter"], at)


@attrs.frozen
class _Enveloped:
    """Describe a copy or a letter: whose, and when its handler began and gave up, in milliseconds."""

    number: int
    key: str
    identity: str
    attempt: int
    begun: int
    ended: int
