"""Faults on the real cluster: worlds that run while something is killed, stopped or cut off, and what came of it.

The books are kept by `tests.books`; results, letters and copies are read committed.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from lockgate import records
from lockgate.avro.codec import Decoder, Encoder
from lockgate.connection import credentials_directory, read_env_file
from lockgate.contracts import names
from lockgate.contracts.derive import consumer_topics
from lockgate.records import Headers
from tests.books import AT_LEAST_ONCE, CONCURRENT, EXACTLY_ONCE, ORDER_KEY, Copy, Outcome, Verdict, balance
from tests.crashes import armed
from tests.worlds import QUICK, Running, SharedStack, World, envelope_of, headers_of, make_world

MODES: dict[str, dict[str, object]] = {
    AT_LEAST_ONCE: {},
    EXACTLY_ONCE: {"exactly_once": "true"},
    ORDER_KEY: {"order": "key", "concurrency": 8},
    CONCURRENT: {"order": "none", "concurrency": 8},
}
_EVERYWHERE = ("fetched", "handled", "sent", "revoked", "left")
_TRANSACTIONAL = ("offsets", "offsets-sent", "transaction", "transaction-committed")
CRASHES = {
    AT_LEAST_ONCE: (*_EVERYWHERE, "acknowledged", "committing", "committed"),
    CONCURRENT: (*_EVERYWHERE, "acknowledged", "committing", "committed"),
    EXACTLY_ONCE: (*_EVERYWHERE, *_TRANSACTIONAL),
    ORDER_KEY: (*_EVERYWHERE, *_TRANSACTIONAL, "committed"),
}
"""Which points of `tests.crashes` a mode passes."""

HANDLERS = """
    import time

    def now() -> int:
        # the machine's, whatever this process is made to believe
        return int(time.clock_gettime(time.CLOCK_REALTIME) * 1000)

    @service.handler("$work")
    def work(event: a.Made, context: Context) -> b.Sent:
        begun = now()
        time.sleep(0.004)
        if event.size % 10 == 7:
            raise Reject(f"never, at {begun}")
        if event.size % 20 == 11 or (event.size % 10 == 3 and context.attempt == 1):
            raise RuntimeError(f"later, at {begun} and {now()}")
        return b.Sent(item_id=event.item_id, origin=f"{event.size} {context.attempt} {begun}")

    @service.handler("$sink")
    def sink(event: b.Sent) -> None: ...
"""
_DELAY = 1000
_AT = re.compile(r" at (\d+)(?: and (\d+))?$")
"""When a handler began, and when it gave up."""
_KEYS = 12
_WAVE = 10
_PATIENCE = 150.0


class Subject:
    """Hold a world in one mode, write loads to it, and keep the books."""

    def __init__(self, stack: SharedStack, folder: Path, mode: str) -> None:
        self.mode = mode
        self.world: World = make_world(stack, folder, retry=f"[{_DELAY}ms]", partitions=3, **MODES[mode])
        self.world.write_handlers(HANDLERS)
        self.environ = dict(QUICK)
        if mode != AT_LEAST_ONCE:
            self.environ["LOCKGATE_KAFKA_TRANSACTION_TIMEOUT_MS"] = "3000"
        self.topics = consumer_topics(self.world.contracts, self.world.contracts.workload(self.world.worker))
        self._letters = names.dead_letter_topic(self.world.source_topic, self.world.worker)
        self._tier = names.retry_topic(self.world.source_topic, self.world.worker, 1)
        self._framing = records.frame(self.world.schema_id("Made"), b"")
        events = self.world.contracts.events
        self._encoder = Encoder(events[f"{self.world.source_topic}.Made"].schema)
        result = events[f"{self.world.result_topic}.Sent"].schema
        self._decoder = Decoder(result, result)

    def write(self, load: str, count: int, pause: float = 0.0, enough: Callable[[], object] = lambda: False) -> int:
        """Write records in waves, `pause` seconds apart, until it is enough; return how many they were."""
        settings = self.world.settings(self.world.writer).client_config()
        settings |= {"enable.idempotence": True, "acks": "all", "delivery.timeout.ms": 300_000, "log_level": 0}
        producer = Producer(settings)
        refused: list[str] = []

        def done(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append(error.str())

        written = 0
        while written < count and not (written and enough()):
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

    def settle(self, running: Running, patience: float = _PATIENCE) -> None:
        """Wait until the group has come to the end of everything."""
        with self._admin() as admin:
            for _ in range(2):  # a record may go from one topic to another while they are looked at
                running.until(lambda: not self._lag(admin), "the end of everything", patience)
                time.sleep(0.3)

    def verdict(self, load: str, written: int) -> Verdict:
        """Hold the outcomes of a load against what was written."""
        copies = [Copy(number, ended) for number, _, _, ended in self._enveloped(self._tier, load)]
        return balance(written, self._outcomes(load), copies, _DELAY)

    def _outcomes(self, load: str) -> Iterator[Outcome]:
        for message in self.world.read(self.world.result_topic):
            item = (message.key() or b"").decode()
            if item.rpartition(".")[0] == load:
                origin = str(self._decoder.decode(message.value() or b"")["origin"])
                number, attempt, handled = map(int, origin.split())
                yield Outcome(number, attempt, handled, item)
        for number, attempt, begun, _ in self._enveloped(self._letters, load):
            yield Outcome(number, attempt, begun)

    def _enveloped(self, topic: str, load: str) -> Iterator[tuple[int, int, int, int]]:
        """Yield number, attempt, and when the handler began and gave up, of the records with an envelope."""
        for message in self.world.read(topic):
            ident = (dict(headers_of(message)).get("ce_id") or b"").decode()
            if ident.rpartition("/")[0] == load:
                envelope = envelope_of(message)
                found = _AT.search(envelope.message)
                assert found is not None, f"{envelope.identity}: {envelope.message}"
                yield int(ident.rpartition("/")[2]), envelope.attempt, int(found[1]), int(found[2] or found[1])

    def reaching(self, bootstrap_servers: str) -> dict[str, str]:
        """Return the variables with which the workload reaches the brokers at other addresses."""
        file = credentials_directory(self.world.root, self.world.stack.environ) / f"{self.world.worker}.env"
        return read_env_file(file) | {"LOCKGATE_BOOTSTRAP_SERVERS": bootstrap_servers}

    @contextmanager
    def _admin(self) -> Iterator[Consumer]:
        config = self.world.stack.settings("admin").client_config()
        config |= {"group.id": self.world.worker, "enable.auto.commit": False, "log_level": 0}
        # what lies behind a transaction that a dead process has left open is still to come
        config["isolation.level"] = "read_uncommitted"
        consumer = Consumer(config)
        try:
            yield consumer
        finally:
            consumer.close()

    def _lag(self, admin: Consumer) -> bool:
        places = [TopicPartition(topic, partition) for topic in self.topics for partition in range(3)]
        try:
            for entry in admin.committed(places, 30):
                _, end = admin.get_watermark_offsets(TopicPartition(entry.topic, entry.partition), timeout=30)
                if max(entry.offset, 0) != end:
                    return True
        except KafkaException:
            return True  # while a broker is away, nobody knows
        return False


def crash(subject: Subject, point: str, nth: int, count: int) -> Verdict:
    """Kill a process at a point, let another one go on, and return what came of the load."""
    load = f"{point}-{secrets.token_hex(3)}"
    if point in ("revoked", "left"):
        return _crash_in_a_rebalance(subject, load, point, count)
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
            target=lambda: written.append(subject.write(load, 50 * count, 0.1, lambda: ended() is not None))
        )
        writing.start()
        victim.until(lambda: "Sent to retry tier" in victim.text, "its first records", _PATIENCE)
        with subject.running() as heir:
            assert victim.ended(_PATIENCE) == -signal.SIGKILL, victim.text
            writing.join()
            subject.settle(heir)
            heir.stop()
    return subject.verdict(load, written[0])
