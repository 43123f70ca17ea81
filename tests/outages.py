"""Faults from outside, for everybody at once: brokers, the registry, the network, a process or its clock go wrong for a
while, and come back."""

from __future__ import annotations

import os
import resource
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial

import attrs
from confluent_kafka import ElectionType, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from lockgate.local.stack import Stack
from tests.books import Verdict
from tests.clocks import STEPS, armed_clock
from tests.faults import Subject
from tests.proxies import Network
from tests.worlds import Running, eventually

_BROKER_IS_TAKEN_FOR_DEAD = 12.0
"""Seconds: brokers hear from each other every 2, and give up after 9."""
_BEYOND_THE_SESSION = 12.0
_REGISTRY_AWAY = 6.0
_FOR_A_WHILE = 15.0
_PATIENCE = 150.0
_ASSIGNED = "Partitions assigned"


@attrs.frozen
class Site:
    """Hold what may go wrong, and who is to bear it."""

    stack: Stack
    network: Network
    riders: list[tuple[Subject, Running]] = attrs.field(factory=list)

    def a_broker(self) -> str:
        """Return the name of some broker."""
        return self.stack.brokers[secrets.randbelow(len(self.stack.brokers))].name

    def pid(self, name: str) -> int:
        """Return the process of a node."""
        found = self.stack.find(name)
        assert found is not None, f"{name} does not run"
        return found.pid


def _broker_killed(site: Site) -> None:
    """Kill a broker; start it again."""
    victim = site.a_broker()
    site.stack.kill(victim)
    time.sleep(_BROKER_IS_TAKEN_FOR_DEAD)
    site.stack.start(victim)


def _broker_stopped(site: Site) -> None:
    """Stop a broker's process until others lead its partitions; let it go on, sure that it leads them still."""
    with _stopped(site.pid(site.a_broker())):
        time.sleep(_BROKER_IS_TAKEN_FOR_DEAD)


def _broker_slow(site: Site) -> None:
    """Give a broker a fifth of its time, and let the network to it be slow."""
    victim = site.a_broker()
    site.network.slow(victim, 0.1)
    until = time.monotonic() + _FOR_A_WHILE
    try:
        while time.monotonic() < until:
            with _stopped(site.pid(victim)):
                time.sleep(0.8)
            time.sleep(0.2)
    finally:
        site.network.heal()


def _disk_full(site: Site) -> None:
    """Let a broker write nothing more to any file, as if its disk was full, until it dies of it; start it again."""
    victim = site.a_broker()
    pid = site.pid(victim)
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        eventually(lambda: not site.stack.is_running(victim), f"{victim} to give up", _PATIENCE)
        time.sleep(3)
    finally:
        if site.stack.is_running(victim):
            site.stack.kill(victim)
        site.stack.start(victim)


def _leader_change(site: Site) -> None:
    """Stop a broker in good order, start it again, and let it have back what it led."""
    victim = site.a_broker()
    site.stack.stop(victim)
    time.sleep(3)
    site.stack.start(victim)
    time.sleep(3)
    admin = AdminClient(site.stack.administrator() | {"log_level": 0})
    topics = [topic for subject, _ in site.riders for topic in (*subject.topics, subject.world.result_topic)]
    places = [TopicPartition(topic, partition) for topic in topics for partition in range(3)]
    # without `request_timeout`: the client (2.16) fails with any keyword, as it does not know how many it has
    answers = admin.elect_leaders(ElectionType.PREFERRED, places).result()
    codes = {error.code() for error in answers.values() if error is not None}
    assert codes <= {KafkaError.ELECTION_NOT_NEEDED, KafkaError.PREFERRED_LEADER_NOT_AVAILABLE}, codes
    time.sleep(2)


def _network_cut(site: Site) -> None:
    """Let nothing through between processes and brokers, beyond their sessions, and then all of it."""
    site.network.cut()
    time.sleep(_BEYOND_THE_SESSION)
    site.network.heal()


def _connections_reset(site: Site) -> None:
    """End every connection again and again."""
    until = time.monotonic() + _FOR_A_WHILE
    while time.monotonic() < until:
        site.network.reset()
        time.sleep(0.2 + secrets.randbelow(1500) / 1000)


def _registry_down_later(site: Site) -> None:
    """Take the registry away."""
    with _without_registry(site):
        time.sleep(_REGISTRY_AWAY)


def _clock_jump(site: Site) -> None:
    """Set the clocks of all processes forwards, far back, and right again, while retries wait."""
    for _ in STEPS:
        for _, running in site.riders:
            running.signal(signal.SIGUSR2)
        time.sleep(4)


def _zombie(site: Site) -> None:
    """Stop processes until their groups have given their partitions to others; let them go on."""
    with ExitStack() as open_:
        for _, running in site.riders:
            open_.enter_context(_stopped(running.process.pid))
        heirs = [open_.enter_context(subject.running()) for subject, _ in site.riders]
        _until_all_say(_ASSIGNED, heirs)
        time.sleep(1)
        for _, running in site.riders:
            running.signal(signal.SIGCONT)
        _until_all_say("Partitions lost", [running for _, running in site.riders])
        for heir in heirs:
            heir.stop()


def _until_all_say(text: str, processes: Sequence[Running]) -> None:
    for process in processes:
        process.until(partial(_says, process, text), repr(text), _PATIENCE)


def _says(process: Running, text: str) -> bool:
    return text in process.text


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _without_registry(site: Site) -> Iterator[None]:
    registry = site.stack.registry.name
    site.stack.kill(registry)
    try:
        yield
    finally:
        site.stack.start(registry)


@attrs.frozen
class Outage:
    """Say what happens while records flow, and around the start of the processes that handle them."""

    during: Callable[[Site], None] = lambda _: None
    starting: Callable[[Site], AbstractContextManager[None]] = lambda _: nullcontext()
    awaited: str = _ASSIGNED
    """What processes log at the end of their start, as far as it gets."""


OUTAGES: dict[str, Outage] = {
    "broker-killed": Outage(_broker_killed),
    "broker-stopped": Outage(_broker_stopped),
    "broker-slow": Outage(_broker_slow),
    "disk-full": Outage(_disk_full),
    "leader-change": Outage(_leader_change),
    "network-cut": Outage(_network_cut),
    "connections-reset": Outage(_connections_reset),
    "registry-down-at-start": Outage(starting=_without_registry, awaited="Waiting for the registry"),
    "registry-down-later": Outage(_registry_down_later),
    "clock-jump": Outage(_clock_jump),
    "zombie": Outage(_zombie),
}


def outage(
    stack: Stack, network: Network, subjects: Sequence[Subject], name: str, count: int
) -> list[Verdict | Exception]:
    """Let something go wrong for all subjects at once; return what came of each one's load, or why there is no end.

    At least `count` records are written to each, and until it is over.
    """
    load, fault, site = f"{name}-{secrets.token_hex(3)}", OUTAGES[name], Site(stack, network)
    over = threading.Event()

    def conclude(rider: tuple[Subject, Running], written: int) -> Verdict | Exception:
        subject, running = rider
        try:
            subject.settle(running)
            running.stop()
        except AssertionError as error:
            return error
        return subject.verdict(load, written)

    with ExitStack() as open_, ThreadPoolExecutor(len(subjects)) as pool:
        with fault.starting(site):
            for subject in subjects:
                environ = subject.reaching(network.bootstrap_servers)
                if name == "clock-jump":
                    environ["PYTHONPATH"] = str(armed_clock(subject.world.root / f"clock-{secrets.token_hex(3)}"))
                site.riders.append((subject, open_.enter_context(subject.running(environ=environ))))
            _until_all_say(fault.awaited, [running for _, running in site.riders])
        writing = [
            pool.submit(subject.write, load, 200 * count, subject.pause, over.is_set, least=count)
            for subject in subjects
        ]
        try:
            time.sleep(1)
            fault.during(site)
        finally:
            over.set()
        written = [each.result() for each in writing]
        return list(pool.map(conclude, site.riders, written))
