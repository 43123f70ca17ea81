"""What a check prints for people: what, where, why, what shows it, whom it concerns, what to do."""

from __future__ import annotations

import attrs
import click

from lockgate.avro.findings import Witness
from lockgate.cli.verdict import verdict_lines
from lockgate.contracts.model import Location
from lockgate.governance.findings import Comparison, Concerned, Difference, Finding, Verdict

READER = Concerned("kitchen", "Chefs", "@chefs", "services/kitchen/service.yaml:4")
WRITER = Concerned("gardener", "Green", "@green", "services/garden/service.yaml:5")
CAUSE = Finding(
    "breaking",
    "TYPE_MISMATCH",
    "price.cents: text is written, and the reader takes a number",
    location=Location("schemas/common/Price.avsc", 6),
    earlier="git:abc",
    earlier_at="git:abc:schemas/common/Price.avsc:5",
    direction="backward",
)
FINDING = attrs.evolve(
    CAUSE,
    message="what git:abc has written cannot be read any more: price",
    location=Location("schemas/garden/Planted.avsc", 8),
    earlier_at="git:abc:schemas/garden/Planted.avsc:7",
    fix="Add a new field beside it.",
    causes=(CAUSE,),
    witness=Witness(True, "It was written, and does not decode.", {"price": {"cents": "1"}}),
)
PLANTED = Comparison(
    "garden.Planted",
    "garden-garden.Planted",
    "FULL",
    "git:main",
    ("git:old", "git:abc"),
    Location("schemas/garden/Planted.avsc", 1),
    "breaking",
    (attrs.evolve(FINDING, earlier="git:old"), FINDING),
    readers=(READER,),
    writers=(WRITER,),
    order="consumers-first",
)


def text(verdict: Verdict) -> list[str]:
    return [click.unstyle(line) for line in verdict_lines(verdict)]


def test_a_finding_says_everything_that_a_newcomer_needs() -> None:
    assert text(Verdict((PLANTED,))) == [
        "no  garden.Planted against git:main, at FULL: 2 breaking",
        "      what git:abc has written cannot be read any more: price",
        "        at  schemas/garden/Planted.avsc:8  TYPE_MISMATCH",
        "        before  git:abc:schemas/garden/Planted.avsc:7",
        "        because  price.cents: text is written, and the reader takes a number  "
        "(schemas/common/Price.avsc:6, before git:abc:schemas/common/Price.avsc:5)",
        "        witness  It was written, and does not decode.",
        '          {"price": {"cents": "1"}}',
        "        fix  Add a new field beside it.",
        "        the same with  git:old",
        "        read by  kitchen (Chefs, @chefs)",
        "        written by  gardener (Green, @green)",
        "        upgrade  readers first, then writers",
        "1 event type: 2 breaking",
    ]


def test_a_long_witness_is_cut_and_one_that_was_not_found_says_so() -> None:
    long = attrs.evolve(FINDING, witness=Witness(True, "It shows.", "x" * 1000))
    none = attrs.evolve(FINDING, witness=Witness(False, "None was found."), place="other")
    lines = text(Verdict((attrs.evolve(PLANTED, findings=(long, none)),)))
    (cut,) = [line for line in lines if "xxx" in line]
    assert len(cut) < 420
    assert cut.endswith("…")
    assert lines[lines.index("        witness  None was found.") + 1].startswith("        fix")


def test_what_is_quiet_takes_a_line() -> None:
    quiet = attrs.evolve(PLANTED, status="unchanged", findings=(), names=("git:main",))
    verdict = Verdict(
        (
            quiet,
            attrs.evolve(quiet, event_type="garden.Watered", subject="garden-garden.Watered"),
            attrs.evolve(quiet, event_type="garden.Sown", status="removed", location=None),
            attrs.evolve(quiet, event_type="garden.Dug", status="renamed", renamed_to="garden.Spaded", location=None),
            attrs.evolve(quiet, event_type="garden.Raked", status="retired", location=None),
            attrs.evolve(quiet, event_type="garden.Spaded", subject="garden-garden.Spaded", status="new", names=()),
        ),
        differences=(Difference("garden-garden.Watered", "not-registered", "it is not registered"),),
        unread=("git:abc:schemas/garden/Watered.avsc",),
    )
    assert text(verdict) == [
        "ok  garden.Sown against git:main: removed; nobody read it, and its subject stays in the registry",
        "ok  garden.Dug against git:main: renamed to garden.Spaded; "
        "nobody read it, and its subject stays in the registry",
        "ok  garden.Raked against git:main: retired; its subject is deleted by `apply --allow-delete`",
        "ok  garden.Spaded against git:main: new there",
        "ok  2 event types as in git:main: unchanged",
        "    git:abc:schemas/garden/Watered.avsc is no schema, and no version",
        "the registry is not as the contracts would have it (no change is refused for that):",
        "    garden-garden.Watered: it is not registered",
        "3 event types: compatible",
    ]
