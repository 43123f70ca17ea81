"""The books of the shipped world balance on the real cluster, whatever is killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from lockgate.demo.report import Report
from lockgate.demo.run import Load, Run
from tests.worlds import SharedStack, eventually

ORDERS = 500
RATE = 60.0
"""Orders a second: the load lasts long enough for a middle."""
WORKLOAD = "payments-service.orders"


@pytest.fixture
def run(stack: SharedStack, tmp_path: Path) -> Run:
    return Run(stack.contracts, tmp_path, stack.environ)


def lines(run: Run, workload: str = WORKLOAD) -> dict[str, int]:
    """Return how many outcomes each process of a workload has journaled."""
    return {file.name: file.read_bytes().count(b"\n") for file in run.journal.glob(f"{workload}-*.jsonl")}


def progressed(run: Run, count: int) -> Callable[[], bool]:
    return lambda: sum(lines(run).values()) >= count


def reads(run: Run) -> bool:
    """Return whether the workload has joined its group."""
    lines = [line for log in run.logs.glob("*.log") for line in log.read_text(encoding="utf-8").splitlines()]
    return any(f" {WORKLOAD} " in line and "Partitions assigned" in line for line in lines)


def carry(run: Run, interfere: Callable[[], None] = lambda: None) -> Report:
    """Run everything, interfere in the middle of the load, and close the books."""
    with ThreadPoolExecutor(1) as pool, run.services as services:
        # on a busy machine the load would be over before it is read, and there would be no middle
        eventually(lambda: reads(run), "the workload to have its partitions")
        began = time.monotonic()
        loading: Future[Load] = pool.submit(run.load, ORDERS, RATE)
        poison = run.poison()
        eventually(progressed(run, ORDERS // 5), "the first outcomes")
        assert not loading.done(), "there was no middle: the load was over before anything was done"
        interfere()
        load = loading.result()
        run.settle()
        seconds = time.monotonic() - began
        codes = services.stop()
    assert set(codes.values()) == {0}, codes
    return run.report(seconds, load, poison)


def check(report: Report) -> None:
    """Nothing is lost, poison came out as it went in, downstream matches upstream; duplicates are listed."""
    books = report.balance
    said = json.dumps(report.as_json(), indent=1)
    assert books.lost == 0, said
    assert report.holds, said
    assert books.written == books.handled + books.skipped + books.dead_lettered
    assert bool(books.duplicated) == bool(books.repeated)
    # every order, both of whose readers have to do with it, and what was sent around the orders
    assert books.written > 4 * ORDERS
    assert books.by_reader["orders", WORKLOAD]["retried"] > 0
    assert books.reasons["orders", WORKLOAD]["reject"] > 0


def test_the_books_balance_after_a_normal_run(run: Run) -> None:
    report = carry(run)
    check(report)
    assert report.balance.duplicated == 0
    assert report.torn == 0


def test_nothing_is_lost_when_a_service_is_killed_in_the_middle(run: Run) -> None:
    def kill() -> None:
        family = psutil.Process(run.services.pid("payments-service"))
        for process in [family, *family.children(recursive=True)]:
            process.kill()
        run.services.forget("payments-service")
        before = lines(run)
        run.services.start("payments-service", label="payments-service-again")
        # the dead one's partitions move on once its session has timed out
        eventually(lambda: len(lines(run)) > len(before), "the new process", 60)

    report = carry(run, kill)
    check(report)
    assert report.processes > 5


@pytest.mark.alone  # the broker is everybody's
def test_nothing_is_lost_when_a_broker_is_killed_in_the_middle_and_returns(run: Run, stack: SharedStack) -> None:
    def kill() -> None:
        stack.local.kill("kafka-2")
        assert not stack.local.is_running("kafka-2")
        done = sum(lines(run).values())
        # two replicas are enough to go on with
        eventually(progressed(run, done + 20), "outcomes without the broker", 60)
        stack.local.start("kafka-2")

    try:
        check(carry(run, kill))
    finally:
        stack.local.start("kafka-2")


def test_nothing_is_lost_when_a_second_process_joins_and_leaves_in_the_middle(run: Run) -> None:
    def join_and_leave() -> None:
        first = lines(run)
        second = run.services.start(WORKLOAD, workload=True, label="second")
        eventually(lambda: any(name not in first and count for name, count in lines(run).items()), "its share", 60)
        second.send_signal(signal.SIGTERM)
        assert run.services.forget("second") == 0

    report = carry(run, join_and_leave)
    check(report)
    assert report.processes == 6


def test_services_end_when_the_demo_is_killed(stack: SharedStack, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = ["lockgate", "demo", "--orders", "2000", "--rate", "50", "--report", str(report)]
    before = journaling(stack)
    with (tmp_path / "demo.log").open("wb") as log:
        demo = subprocess.Popen(command, cwd=stack.root, env=stack.environ, stdout=log, stderr=log)
        try:
            eventually(lambda: len(journaling(stack) - before) >= 3, "the services", 120)
        finally:
            demo.kill()
            demo.wait()
    eventually(lambda: not journaling(stack) - before, "the end of the services", 90)
    assert not report.exists()


def journaling(stack: SharedStack) -> set[int]:
    """Return the processes of services that a demo on this stack has started."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("LOCKGATE_JOURNAL", "").startswith(str(stack.home)):
                found.add(process.pid)
        except (psutil.Error, OSError):
            continue
    return found
