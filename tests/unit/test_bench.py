"""What the benchmark makes of its rounds: ratios within each, targets, tables; a failure takes nothing else along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.findings import findings
from bench.lineup import SUBJECTS, TARGETS, Target, choose
from bench.loads import LOADS
from bench.table import insert, markdown
from lockgate.contracts.load import load

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
ROUNDS = [
    {"bare": {"rate": 100.0, "seconds": 2.0}, "dict": {"rate": 90.0, "seconds": 2.2}},
    {"bare": {"rate": 50.0, "seconds": 4.0}, "dict": {"rate": 60.0, "seconds": 3.3}},
    {"bare": {"rate": 10.0, "seconds": 20.0}},
]
FAILURES = [{"subject": "dict", "round": 3, "why": "it ended with 1"}]


def test_ratios_are_taken_within_a_round_and_rounds_that_lack_a_side_are_left_out() -> None:
    found = findings(ROUNDS, 200, FAILURES, [Target(("dict", "rate"), ("bare", "rate"), at_least=1.0)])

    assert found["targets"][0]["rounds"] == [0.9, 1.2]
    assert found["targets"][0]["value"] == 1.05
    assert found["targets"][0]["met"] is True
    assert found["against_bound"] == {"bare": 1.0, "dict": 1.05}
    assert found["rates"]["dict"] == {"median": 75.0, "rounds": [90.0, 60.0]}


def test_a_target_of_seconds_is_judged_for_the_number_of_events_that_it_was_set_for() -> None:
    target = Target(("dict", "seconds"), at_most=2.5, share_of=200)

    assert findings(ROUNDS, 200, [], [target])["targets"][0]["met"] is False
    assert findings(ROUNDS, 100, [], [target])["targets"][0]["met"] is None


def test_a_target_whose_subject_was_not_measured_is_not_mentioned() -> None:
    assert findings(ROUNDS, 200, [], [Target(("typed", "rate"), ("bare", "rate"), at_least=1)])["targets"] == []


def test_the_tables_say_what_is_missed_and_what_failed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n", encoding="utf-8")
    found = findings(ROUNDS, 200, FAILURES, [Target(("dict", "rate"), ("bare", "rate"), at_least=1.1)])

    insert(markdown(found), page)

    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| `dict rate` | `bare rate` | ≥ 1.1 | 1.05 | 0.90 to 1.20 | **missed** |" in text
    assert "Did not come to its end: `dict` in round 3." in text


def test_tables_go_nowhere_but_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n", encoding="utf-8")

    with pytest.raises(ValueError, match="measured: begin"):
        insert("text", page)
    assert page.read_text(encoding="utf-8") == "nothing here\n"


def test_subjects_are_chosen_by_their_own_name_or_their_groups() -> None:
    chosen, unknown = choose(["produce", "bare", "bear"])

    assert [subject.name for subject in chosen] == ["bare", "produce-bare", "produce-dict", "produce-typed"]
    assert unknown == ["bear"]
    assert choose([])[0] == list(SUBJECTS)


def test_every_subject_has_a_program_and_a_workload_that_may_read_its_topic() -> None:
    contracts = load(BENCH / "world")

    for subject in SUBJECTS:
        assert (BENCH / "subjects" / subject.script).is_file(), subject.name
        workload, event_type = contracts.workload(subject.workload), LOADS[subject.load].event_type
        assert event_type in (workload.consumes if subject.rewinds else workload.publishes), subject.name


def test_every_target_is_about_subjects_that_are_measured() -> None:
    names = {subject.name for subject in SUBJECTS}

    assert {figure[0] for target in TARGETS for figure in (target.figure, target.against) if figure} <= names


@pytest.mark.parametrize("name", ["blend", "waste", "market"])
def test_a_load_has_as_many_readable_records_as_it_says(name: str) -> None:
    records = list(LOADS[name].records(1000, lambda _: b"\x00\x00\x00\x00\x01" + b"x" * 90))

    assert len(records) == 1000
    assert sum(len(value) == 95 and value[:1] == b"\x00" for value, _, _ in records) == LOADS[name].readable(1000)


def test_the_cost_of_an_event_is_measured_on_mock_brokers() -> None:
    # events are few, and a thread's clock ticks: what counts here is that each subject comes to its end
    command = [sys.executable, "-m", "bench.cpu", "--rounds", "1", "--events", "500", "--only", "typed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["bare", "typed"]
