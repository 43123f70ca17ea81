"""The demo's course: services up, load and poison in, trespassers tried, all settled, books balanced."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from lockgate.connection import Settings, settings_for
from lockgate.contracts.model import Contracts
from lockgate.deadletters.box import boxes
from lockgate.deadletters.scan import scan, scan_topics
from lockgate.demo.balance import LetterSeen, Written, balance, match_results
from lockgate.demo.children import Services, run_load
from lockgate.demo.journal import read_journal
from lockgate.demo.poison import brew, send
from lockgate.demo.report import Report
from lockgate.demo.settle import Lag, Watch
from lockgate.demo.trespass import Attempt, attempts
from lockgate.errors import UsageError
from lockgate.records import CE_ID, CE_SOURCE, Coordinates, header
from lockgate.registry import Registry

__all__ = ["Books", "load_programs", "run_demo"]

Place = tuple[str, int]
Tell = Callable[[str], None]


@attrs.frozen
class Books:
    """Remember where the domain topics ended when a run began, and balance what came after."""

    contracts: Contracts
    admin: Settings
    journal: Path
    starts: Mapping[Place, int]

    @classmethod
    def open(cls, contracts: Contracts, admin: Settings, journal: Path) -> Books:
        """Begin a run."""
        return cls(contracts, admin, journal, Watch(contracts, admin).ends())

    def report(
        self,
        seconds: float,
        tries: list[Attempt],
        sent: Mapping[str, int],
        trouble: Mapping[str, int],
        poisoned: Mapping[str, int],
    ) -> Report:
        """Read topics, letters and journals, and set them against each other."""
        written = list(self._written())
        journal = read_journal(self.journal)
        readers = {domain.topic.name: domain.readers for domain in self.contracts.domains}
        workloads = self.contracts.workloads.values()
        forwarders = frozenset(workload.name for workload in workloads if workload.consumes and workload.publishes)
        return Report(
            sent=sent,
            trouble=trouble,
            poisoned=poisoned,
            attempts=tries,
            balance=balance(written, readers, journal, self._letters()),
            matches=match_results(written, journal, forwarders),
            seconds=seconds,
            processes=journal.processes,
        )

    def _written(self) -> list[Written]:
        topics = [domain.topic.name for domain in self.contracts.domains]
        group = self.admin.username or "lockgate-demo"
        found = []
        for message in scan_topics(self.admin, topics, group=group, start=self.starts):
            headers: Any = message.headers()
            place = Coordinates(str(message.topic()), message.partition() or 0, message.offset() or 0)
            found.append(Written(place, _text(header(headers, CE_ID)), _text(header(headers, CE_SOURCE))))
        return found

    def _letters(self) -> list[LetterSeen]:
        group = self.admin.username or "lockgate-demo"
        return [
            LetterSeen(letter.box.workload, letter.envelope.source, letter.round, letter.reason)
            for letter in scan(self.admin, boxes(self.contracts), group=group)
            if letter.envelope is not None
        ]


def load_programs(contracts: Contracts) -> list[str]:
    """Return the service folders that have a load program, `services/<folder>/demo.py`; raise UsageError for none."""
    folders = [
        service.folder
        for service in contracts.services
        if (contracts.root / "services" / service.folder / "demo.py").is_file()
    ]
    if not folders:
        raise UsageError(
            "no service of this project has a load program for the demo",
            next_step="write services/<service>/demo.py, which takes --orders N and --report FILE",
        )
    return folders


def run_demo(contracts: Contracts, folder: Path, orders: int, *, tell: Tell, watch: Callable[[Lag], None]) -> Report:
    """Run the whole of it on a stack that is up and applied; `folder` takes logs and journals of this run.

    `tell` gets a line a step, `watch` the groups' lag while it falls.
    """
    programs = load_programs(contracts)
    root = contracts.root

    def settings_of(name: str) -> Settings:
        return settings_for(name, root)

    admin = settings_of("admin")
    environ = _environ(root)
    books = Books.open(contracts, admin, folder / "journal")
    poisoned: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    trouble: Counter[str] = Counter()
    with Services(contracts, environ, folder / "logs", folder / "journal") as services:
        tell(f"the services run; their logs are in {folder / 'logs'}")
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as drafts:
            for program in programs:
                tell(f"services/{program}/demo.py sends {orders:,} orders")
                said = Path(drafts) / f"{program}.json"
                run_load(root, program, ["--orders", str(orders), "--report", str(said)], environ)
                answer = json.loads(said.read_text(encoding="utf-8"))
                sent.update(answer.get("sent", {}))
                trouble.update(answer.get("trouble", {}))
        tell("writers with valid credentials send raw poison")
        with Registry(settings_of("ci")) as registry:
            for domain in contracts.domains:
                batch = list(brew(contracts, domain, registry))
                send(settings_of(domain.writers[0]), domain.topic.name, batch)
                poisoned.update(each.reason for each in batch)
        tell("trespassers try what they were not granted")
        tries = attempts(contracts, settings_of)
        tell("waiting until every record is finished, retries included")
        Watch(contracts, admin).wait(watch, services.check)
        seconds = time.monotonic() - began
        tell("the services stop")
        codes = services.stop()
    for name, code in codes.items():
        if code != 0:
            tell(f"{name} stopped with exit code {code}")
    tell("balancing the books")
    return books.report(seconds, tries, sent, trouble, poisoned)


def _environ(root: Path) -> dict[str, str]:
    """Return the children's environment: each finds its own credentials in the local stack's folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCKGATE_")}
    for name in ("LOCKGATE_CACHE", "LOCKGATE_HOME"):
        if name in os.environ:
            kept[name] = os.environ[name]
    return kept | {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])}


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")
