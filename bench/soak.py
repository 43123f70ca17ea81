"""Run workloads for a while in which processes and brokers are killed at random; report the balance and the memory.

Every mode has two processes: one that is killed every few seconds, and one that is left alone, whose memory is watched.
Exit 1 where a guarantee is broken or memory grows, 2 where the run could not be finished.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import click
import psutil

from bench.faults import running_stack
from tests.faults import MODES, Subject
from tests.worlds import Running

_LOAD = "soak"
_PAUSE = 0.2
"""Seconds between waves of ten records: fifty a second and mode."""
_BROKER_AWAY = (3.0, 15.0)
_GROWTH = 1.10
"""What the last quarter's memory may be of the second's: the first one warms up."""
_PATIENCE = 300.0


class Member:
    """Keep one process of a subject running: start it again where it has ended."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.kills = 0
        self.ends: list[str] = []
        """The last lines of processes that ended by themselves."""
        self.memory: list[tuple[float, float]] = []
        """Seconds since the epoch and resident MiB of the process that runs now."""
        self._stack = ExitStack()
        self.running: Running = self._stack.enter_context(subject.running())

    def look(self) -> None:
        """Sample the memory; start the process again where it has ended."""
        if self.running.process.poll() is None:
            try:
                resident = psutil.Process(self.running.process.pid).memory_info().rss / 2**20
            except psutil.NoSuchProcess:
                return
            self.memory.append((time.time(), round(resident, 1)))
            return
        self.ends.append(self.running.text[-500:])
        self.start()

    def start(self) -> None:
        """Start a new process, whose memory is a new series."""
        self._stack.close()
        self.memory = []
        self.running = self._stack.enter_context(self.subject.running())

    def kill(self) -> None:
        """Kill the process (SIGKILL), and start it again."""
        self.kills += 1
        self.running.process.kill()
        self.running.process.wait()
        self.start()

    def close(self) -> None:
        """End the process, however it is."""
        self._stack.close()

    def growth(self) -> dict[str, object]:
        """Return what the memory of the process that runs now came to."""
        sizes = [size for _, size in self.memory]
        if len(sizes) < 8:
            return {"samples": len(sizes), "flat": None}
        quarter = len(sizes) // 4
        before, after = statistics.median(sizes[quarter : 2 * quarter]), statistics.median(sizes[-quarter:])
        later = self.memory[quarter:]
        slope = statistics.linear_regression([at / 60 for at, _ in later], [size for _, size in later]).slope
        status = Path(f"/proc/{self.running.process.pid}/status").read_text(encoding="ascii")
        peak = next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), None)
        return {
            "samples": len(sizes),
            "second_quarter_mib": before,
            "last_quarter_mib": after,
            "slope_mib_per_minute": round(slope, 3),
            "peak_mib": None if peak is None else round(peak, 1),
            "flat": after <= before * _GROWTH,
        }


class Brokers:
    """Kill a broker now and then, and start it again, until it is over."""

    def __init__(self, subject: Subject, dice: random.Random, over: threading.Event) -> None:
        self.killed = 0
        self._stack = subject.world.stack.local
        self._dice = dice
        self._over = over

    def run(self) -> None:
        """Do it."""
        while not self._over.wait(self._dice.uniform(10, 30)):
            name = self._dice.choice(self._stack.brokers).name
            self._stack.kill(name)
            self.killed += 1
            self._over.wait(self._dice.uniform(*_BROKER_AWAY))
            self._stack.start(name)


def harass(members: Sequence[Member], brokers: Brokers, until: float, dice: random.Random, every: float) -> None:
    """Kill processes every few seconds, and say how it goes."""
    told = time.monotonic()
    kill_at = told + every
    while (now := time.monotonic()) < until:
        for member in members:
            member.look()
        if now > kill_at:
            kill_at = now + dice.uniform(every / 2, every * 1.5)
            dice.choice(members[1::2]).kill()
        if now > told + 30:
            told = now
            kills = sum(member.kills for member in members)
            sizes = ", ".join(f"{each.subject.mode} {each.memory[-1][1]} MiB" for each in members[::2] if each.memory)
            line = f"{until - now:.0f} s left: {kills} processes and {brokers.killed} brokers killed; {sizes}"
            print(line, file=sys.stderr, flush=True)
        time.sleep(1)


@click.command(help=__doc__)
@click.option("--minutes", default=20.0, show_default=True, help="How long.")
@click.option(
    "--mode", "modes", multiple=True, type=click.Choice(list(MODES)), help="Only these; all where none is named."
)
@click.option("--every", default=6.0, show_default=True, help="Seconds between kills of processes, on average.")
@click.option("--seed", default=1, show_default=True, help="Of what is killed and when.")
@click.option("--json", "report", type=click.Path(dir_okay=False, path_type=Path), help="Write a report here.")
def main(minutes: float, modes: Sequence[str], every: float, seed: int, report: Path | None) -> None:
    modes = modes or list(MODES)
    with running_stack() as stack, tempfile.TemporaryDirectory() as folder, ExitStack() as open_:
        subjects = [Subject(stack, Path(folder) / str(number), mode) for number, mode in enumerate(modes)]
        members: list[Member] = []
        for subject in subjects:
            for _ in range(2):
                members.append(Member(subject))
                open_.callback(members[-1].close)
        over = threading.Event()
        with ThreadPoolExecutor() as pool:
            brokers = Brokers(subjects[0], random.Random(f"{seed} brokers"), over)
            killing = pool.submit(brokers.run)
            loads = [pool.submit(subject.write, _LOAD, 10**9, _PAUSE, over.is_set) for subject in subjects]
            try:
                until = time.monotonic() + minutes * 60
                harass(members, brokers, until, random.Random(seed), every)
            finally:
                over.set()
            killing.result()
            written = [load.result() for load in loads]
        rows = []
        for subject, count, (calm, harassed) in zip(
            subjects, written, zip(members[::2], members[1::2], strict=True), strict=True
        ):
            subject.settle(calm.running, _PATIENCE)
            verdict = subject.verdict(_LOAD, count)
            rows.append(
                {
                    "mode": subject.mode,
                    "written": verdict.written,
                    "lost": verdict.lost,
                    "duplicated": verdict.duplicated,
                    "broken": verdict.broken(subject.mode),
                    "kills": harassed.kills,
                    "ended_by_themselves": calm.ends + harassed.ends,
                    "memory": calm.growth(),
                    "series": calm.memory,
                }
            )
    result = {"minutes": minutes, "seed": seed, "brokers_killed": brokers.killed, "modes": rows}
    if report is not None:
        report.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        print(json.dumps({name: value for name, value in row.items() if name not in ("series", "ended_by_themselves")}))
    if any(row["broken"] or row["memory"]["flat"] is False for row in rows):  # type: ignore[index]
        sys.exit(1)


if __name__ == "__main__":
    main()
