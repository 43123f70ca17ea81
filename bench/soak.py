"""Run workloads for a while in which processes and brokers are killed at random; report the balance and the memory.

Every mode has two processes: one that is killed every few seconds, and one that is left alone, whose memory is watched.
What is written is bounded by what they see through: while more than a number of records lies before them, nothing is.
Exit 1 where a guarantee is broken or memory grows, 2 where the run could not be finished.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import click
import psutil

from bench.faults import running_stack
from bench.settling import Settling, telling
from lockgate.errors import LockgateError, StackError
from tests.faults import SOAKED, Subject
from tests.memory import GROWTH, SLOPE, Series, growth
from tests.worlds import Running, SharedStack

_LOAD = "soak"
_PAUSE = 1.0
"""Seconds between waves of ten records: with `order: key` a killed process costs its keys up to 20 s."""
_BROKER_AWAY = (3.0, 12.0)
_BROKER_KILLED = (8.0, 25.0)
_STARTS = 3
_TOLD = 30.0
_ASKED = 2.0


def resident(pid: int) -> float | None:
    """Return a process's resident memory in MiB, or None where it has ended."""
    try:
        return float(round(psutil.Process(pid).memory_info().rss / 2**20, 1))
    except psutil.NoSuchProcess:
        return None


class Member:
    """Keep one process of a subject running: start it again where it has ended."""

    def __init__(self, subject: Subject, environ: Mapping[str, str]) -> None:
        self.subject = subject
        self._environ = environ
        self.kills = 0
        self.ends: list[str] = []
        """The last lines of processes that ended by themselves."""
        self.memory: Series = []
        """Of the process that runs now."""
        self._stack = ExitStack()
        self.running: Running = self._stack.enter_context(subject.running(environ=environ))

    def look(self) -> None:
        """Sample the memory; start the process again where it has ended."""
        if self.running.process.poll() is None:
            size = resident(self.running.process.pid)
            if size is not None:
                self.memory.append((time.time(), size))
            return
        self.ends.append(self.running.text[-500:])
        self.start()

    def start(self) -> None:
        """Start a new process, whose memory is a new series."""
        self._stack.close()
        self.memory = []
        self.running = self._stack.enter_context(self.subject.running(environ=self._environ))

    def kill(self) -> None:
        """Kill the process (SIGKILL), and start it again."""
        self.kills += 1
        self.running.process.kill()
        self.running.process.wait()
        self.start()

    def close(self) -> None:
        """End the process, however it is."""
        self._stack.close()


class Nodes:
    """Kill a broker now and then, and start it again, until it is over; watch the memory of all nodes."""

    def __init__(self, stack: SharedStack, dice: random.Random, over: threading.Event) -> None:
        self.killed = 0
        self.memory: dict[str, list[Series]] = {}
        """By node, a series for each of its processes."""
        self._stack = stack.local
        self._dice = dice
        self._over = over
        self._pids: dict[str, int] = {}

    def run(self) -> None:
        """Do it."""
        while not self._over.wait(self._dice.uniform(*_BROKER_KILLED)):
            name = self._dice.choice(self._stack.brokers).name
            self._stack.kill(name)
            self.killed += 1
            self._over.wait(self._dice.uniform(*_BROKER_AWAY))
            self._start(name)

    def _start(self, name: str) -> None:
        for left in reversed(range(_STARTS)):
            try:
                self._stack.start(name)
            except StackError as error:  # on a machine this busy it may take longer than a stack waits
                if not left:
                    raise
                print(f"{name} takes long to start: {error}", file=sys.stderr, flush=True)
            else:
                return

    def look(self) -> None:
        """Sample the memory."""
        for program in self._stack.programs:
            found = self._stack.find(program.name)
            size = None if found is None else resident(found.pid)
            if found is not None and size is not None:
                if self._pids.get(program.name) != found.pid:
                    self._pids[program.name] = found.pid
                    self.memory.setdefault(program.name, []).append([])
                self.memory[program.name][-1].append((time.time(), size))

    def report(self) -> list[dict[str, object]]:
        """Return the memory of each node's process that lived longest: for information, a broker's heap is its own."""
        return [{"node": name} | growth(max(series, key=len)) for name, series in self.memory.items()]


def harass(
    members: Sequence[Member], nodes: Nodes, killing: Future[None], until: float, dice: random.Random, every: float
) -> None:
    """Kill processes every few seconds, and say how it goes."""
    told = looked = time.monotonic()
    kill_at = told + every
    while (now := time.monotonic()) < until:
        if killing.done():
            killing.result()  # it went wrong: there is no use in going on without
        for member in members:
            member.look()
        if now > looked + 5:
            looked = now
            nodes.look()
        if now > kill_at:
            kill_at = now + dice.uniform(every / 2, every * 1.5)
            dice.choice(members[1::2]).kill()
        if now > told + _TOLD:
            told = now
            kills = sum(member.kills for member in members)
            sizes = ", ".join(f"{each.subject.mode} {each.memory[-1][1]} MiB" for each in members[::2] if each.memory)
            line = f"{until - now:.0f} s left: {kills} processes and {nodes.killed} brokers killed; {sizes}"
            print(line, file=sys.stderr, flush=True)
        time.sleep(1)


def write(subject: Subject, over: threading.Event, backlog: int) -> tuple[int, float]:
    """Write until it is over; return how many records, and for how many seconds too many lay before the subject."""
    paused = 0.0
    asked, ready = time.monotonic(), True
    with subject.watched() as look:

        def is_ready() -> bool:
            nonlocal asked, ready, paused
            now = time.monotonic()
            if now > asked + _ASKED:
                paused += 0 if ready else now - asked
                left = look()
                asked = time.monotonic()
                if left is not None:  # while a broker is away, nobody knows: it stays as it was
                    ready = sum(left.values()) < backlog
            return ready or over.is_set()

        written = subject.write(_LOAD, 10**9, _PAUSE, over.is_set, is_ready)
    return written, round(paused, 1)


def row_of(
    subject: Subject, load: tuple[int, float], calm: Member, harassed: Member, patience: float
) -> dict[str, object]:
    """Let a subject come to the end of everything; return its books, and the memory of the process left alone."""
    written, paused = load
    settled = Settling(subject, _LOAD, written).wait([calm.running, harassed.running], patience)
    verdict = subject.verdict(_LOAD, written)
    return {
        "mode": subject.mode,
        "written": verdict.written,
        "paused_seconds": paused,
        "settled_seconds": round(settled, 1),
        "lost": verdict.lost,
        "missing": verdict.missing,
        "duplicated": verdict.duplicated,
        "disordered": verdict.disordered,
        "early": verdict.early,
        "broken": verdict.broken(subject.mode),
        "kills": harassed.kills,
        "ended_by_themselves": calm.ends + harassed.ends,
        "memory": growth(calm.memory),
        "series": calm.memory,
    }


@click.command(help=__doc__)
@click.option("--minutes", default=20.0, show_default=True, help="How long.")
@click.option("--mode", "modes", multiple=True, type=click.Choice(SOAKED), help="Only these; all where none is named.")
@click.option("--every", default=5.0, show_default=True, help="Seconds between kills of processes, on average.")
@click.option("--backlog", default=200, show_default=True, help="Records before a mode at which its writer waits.")
@click.option("--patience", default=300.0, show_default=True, help="Seconds that the end of everything may take.")
@click.option("--seed", type=int, help="Of what is killed and when; drawn, and printed, where none is given.")
@click.option("--json", "report", type=click.Path(dir_okay=False, path_type=Path), help="Write a report here.")
def main(
    minutes: float,
    modes: Sequence[str],
    every: float,
    backlog: int,
    patience: float,
    seed: int | None,
    report: Path | None,
) -> None:
    try:
        soak(minutes, modes or SOAKED, every, backlog, patience, seed, report)
    except (AssertionError, LockgateError) as error:
        sys.exit(unfinished(error))


def unfinished(error: Exception) -> int:
    """Say why a run has no result."""
    print(f"the run could not be finished: {error}", file=sys.stderr)
    return 2


def soak(
    minutes: float,
    modes: Sequence[str],
    every: float,
    backlog: int,
    patience: float,
    seed: int | None,
    report: Path | None,
) -> None:
    """Run it; exit 1 where it finds something."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    print(f"seed {seed}, {minutes:g} minutes, {', '.join(modes)}", file=sys.stderr, flush=True)
    with running_stack() as stack, tempfile.TemporaryDirectory() as folder, ExitStack() as open_:
        subjects = [Subject(stack, Path(folder) / str(number), mode) for number, mode in enumerate(modes)]
        environ = {"PYTHONPATH": str(telling(Path(folder) / "telling"))}
        members: list[Member] = []
        for subject in subjects:
            for _ in range(2):
                members.append(Member(subject, environ))
                open_.callback(members[-1].close)
        over = threading.Event()
        nodes = Nodes(stack, random.Random(f"{seed} brokers"), over)
        with ThreadPoolExecutor() as pool:
            killing = pool.submit(nodes.run)
            loads = [pool.submit(write, subject, over, backlog) for subject in subjects]
            try:
                harass(members, nodes, killing, time.monotonic() + minutes * 60, random.Random(seed), every)
            finally:
                over.set()
            killing.result()
            written = [load.result() for load in loads]
            print("the books: waiting for the end of everything", file=sys.stderr, flush=True)
            rows = list(pool.map(row_of, subjects, written, members[::2], members[1::2], [patience] * len(subjects)))
    result = {
        "minutes": minutes,
        "seed": seed,
        "every": every,
        "brokers_killed": nodes.killed,
        "processes_killed": sum(member.kills for member in members),
        "bounds": {"growth": GROWTH, "slope_mib_per_minute": SLOPE},
        "modes": rows,
        "nodes": nodes.report(),
    }
    if report is not None:
        report.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        print(json.dumps({name: value for name, value in row.items() if name not in ("series", "ended_by_themselves")}))
        for end in row["ended_by_themselves"]:  # type: ignore[attr-defined]
            print(f"{row['mode']}: a process ended by itself: {end}", file=sys.stderr)
    if any(row["broken"] or row["memory"]["flat"] is False for row in rows):  # type: ignore[index]
        sys.exit(1)


if __name__ == "__main__":
    main()
