"""What the demo says at its end: it holds only where everything does."""

from __future__ import annotations

import io
import json

import attrs
import pytest
from rich.console import Console

from lockgate.demo.balance import Balance, Matches
from lockgate.demo.poison import PoisonCheck
from lockgate.demo.report import Report
from lockgate.demo.trespass import Attempt, Verdict

COUNTS = {"written": 10, "handled": 7, "skipped": 1, "dead_lettered": 2, "lost": 0, "duplicated": 0, "retried": 3}
BALANCE = Balance(
    **COUNTS,
    missing=(),
    repeated=(),
    by_reader={("a", "worker"): COUNTS},
    reasons={("a", "worker"): {"reject": 1, "truncated": 1}},
)
GOOD = Report(
    sent={"a.Made": 9},
    trouble={"made too large": 1},
    poisoned={"truncated": 1},
    poison=PoisonCheck(1, 1, ()),
    verdicts=(Verdict(Attempt("worker", "read", "b"), True, "TOPIC_AUTHORIZATION_FAILED"),),
    balance=BALANCE,
    matches=Matches(results=7, events=7, earlier=0, repeated=0, missing=(), orphaned=()),
    retries={"worker": (2, 1)},
    seconds=2.0,
    processes=3,
)


def shown(report: Report) -> str:
    text = io.StringIO()
    report.show(Console(file=text, width=200))
    return text.getvalue()


def test_it_holds_where_everything_does() -> None:
    assert GOOD.holds
    text = shown(GOOD)
    assert "The books balance: nothing is lost." in text
    assert "written 10 = handled 7 + skipped 1 + dead-lettered 2 + lost 0" in text
    assert "worker retried: 2 to tier 1, 1 to tier 2" in text
    assert "dead letters of worker: 1 reject, 1 truncated" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"balance": attrs.evolve(BALANCE, handled=6, lost=1, missing=("a-0@3/worker: gone",))},
            "lost: a-0@3/worker: gone",
        ),
        ({"balance": attrs.evolve(BALANCE, handled=6)}, "DO NOT BALANCE"),
        ({"balance": attrs.evolve(BALANCE, written=0, handled=0, skipped=0, dead_lettered=0)}, "DO NOT BALANCE"),
        ({"matches": attrs.evolve(GOOD.matches, missing=("b: r1",))}, "missing downstream: b: r1"),
        ({"matches": attrs.evolve(GOOD.matches, orphaned=("b: r2",))}, "without an upstream event: b: r2"),
        ({"poison": PoisonCheck(1, 1, ("truncated at a-0@1, worker: no letter",))}, "WRONG: truncated at a-0@1"),
        (
            {"verdicts": (Verdict(Attempt("worker", "read", "b"), False, "it was given records"),)},
            "NOT REFUSED: worker tried to read b: it was given records",
        ),
    ],
)
def test_it_does_not_hold_where_one_thing_does_not(change: dict[str, object], says: str) -> None:
    report = attrs.evolve(GOOD, **change)  # type: ignore[arg-type]  # one field of several types
    assert not report.holds
    assert says in shown(report)


def test_duplicates_are_explained_and_no_failure() -> None:
    report = attrs.evolve(
        GOOD, balance=attrs.evolve(BALANCE, duplicated=1, repeated=("a-0@1/worker: handled, handled",))
    )
    assert report.holds
    assert "more than one outcome: a-0@1/worker: handled, handled" in shown(report)
    assert "the same ce_id both times" in " ".join(shown(report).split())


def test_the_report_for_programs_holds_the_balance() -> None:
    found = json.loads(json.dumps(GOOD.as_json()))
    assert found["holds"] is True
    assert found["balance"] == {name: COUNTS[name] for name in COUNTS if name != "retried"}
    assert found["readers"][0]["reasons"] == {"reject": 1, "truncated": 1}
    assert found["attempts"] == [
        {
            "principal": "worker",
            "action": "read",
            "target": "b",
            "refused": True,
            "answer": "TOPIC_AUTHORIZATION_FAILED",
        }
    ]
