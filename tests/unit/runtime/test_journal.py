"""The journal: what the balance over several processes is counted from."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from lockgate.records import Coordinates
from lockgate.runtime.journal import Journal

SOURCE = Coordinates("orders", 3, 1842)


def lines(folder: Path) -> list[dict[str, object]]:
    file = folder / f"work-{os.getpid()}.jsonl"
    return [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]


def test_a_line_says_what_became_of_a_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "folder", "work")
    before = time.time_ns() // 1_000_000
    journal.add(SOURCE, "handled", attempt=2, event_id="id", results=[("payments", "payments.Authorized", "r")])
    journal.add(SOURCE, "dead-lettered", attempt=3, event_id="\udcff\n", reason="error")
    journal.close()
    first, second = lines(tmp_path / "new" / "folder")
    at = first.pop("at")
    assert isinstance(at, int)
    assert before <= at <= time.time_ns() // 1_000_000
    assert first == {
        "workload": "work",
        "topic": "orders",
        "partition": 3,
        "offset": 1842,
        "outcome": "handled",
        "attempt": 2,
        "reason": None,
        "event_id": "id",
        "results": [{"topic": "payments", "event_type": "payments.Authorized", "id": "r"}],
    }
    assert (second["outcome"], second["reason"], second["results"]) == ("dead-lettered", "error", [])


def test_nothing_is_written_before_it_is_settled(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "work")
    journal.add(SOURCE, "handled", attempt=1, event_id="id")
    assert lines(tmp_path) == []
    journal.write()
    journal.write()
    assert len(lines(tmp_path)) == 1
    journal.close()


def test_a_process_that_takes_over_a_pid_appends(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal(tmp_path, "work")
        journal.add(SOURCE, "skipped", attempt=0, event_id="id")
        journal.close()
    assert len(lines(tmp_path)) == 2
