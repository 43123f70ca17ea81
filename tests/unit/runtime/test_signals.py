"""The first signal asks, the second one ends; past the grace period the process ends by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest

from lockgate.runtime.signals import Echo, Stop
from lockgate.runtime.worker import stop_with_parent


def process(body: str, stdin: int | None = None) -> subprocess.Popen[str]:
    """Start a program that says `ready` when its signals are taken."""
    program = "import sys, time\nfrom lockgate.runtime.signals import Stop\n" + textwrap.dedent(body)
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_asks_for_an_orderly_end(number: signal.Signals) -> None:
    child = process(
        """
        stop = Stop(30)
        stop.install()
        print("ready", flush=True)
        while not stop.wait(10):
            pass
        print("orderly")
        """
    )
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    assert (out, err, child.returncode) == ("orderly\n", "", 0)


def test_the_second_signal_ends_at_once() -> None:
    child = process(
        """
        stop = Stop(30)
        stop.install()
        print("ready", flush=True)
        while not stop.requested:
            time.sleep(0.01)
        print("asked", flush=True)
        time.sleep(60)
        """
    )
    assert child.stdout is not None
    child.send_signal(signal.SIGINT)
    assert child.stdout.readline() == "asked\n"
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 130
    assert "on the second signal" in err


def test_a_signal_that_arrives_twice_at_once_is_one_request() -> None:
    """As `timeout` sends it: to the process, and to the group that it is in."""
    child = process(
        """
        stop = Stop(30)
        stop.install()
        print("ready", flush=True)
        while not stop.requested:
            time.sleep(0.01)
        print("asked", flush=True)
        sys.stdin.readline()
        print("orderly")
        """,
        stdin=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.send_signal(signal.SIGINT)
    assert child.stdout.readline() == "asked\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate("\n", timeout=20)
    assert (out, err, child.returncode) == ("orderly\n", "", 0)


def test_the_same_signal_later_is_a_second_request(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((9.0, 9.4, 9.6, 9.7))
    monkeypatch.setattr("lockgate.runtime.signals.time", SimpleNamespace(monotonic=times.__next__))
    echo = Echo()
    heard = [echo.heard(number) for number in (signal.SIGINT, signal.SIGINT, signal.SIGINT, signal.SIGTERM)]
    assert heard == [False, True, False, False]


def test_past_the_grace_period_it_ends_whatever_it_does() -> None:
    child = process(
        """
        stop = Stop(0.2)
        stop.install()
        print("ready", flush=True)
        time.sleep(60)
        """
    )
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 2
    assert "after 0.2 s of grace: what was in hand is delivered again" in err


def test_a_wait_ends_early_when_the_stop_is_requested() -> None:
    stop = Stop(3600)
    assert not stop.wait(0.01)
    stop.request()
    started = time.monotonic()
    assert stop.wait(60)
    assert time.monotonic() - started < 10


def test_a_process_whose_parent_is_another_one_already_is_asked_to_stop() -> None:
    stop = Stop(3600)
    stop_with_parent(stop, os.getppid() + 1)
    assert stop.wait(10)
