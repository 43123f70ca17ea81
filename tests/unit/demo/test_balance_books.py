"""The books without a cluster: they must come out where nothing is lost, and must not where something is."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.demo.balance import Balance, LetterSeen, Written, balance, match_results
from lockgate.demo.journal import Entry, Journal, Published, read_journal
from lockgate.errors import LockgateError
from lockgate.records import Coordinates

READERS = {"a": ["one", "two"], "b": ["three"]}


def at(offset: int, topic: str = "a") -> Coordinates:
    return Coordinates(topic, 0, offset)


def written(*offsets: int, topic: str = "a", writer: str = "source") -> list[Written]:
    return [Written(at(offset, topic), f"{topic}{offset}", writer) for offset in offsets]


def entry(workload: str, offset: int, outcome: str, topic: str = "a", results: tuple[Published, ...] = ()) -> Entry:
    return Entry(workload, at(offset, topic), outcome, "", results)


def journal(*entries: Entry) -> Journal:
    return Journal(entries, 1)


def letter(workload: str, offset: int, turn: int = 0, reason: str = "reject") -> LetterSeen:
    return LetterSeen(workload, at(offset), turn, reason)


def books(*entries: Entry, letters: tuple[LetterSeen, ...] = (), records: int = 1) -> Balance:
    return balance(written(*range(records)), READERS, journal(*entries), letters)


def sums(found: Balance) -> dict[str, int]:
    names = ("written", "handled", "skipped", "dead_lettered", "lost", "duplicated")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


def test_each_record_counts_once_for_each_workload_that_reads_it() -> None:
    found = books(entry("one", 0, "handled"), entry("two", 0, "skipped"))
    assert sums(found) == {"written": 2, "handled": 1, "skipped": 1}


def test_a_record_that_a_workload_never_finished_is_lost() -> None:
    found = books(entry("one", 0, "handled"))
    assert sums(found) == {"written": 2, "handled": 1, "lost": 1}
    assert found.missing == ("a-0@0/two: no process has an outcome for it",)


def test_a_record_that_was_last_seen_on_its_way_to_a_retry_is_lost() -> None:
    found = books(entry("one", 0, "retried"), entry("two", 0, "handled"))
    assert found.lost == 1
    assert found.missing == ("a-0@0/one: its last outcome is retried",)
    assert found.retried == 1


def test_a_dead_letter_counts_only_where_it_lies() -> None:
    entries = (entry("one", 0, "dead-lettered"), entry("two", 0, "handled"))
    assert books(*entries).lost == 1
    assert sums(books(*entries, letters=(letter("one", 0),))) == {"written": 2, "handled": 1, "dead_lettered": 1}


def test_a_letter_without_a_journal_line_still_counts_because_a_kill_may_fall_between_the_two() -> None:
    found = books(entry("two", 0, "handled"), letters=(letter("one", 0),))
    assert sums(found) == {"written": 2, "handled": 1, "dead_lettered": 1}


def test_letters_are_counted_by_the_reason_they_carry() -> None:
    found = books(letters=(letter("one", 0), letter("two", 0, reason="truncated")))
    assert found.reasons == {("a", "one"): {"reject": 1}, ("a", "two"): {"truncated": 1}, ("b", "three"): {}}


@pytest.mark.parametrize(
    ("entries", "letters", "duplicated"),
    [
        ((entry("one", 0, "handled"), entry("one", 0, "handled")), (), 1),
        ((entry("one", 0, "dead-lettered"),), (letter("one", 0), letter("one", 0)), 1),
        ((entry("one", 0, "dead-lettered"),) * 2, (letter("one", 0), letter("one", 0)), 1),
        ((entry("one", 0, "handled"),), (letter("one", 0),), 1),
        ((entry("one", 0, "retried"), entry("one", 0, "retried"), entry("one", 0, "handled")), (), 0),
    ],
)
def test_outcomes_beyond_the_first_are_duplicates_and_no_loss(
    entries: tuple[Entry, ...], letters: tuple[LetterSeen, ...], duplicated: int
) -> None:
    found = books(*entries, entry("two", 0, "handled"), letters=letters)
    assert (found.duplicated, found.lost, found.written) == (duplicated, 0, 2)


def test_a_letter_that_was_replayed_and_failed_again_is_no_duplicate() -> None:
    letters = (letter("one", 0), letter("one", 0, turn=1))
    twice = (entry("one", 0, "dead-lettered"),) * 2
    assert books(*twice, entry("two", 0, "handled"), letters=letters).duplicated == 0


def test_what_an_earlier_run_wrote_is_left_out() -> None:
    found = books(entry("one", 99, "handled"), letters=(letter("two", 99),), records=0)
    assert sums(found) == {}


outcomes = st.lists(st.sampled_from(["handled", "skipped", "dead-lettered", "retried"]), max_size=4)


@given(st.lists(st.tuples(outcomes, outcomes), max_size=8), st.data())
def test_the_sum_is_always_what_was_written_and_taking_a_record_away_is_always_seen(
    each: list[tuple[list[str], list[str]]], data: st.DataObject
) -> None:
    entries = [
        entry(workload, offset, outcome)
        for offset, pair in enumerate(each)
        for workload, found in zip(("one", "two"), pair, strict=True)
        for outcome in found
    ]
    letters = tuple(letter(one.workload, one.source.offset) for one in entries if one.outcome == "dead-lettered")
    found = books(*entries, letters=letters, records=len(each))
    assert found.written == 2 * len(each)
    assert found.written == found.handled + found.skipped + found.dead_lettered + found.lost
    finished = sorted({(one.workload, one.source.offset) for one in entries if one.outcome != "retried"})
    assert found.lost == found.written - len(finished)
    if finished:
        workload, offset = data.draw(st.sampled_from(finished))
        rest = [one for one in entries if (one.workload, one.source.offset) != (workload, offset)]
        left = tuple(one for one in letters if (one.workload, one.source.offset) != (workload, offset))
        assert books(*rest, letters=left, records=len(each)).lost == found.lost + 1


RESULT = Published("b", "b.Sent", "r1")


def test_results_and_events_downstream_match() -> None:
    records = [*written(0), Written(at(0, "b"), "r1", "one")]
    found = match_results(records, journal(entry("one", 0, "handled", results=(RESULT,))), frozenset({"one"}))
    assert (found.hold, found.results, found.events, found.repeated) == (True, 1, 1, 0)


def test_a_result_that_lies_nowhere_is_missing() -> None:
    found = match_results(written(0), journal(entry("one", 0, "handled", results=(RESULT,))), frozenset({"one"}))
    assert not found.hold
    assert found.missing == ("b: r1",)


def test_an_event_downstream_without_an_upstream_is_an_orphan() -> None:
    found = match_results([Written(at(0, "b"), "r1", "one")], journal(), frozenset({"one"}))
    assert not found.hold
    assert found.orphaned == ("b: r1",)


def test_what_a_backlog_led_to_is_no_orphan_and_counts_apart() -> None:
    done = journal(entry("one", 99, "handled", results=(RESULT,)))
    found = match_results([*written(0), Written(at(0, "b"), "r1", "one")], done, frozenset({"one"}))
    assert (found.hold, found.results, found.events, found.earlier) == (True, 0, 0, 1)


def test_an_event_of_a_program_that_reads_nothing_needs_no_upstream() -> None:
    assert match_results([Written(at(0, "b"), "r1", "seed")], journal(), frozenset({"one"})).hold


def test_a_result_that_was_written_twice_is_recognised_by_its_id() -> None:
    records = [*written(0), *(Written(at(offset, "b"), "r1", "one") for offset in (0, 1))]
    found = match_results(records, journal(entry("one", 0, "handled", results=(RESULT,))), frozenset({"one"}))
    assert (found.hold, found.repeated) == (True, 1)


LINE = {
    "workload": "one",
    "topic": "a",
    "partition": 0,
    "offset": 7,
    "outcome": "handled",
    "attempt": 1,
    "reason": None,
    "event_id": "x",
    "results": [attrs.asdict(RESULT) | {"id": "r1"}],
    "at": 1,
}


def test_a_journal_is_read_from_all_processes(tmp_path: Path) -> None:
    (tmp_path / "one-1.jsonl").write_text(json.dumps(LINE) + "\n")
    (tmp_path / "one-2.jsonl").write_text(json.dumps(LINE | {"outcome": "retried"}) + "\n")
    found = read_journal(tmp_path)
    assert (found.processes, found.torn) == (2, 0)
    assert found.entries == (
        entry("one", 7, "handled", results=(RESULT,)),
        entry("one", 7, "retried", results=(RESULT,)),
    )


def test_the_line_that_a_kill_cut_off_is_no_outcome(tmp_path: Path) -> None:
    line = json.dumps(LINE)
    (tmp_path / "one-1.jsonl").write_text(f"{line}\n{line[:-3]}")
    found = read_journal(tmp_path)
    assert (len(found.entries), found.torn) == (1, 1)


def test_a_finished_line_that_makes_no_sense_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "one-1.jsonl").write_text('{"workload": "one"}\n')
    with pytest.raises(LockgateError, match=r"one-1\.jsonl:1: no journal line"):
        read_journal(tmp_path)
