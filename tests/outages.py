"""Faults from outside: a broker, the registry, or the whole process is gone for a while, and comes back."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lockgate.local.stack import Stack
from tests.faults import Subject, Verdict
from tests.worlds import eventually

_BROKER_IS_TAKEN_FOR_DEAD = 12.0
"""Seconds: brokers hear from each other every 2, and give up after 9."""
_PROCESS_IS_TAKEN_FOR_DEAD = 9.0
_REGISTRY_AWAY = 6.0
_PATIENCE = 150.0


@contextmanager
def _writing(subject: Subject, load: str, count: int, over: Callable[[], object]) -> Iterator[list[int]]:
    """Write a load while something happens, at least `count` records and then until it is over."""
    written: list[int] = []
    started = time.monotonic()

    def enough() -> bool:
        return bool(over()) and time.monotonic() - started > count / 100

    writing = threading.Thread(target=lambda: written.append(subject.write(load, 200 * count, 0.1, enough)))
    writing.start()
    try:
        yield written
    finally:
        writing.join()


def _broker_killed(subject: Subject, load: str, count: int) -> int:
    """Kill a broker while records flow; start it again."""
    stack, over = subject.world.stack.local, threading.Event()
    victim = stack.brokers[secrets.randbelow(len(stack.brokers))].name
    with subject.running() as running:
        running.until(lambda: "Partitions assigned" in running.text, "its partitions", _PATIENCE)
        with _writing(subject, load, count, over.is_set) as written:
            try:
                time.sleep(1)
                stack.kill(victim)
                time.sleep(_BROKER_IS_TAKEN_FOR_DEAD)
            finally:
                stack.start(victim)
                over.set()
        subject.settle(running)
        running.stop()
    return written[0]


def _broker_stopped(subject: Subject, load: str, count: int) -> int:
    """Stop a broker's process until others lead its partitions; let it go on, sure that it leads them still."""
    stack, over = subject.world.stack.local, threading.Event()
    found = stack.find(stack.brokers[secrets.randbelow(len(stack.brokers))].name)
    assert found is not None
    with subject.running() as running:
        running.until(lambda: "Partitions assigned" in running.text, "its partitions", _PATIENCE)
        with _writing(subject, load, count, over.is_set) as written:
            try:
                time.sleep(1)
                os.kill(found.pid, signal.SIGSTOP)
                time.sleep(_BROKER_IS_TAKEN_FOR_DEAD)
            finally:
                os.kill(found.pid, signal.SIGCONT)
                over.set()
        subject.settle(running)
        running.stop()
    return written[0]


@contextmanager
def _without_registry(stack: Stack) -> Iterator[None]:
    stack.kill(stack.registry.name)
    try:
        yield
    finally:
        stack.start(stack.registry.name)


def _registry_down_at_start(subject: Subject, load: str, count: int) -> int:
    """Start a workload while no registry answers."""
    subject.write(load, count)
    with _without_registry(subject.world.stack.local):
        starting = subject.running()
        running = starting.__enter__()
        try:
            running.until(lambda: "Waiting for the registry" in running.text, "the wait", _PATIENCE)
        except BaseException:
            starting.__exit__(None, None, None)
            raise
    try:
        subject.settle(running)
        running.stop()
    finally:
        starting.__exit__(None, None, None)
    return count


def _registry_down_later(subject: Subject, load: str, count: int) -> int:
    """Take the registry away while records flow."""
    over = threading.Event()
    with subject.running() as running:
        running.until(lambda: "Partitions assigned" in running.text, "its partitions", _PATIENCE)
        with _writing(subject, load, count, over.is_set) as written:
            try:
                with _without_registry(subject.world.stack.local):
                    time.sleep(_REGISTRY_AWAY)
            finally:
                over.set()
        subject.settle(running)
        running.stop()
    return written[0]


def _zombie(subject: Subject, load: str, count: int) -> int:
    """Stop a process until its group has given its partitions to another one; let it go on."""
    over = threading.Event()
    with subject.running() as zombie:
        zombie.until(lambda: "Partitions assigned" in zombie.text, "its partitions", _PATIENCE)
        with _writing(subject, load, count, over.is_set) as written:
            try:
                time.sleep(1)
                zombie.signal(signal.SIGSTOP)
                with subject.running() as heir:
                    heir.until(lambda: "Partitions assigned" in heir.text, "its inheritance", _PATIENCE)
                    time.sleep(1)
                    zombie.signal(signal.SIGCONT)
                    eventually(
                        lambda: "Partitions lost" in zombie.text, "its awakening", _PATIENCE, lambda: zombie.text
                    )
                    over.set()
                    subject.settle(heir)
                    heir.stop()
            finally:
                over.set()
                zombie.signal(signal.SIGCONT)
        subject.settle(zombie)
        zombie.stop()
    return written[0]


OUTAGES: dict[str, Callable[[Subject, str, int], int]] = {
    "broker-killed": _broker_killed,
    "broker-stopped": _broker_stopped,
    "registry-down-at-start": _registry_down_at_start,
    "registry-down-later": _registry_down_later,
    "zombie": _zombie,
}


def outage(subject: Subject, name: str, count: int) -> Verdict:
    """Let something be gone for a while, and return what came of a load that was written meanwhile."""
    load = f"{name}-{secrets.token_hex(3)}"
    return subject.verdict(load, OUTAGES[name](subject, load, count))
