"""The forms in which gates report: each must survive whatever a file name or a message holds."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import attrs

from lockgate.governance.annotations import Annotation, as_github, as_gitlab, as_junit, as_text

ONE = Annotation("some-rule", "error", "schemas/a/B.avsc", 3, "it is wrong", "do it right", "/fields/0", 5)
TWO = Annotation("other-rule", "warning", "schemas/a/B.avsc", 9, "it is odd")


def test_text_is_a_line_that_editors_can_jump_to_and_the_fix() -> None:
    assert list(as_text(ONE)) == [
        "schemas/a/B.avsc:3:5: error: it is wrong [some-rule] (/fields/0)",
        "    fix: do it right",
    ]
    assert list(as_text(TWO)) == ["schemas/a/B.avsc:9: warning: it is odd [other-rule]"]


def test_json_holds_every_attribute() -> None:
    assert ONE.as_json() == {
        "rule": "some-rule",
        "severity": "error",
        "file": "schemas/a/B.avsc",
        "line": 3,
        "message": "it is wrong",
        "fix": "do it right",
        "pointer": "/fields/0",
        "column": 5,
    }


def test_github_gets_a_workflow_command_a_finding() -> None:
    assert list(as_github([ONE, TWO])) == [
        "::error file=schemas/a/B.avsc,line=3,col=5,title=some-rule::it is wrong (fix: do it right)",
        "::warning file=schemas/a/B.avsc,line=9,title=other-rule::it is odd",
    ]


def test_no_text_ends_a_workflow_command_or_begins_another() -> None:
    hostile = attrs.evolve(TWO, file="a,b:c", message="50 %\r\n::error::pwned")
    (command,) = as_github([hostile])
    assert command == "::warning file=a%2Cb%3Ac,line=9,title=other-rule::50 %25%0D%0A::error::pwned"


def test_gitlab_gets_a_code_quality_report() -> None:
    first, second = json.loads(as_gitlab([ONE, TWO]))
    assert first == {
        "description": "it is wrong (fix: do it right)",
        "check_name": "some-rule",
        "fingerprint": ONE.fingerprint,
        "severity": "major",
        "location": {"path": "schemas/a/B.avsc", "lines": {"begin": 3}},
    }
    assert second["severity"] == "minor"


def test_a_fingerprint_survives_lines_that_move_and_tells_findings_apart() -> None:
    assert attrs.evolve(ONE, line=30, column=1).fingerprint == ONE.fingerprint
    assert attrs.evolve(ONE, pointer="/fields/1").fingerprint != ONE.fingerprint


def test_junit_has_a_case_for_all_that_was_looked_at() -> None:
    report = as_junit("lint", {"schemas/a/B.avsc": [ONE, TWO], "schemas/a/C.avsc": []})
    suite = ElementTree.fromstring(report).find("testsuite")  # noqa: S314  # written two lines above
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    bad, good = suite.findall("testcase")
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("type") == "some-rule, other-rule"
    assert "3:5" in (failure.text or "")
    assert "it is odd" in (failure.text or "")
    assert good.find("failure") is None
    assert bad.get("file") == "schemas/a/B.avsc"
    assert good.get("file") is None  # a case need not be called like a file


def test_junit_is_xml_whatever_a_message_holds() -> None:
    hostile = attrs.evolve(ONE, message='a <b> & "c"\x00\x1b')
    root = ElementTree.fromstring(as_junit("lint", {"x": [hostile]}))  # noqa: S314  # our own
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == 'a <b> & "c"\ufffd\ufffd'


def test_junit_keeps_what_does_not_fail_in_the_output() -> None:
    cases = {"a": [TWO], "b": [TWO, ONE]}
    root = ElementTree.fromstring(as_junit("suite", cases, failing=("error",)))  # noqa: S314  # made here
    assert root.get("failures") == "1"
    one, other = root.iter("testcase")
    assert [child.tag for child in one] == ["system-out"]
    assert [(child.tag, child.get("message")) for child in other] == [("failure", "it is wrong")]
