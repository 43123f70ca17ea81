"""A check's verdict as annotations of lines."""

from __future__ import annotations

import attrs

from lockgate.contracts.model import Location
from lockgate.governance.findings import Comparison, Concerned, Finding, Verdict
from lockgate.governance.remarks import remarks

FINDING = Finding(
    kind="breaking",
    rule="TYPE_MISMATCH",
    message="it is lost",
    location=Location("schemas/garden/Watered.avsc", 7),
    earlier="git:abc",
    earlier_at="git:abc:schemas/garden/Watered.avsc:3",
    direction="forward",
    reader_path="/fields/0/type",
    writer_path="/fields/1/type",
    fix="add a default",
)
UNSAFE = attrs.evolve(FINDING, kind="unsafe")
WATERED = Comparison(
    "garden.Watered",
    "garden-garden.Watered",
    "FULL",
    "git:main",
    findings=(FINDING, UNSAFE),
    readers=(Concerned("kitchen", "Chefs", "@chefs", "services/kitchen/service.yaml:4"),),
)
PLANTED = Comparison("garden.Planted", "garden-garden.Planted", "FULL", "git:main", status="unchanged")


def test_a_remark_says_what_was_before_and_who_reads() -> None:
    found = remarks(Verdict((WATERED, PLANTED)), prefix="world/")
    assert list(found) == ["garden.Watered against git:main", "garden.Planted against git:main"]
    error, warning = found["garden.Watered against git:main"]
    assert (error.severity, error.file, error.line, error.rule, error.fix) == (
        "error",
        "world/schemas/garden/Watered.avsc",
        7,
        "TYPE_MISMATCH",
        "add a default",
    )
    assert error.message.splitlines() == [
        "garden.Watered: it is lost",
        "before: git:abc:schemas/garden/Watered.avsc:3",
        "read by: kitchen (Chefs, @chefs)",
    ]
    assert error.pointer == "/fields/1/type"  # what is written now stands in the file that the remark is about
    assert warning.severity == "warning"


def test_what_is_the_same_with_several_versions_is_one_remark_about_the_latest() -> None:
    older = attrs.evolve(FINDING, earlier="git:old", earlier_at="git:old:schemas/garden/Watered.avsc:9")
    other = attrs.evolve(older, place="litres")
    found = remarks(Verdict((attrs.evolve(WATERED, findings=(older, other, FINDING)),)))
    one, two = (remark for case in found.values() for remark in case)
    assert one.message.splitlines()[1:3] == [
        "before: git:abc:schemas/garden/Watered.avsc:3",
        "the same with: git:old",
    ]
    assert "the same with" not in two.message


def test_unsafe_is_an_error_where_it_is_to_fail() -> None:
    found = remarks(Verdict((attrs.evolve(WATERED, findings=(UNSAFE,)),)), fail_on_unsafe=True)
    assert [remark.severity for case in found.values() for remark in case] == ["error"]


def test_what_has_no_file_left_and_what_concerns_a_domain_is_not_lost() -> None:
    gone = attrs.evolve(WATERED, findings=(attrs.evolve(FINDING, location=None, kind="removed"),))
    found = remarks(Verdict((gone,), domains=(UNSAFE,)))
    assert [(name, [(remark.file, remark.line) for remark in case]) for name, case in found.items()] == [
        ("schemas/garden/Watered.avsc", [("schemas/garden/Watered.avsc", 7)]),
        ("garden.Watered against git:main", [("schemas", 1)]),
    ]
