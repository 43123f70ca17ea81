"""The demo's course: services up, load and poison in, trespassers tried, all settled, books balanced."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs

from lockgate.connection import Settings, settings_for
from lockgate.contracts.derive import derive
from lockgate.contracts.model import Contracts
from lockgate.deadletters.box import boxes
from lockgate.deadletters.letter import Letter
from lockgate.deadletters.scan import scan, scan_topics
from lockgate.demo.balance import LetterSeen, Written, balance, match_results
from lockgate.demo.children import Services
from lockgate.demo.journal import read_journal
from lockgate.demo.poison import Poison, check_letters, poison_for, schema_ids, send
from lockgate.demo.report import Report
from lockgate.demo.settle import Lag, Observer, settle, watching
from lockgate.demo.trespass import Verdict, try_all
from lockgate.errors import UsageError
from lockgate.records import CE_ID, CE_SOURCE, Coordinates, header
from lockgate.registry import Registry

__all__ = ["Load", "Run", "load_programs", "run_demo"]

_STALLED = 60.0
"""Seconds without any progress, beyond the longest retry delay, after which waiting is given up."""

Tell = Callable[[str], None]


@attrs.frozen
class Load:
    """Hold what the load programs say they have sent."""

    sent: Mapping[str, int]
    """Events by type."""
    trouble: Mapping[str, int]
    """Events by the trouble that they make."""


def load_programs(contracts: Contracts) -> list[str]:
    """Return the service folders that have a load program, `services/<folder>/demo.py`; raise UsageError for none.

    Such a program takes `--orders N`, `--rate R` (events a second at most, 0: no bound) and `--report FILE`, writes its
    events under its own workloads' credentials, and then `{"sent": {type: count}, "trouble": {what: count}}` to FILE.
    """
    folders = [
        service.folder
        for service in contracts.services
        if (contracts.root / "services" / service.folder / "demo.py").is_file()
    ]
    if not folders:
        raise UsageError(
            "no service of this project has a load program for the demo",
            next_step="write services/<service>/demo.py, which takes --orders N, --rate R and --report FILE",
        )
    return folders


class Run:
    """Carry out one run on a stack that is up and applied, step by step, and account for it at the end.

    `folder` takes the run's logs and journals. What lay in the topics before is not counted.
    """

    def __init__(self, contracts: Contracts, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.contracts = contracts
        self.environ = _children_environ(contracts.root, os.environ if environ is None else environ)
        self.journal = folder / "journal"
        self.logs = folder / "logs"
        self.admin = self.settings("admin")
        self.observer = Observer(contracts, self.admin)
        self.services = Services(contracts, self.environ, self.logs, self.journal)
        self._starts = self.observer.ends(topic.name for topic in derive(contracts).topics)

    def settings(self, principal: str) -> Settings:
        """Return a principal's settings on this stack."""
        return settings_for(principal, self.contracts.root, self.environ)

    def load(self, orders: int, rate: float = 0) -> Load:
        """Run the load programs, one after the other, while the services run; raise LockgateError where one fails."""
        sent: Counter[str] = Counter()
        trouble: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as drafts:
            for folder in load_programs(self.contracts):
                said = Path(drafts) / f"{folder}.json"
                arguments = ["--orders", str(orders), "--rate", str(rate), "--report", str(said)]
                self.services.load(folder, arguments)
                answer = json.loads(said.read_text(encoding="utf-8"))
                sent.update(answer.get("sent", {}))
                trouble.update(answer.get("trouble", {}))
        return Load(sent, trouble)

    def poison(self, rounds: int = 1) -> list[Poison]:
        """Write poison of every kind into every domain that is read."""
        with Registry(self.admin) as registry:
            ids = schema_ids(self.contracts, registry)
        return send(self.contracts, poison_for(self.contracts, ids, rounds=rounds), self.settings)

    def trespass(self) -> list[Verdict]:
        """Try what nobody was granted."""
        return try_all(self.contracts, self.settings)

    def settle(self, progress: Callable[[Sequence[Lag]], None] = lambda _: None) -> None:
        """Wait until every record is finished, retries included; raise LockgateError where a service has ended."""
        longest = max((wait for each in self.contracts.workloads.values() for wait in each.retry_ms), default=0)
        settle(
            self.observer,
            stalled_after=_STALLED + longest / 1000,
            progress=progress,
            check=self.services.check,
        )

    def report(
        self, seconds: float, load: Load, poison: Sequence[Poison] = (), verdicts: Sequence[Verdict] = ()
    ) -> Report:
        """Read topics, letters and journals, and set them against each other; the services have to be stopped."""
        written = self._written()
        letters = self._letters()
        journal = read_journal(self.journal)
        readers = {domain.topic.name: domain.readers for domain in self.contracts.domains}
        workloads = self.contracts.workloads.values()
        forwarders = frozenset(each.name for each in workloads if each.consumes and each.publishes)
        seen = [
            LetterSeen(letter.box.workload, letter.envelope.source, letter.round, letter.reason)
            for letter in letters
            if letter.envelope is not None
        ]
        return Report(
            sent=load.sent,
            trouble=load.trouble,
            poisoned=Counter(each.reason for each in poison),
            poison=check_letters(self.contracts, poison, letters),
            verdicts=tuple(verdicts),
            balance=balance(written, readers, journal, seen),
            matches=match_results(written, journal, forwarders),
            retries=self._retries(),
            seconds=seconds,
            processes=journal.processes,
            torn=journal.torn,
        )

    def _written(self) -> list[Written]:
        topics = [domain.topic.name for domain in self.contracts.domains]
        found = []
        for message in scan_topics(self.admin, topics, group=self.admin.username or "demo", start=self._starts):
            headers: Any = message.headers()
            place = Coordinates(str(message.topic()), message.partition() or 0, message.offset() or 0)
            found.append(Written(place, _text(header(headers, CE_ID)), _text(header(headers, CE_SOURCE))))
        return found

    def _letters(self) -> list[Letter]:
        """Read the letters that came in this run, each team's with its own operator's credentials."""
        every = boxes(self.contracts)
        letters: list[Letter] = []
        for reader in sorted({box.reader for box in every}):
            theirs = [box for box in every if box.reader == reader]
            letters += scan(self.settings(reader), theirs, group=reader, start=self._starts)
        return letters

    def _retries(self) -> dict[str, tuple[int, ...]]:
        """Return, by workload, how many records each of its retry topics took."""
        retry = [topic for topic in derive(self.contracts).topics if topic.kind == "retry"]
        ends = self.observer.ends(topic.name for topic in retry)
        counts: dict[str, dict[int, int]] = {}
        for topic in retry:
            new = sum(end - self._starts[place] for place, end in ends.items() if place[0] == topic.name)
            counts.setdefault(topic.workload or "", {})[topic.tier or 0] = new
        return {workload: tuple(tiers[tier] for tier in sorted(tiers)) for workload, tiers in counts.items()}


def run_demo(
    contracts: Contracts,
    folder: Path,
    orders: int,
    *,
    rate: float = 0,
    tell: Tell,
    watch: Callable[[Sequence[Lag]], None],
) -> Report:
    """Run the whole of it; `tell` gets a line a step, `watch` the groups' lag while it falls."""
    programs = load_programs(contracts)
    run = Run(contracts, folder)
    with ThreadPoolExecutor(1, thread_name_prefix="load") as pool, run.services as services:
        tell(f"the services run; their logs are in {run.logs}")
        began = time.monotonic()
        tell(f"{', '.join(f'services/{name}/demo.py' for name in programs)} sends {orders:,} orders")
        with watching(run.observer, watch):
            loading = pool.submit(run.load, orders, rate)
            tell("writers with valid credentials send raw poison among them")
            poison = run.poison()
            tell("trespassers try what they were not granted")
            verdicts = run.trespass()
            load = loading.result()
        tell("all is sent; waiting until every record is finished, retries included")
        run.settle(watch)
        seconds = time.monotonic() - began
        tell("the services stop")
        codes = services.stop()
    for name, code in codes.items():
        if code != 0:
            tell(f"{name} stopped with exit code {code}")
    tell("balancing the books")
    return run.report(seconds, load, poison, verdicts)


def _children_environ(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the children's environment: each finds its own credentials in the local stack's folder."""
    kept = {name: value for name, value in environ.items() if not name.startswith("LOCKGATE_")}
    for name in ("LOCKGATE_CACHE", "LOCKGATE_HOME"):
        if name in environ:
            kept[name] = environ[name]
    return kept | {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, [environ.get("PYTHONPATH")])])}


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")
