"""The first signal asks, the second one ends; past the grace period the process ends by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from lockgate.runtime.signals import Stop
from lockgate.runtime.worker import stop_with_parent


def process(body: str) -> subprocess.Popen[str]:
    """Start a program that says `ready` when its signals are taken."""
    program = "import sys, time\nfrom lockgate.runtime.signals import Stop\n" + textwrap.dedent(body)
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
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
