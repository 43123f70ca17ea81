"""Exactly once, on a mock cluster: every way in which a transaction can end, and what the loop makes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lockgate import Context, Service
from lockgate.contracts.model import OutageSpec
from tests.labs import LETTERS, Lab, running_lab
from tests.recorders import ABORTABLE, FATAL, RETRIABLE, Recorder
from tests.worlds import eventually


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        lab.declare(exactly_once=True)
        lab.seen = []  # type: ignore[attr-defined]  # by the handler below, for these tests alone

        @lab.service.handler("work", event_type="items.Made")
        def work(event: dict[str, Any], context: Context) -> tuple[str, dict[str, Any]] | None:
            lab.seen.append(event["id"])  # type: ignore[attr-defined]
            if event["id"].startswith("fail"):
                raise ConnectionError("busy")
            return None if event["id"].startswith("quiet") else ("mail.Sent", event)

        yield lab


@pytest.fixture
def recorder(lab: Lab) -> Recorder:
    recorder = Recorder(lab)
    lab.producers = recorder.wrap
    return recorder


def run(lab: Lab, *items: str) -> None:
    """Write items, and run the workload until all of them are committed."""
    lab.put(*items)
    lab.stop_when(lambda: lab.committed() == len(items))
    lab.run()
    assert lab.committed() == len(items)


def test_results_letters_and_offsets_are_committed_together(lab: Lab, recorder: Recorder) -> None:
    run(lab, "a", "poison", "fail", "quiet", "b")
    assert recorder.committed == [("mail", b"a"), (LETTERS, b"poison"), (LETTERS, b"fail"), ("mail", b"b")]
    assert recorder.aborted == 0


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_what_is_retriable_is_asked_again(lab: Lab, recorder: Recorder, call: str) -> None:
    recorder.errors[call] = [("before", RETRIABLE), ("before", RETRIABLE)]
    run(lab, "a", "b")
    assert recorder.committed == [("mail", b"a"), ("mail", b"b")]
    assert recorder.aborted == 0
    assert lab.seen == ["a", "b"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_what_requires_an_abort_gets_one_and_nothing_of_it_counts(lab: Lab, recorder: Recorder, call: str) -> None:
    recorder.errors[call] = [("before", ABORTABLE)]
    run(lab, "a", "quiet", "b")
    assert recorder.committed == [("mail", b"a"), ("mail", b"b")]
    assert (recorder.aborted, recorder.made) == (1, 1)
    # those behind it are in its batch, or come later where the brokers gave one record first
    assert lab.seen in (["a", "quiet", "b"] * 2, ["a", "a", "quiet", "b"])  # type: ignore[attr-defined]


def test_after_a_fatal_error_a_new_producer_goes_on(lab: Lab, recorder: Recorder) -> None:
    recorder.errors["send_offsets_to_transaction"] = [("before", FATAL)]
    run(lab, "a", "b")
    assert recorder.committed == [("mail", b"a"), ("mail", b"b")]
    assert (recorder.aborted, recorder.made) == (0, 2)


def test_an_abort_that_fails_is_left_to_the_next_producer(lab: Lab, recorder: Recorder) -> None:
    recorder.errors["send_offsets_to_transaction"] = [("before", ABORTABLE)]
    recorder.errors["abort_transaction"] = [("before", FATAL)]
    run(lab, "a")
    assert recorder.committed == [("mail", b"a")]
    assert recorder.made == 2


@pytest.mark.parametrize(("when", "runs"), [("after", 1), ("before", 2)])
def test_where_nobody_saw_the_end_of_a_commit_the_groups_offsets_tell(
    lab: Lab, recorder: Recorder, when: str, runs: int
) -> None:
    recorder.errors["commit_transaction"] = [(when, FATAL)]
    run(lab, "a", "b")
    # again only where it was not committed; "b" is in its batch, or comes later where the brokers gave one record first
    assert lab.seen in (["a", "b"] * runs, ["a"] * runs + ["b"])  # type: ignore[attr-defined]
    assert recorder.committed == [("mail", b"a"), ("mail", b"b")]


def test_what_is_too_large_is_found_in_halves_without_running_a_handler_again(lab: Lab, recorder: Recorder) -> None:
    recorder.limit = 100
    large = "l" * 200
    items = ["a", "b", large, "c", "quiet", "d", "e"]
    run(lab, *items)
    assert lab.seen == items  # type: ignore[attr-defined]
    keys = [(topic, (key or b"")[:1]) for topic, key in recorder.committed]
    assert keys == [
        ("mail", b"a"), ("mail", b"b"), (LETTERS, b"l"), ("mail", b"c"), ("mail", b"d"), ("mail", b"e"),
    ]  # fmt: skip


def test_a_batch_that_ends_in_an_outage_is_sent_up_to_the_first_failure_and_no_further(
    lab: Lab, recorder: Recorder
) -> None:
    lab.declare(outage=OutageSpec(failing=80, of=5, probe_ms=50))
    away = threading.Event()
    away.set()
    calls: list[str] = []

    def work(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        calls.append(event["id"])
        if away.is_set() and event["id"] != "a0":
            raise ConnectionError("the database is away")
        return "mail.Sent", event

    lab.service = Service("service")
    lab.service.handler("work", event_type="items.Made")(work)
    items = [f"a{number}" for number in range(20)]
    lab.put(*items)
    thread = threading.Thread(target=lab.run, daemon=True)
    thread.start()
    eventually(lambda: lab.control.looks and lab.loop.outage.probes >= 5, "some probes")
    assert recorder.committed == [("mail", b"a0")], "what went well before it"
    assert lab.committed() == 1
    away.clear()
    eventually(lambda: lab.committed() == 20, "the commit of all")
    lab.stop.request()
    thread.join(30)
    assert recorder.committed == [("mail", item.encode()) for item in items], "each once, in order, and no letters"
    assert calls[:5] == items[:5]
    assert "a5" not in calls[:10], "nothing is taken but the probe"
