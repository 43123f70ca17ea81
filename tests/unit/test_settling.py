"""What a soak says while it waits for its end: how much is left, and where a process is that stands still."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import attrs
import pytest

from bench import settling
from bench.settling import Settling, telling
from tests.books import Verdict
from tests.faults import Left, Subject
from tests.worlds import Running, eventually


@attrs.frozen
class Named:
    source_topic: str = "parcels"


class Looks:
    """Stand for a subject that is looked at a few times: how many records are without an outcome, and what is left."""

    mode = "order: key"
    world = Named()

    def __init__(self, *looks: tuple[int, Left | None]) -> None:
        self._looks = looks
        self._lost = 0

    def settle(self, _: Running, __: float, tell: Callable[[Left | None], None]) -> None:
        for lost, left in self._looks:
            self._lost = lost
            tell(left)

    def verdict(self, _: str, written: int) -> Verdict:
        return Verdict(written, lost=self._lost, duplicated=0, disordered=0, early=0)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Running]:
    """Run a process that does nothing but say where its threads are when it is asked."""
    log = tmp_path / "log"
    code = "import time\ndef stand():\n    time.sleep(100)\nprint('ready', flush=True)\nstand()"
    with log.open("wb") as sink:
        environ = {"PYTHONPATH": str(telling(tmp_path / "telling"))}
        process = subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=sink, stderr=sink)
    running = Running(process, log)
    eventually(lambda: "ready" in running.text, "its start")
    yield running
    process.kill()
    process.wait()


def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, subject: Looks, process: Running
) -> list[str]:
    monkeypatch.setattr(settling, "_TOLD", 0.0)
    Settling(cast(Subject, subject), "load", 100).wait([process], patience=1)
    return capsys.readouterr().err.splitlines()


def test_what_is_slow_says_how_far_it_got_and_what_stands_still_where_its_threads_are(
    sleeper: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {"parcels": 30, "parcels.retry.work.1": 2}
    lines = said(capsys, monkeypatch, Looks((40, left), (28, left), (28, left), (28, left), (28, None)), sleeper)
    told = [line for line in lines if line.startswith("order: key: ")]
    state = "of 100 records without an outcome, offsets not committed: domain topic 30, .retry.work.1 2"
    assert told == [
        f"order: key: 40 {state}",
        f"order: key: 28 {state}, 12 fewer than at the last look",
        f"order: key: 28 {state}, NOTHING has moved since the last look",
        f"order: key: 28 {state}, NOTHING has moved since the last look",
        "order: key: 28 of 100 records without an outcome, and the brokers do not say what the group has committed, "
        "0 fewer than at the last look",
    ]
    assert sum("in stand" in line for line in lines) == 1, "once is enough"


def test_a_process_that_has_ended_is_not_asked(
    sleeper: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper.process.kill()
    sleeper.process.wait()
    lines = said(capsys, monkeypatch, Looks((1, {"parcels": 1}), (1, {"parcels": 1})), sleeper)
    assert f"process {sleeper.process.pid} has ended: ready" in lines
