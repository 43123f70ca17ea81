"""What gates say about files, as pull requests show it: text, JSON, JUnit, annotations of GitHub and GitLab."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args
from xml.etree import ElementTree  # writes only: nothing is parsed here

import attrs

__all__ = ["FORMS", "Annotation", "Form", "Severity", "as_github", "as_gitlab", "as_junit", "as_text"]

Severity: TypeAlias = Literal["error", "warning"]
Form: TypeAlias = Literal["text", "json", "junit", "github", "gitlab"]
FORMS: tuple[Form, ...] = get_args(Form)

_GITLAB_SEVERITIES: Mapping[Severity, str] = {"error": "major", "warning": "minor"}


@attrs.frozen
class Annotation:
    """Say what is wrong at one place of one file, and how it is usually put right."""

    rule: str
    severity: Severity
    file: str
    """Path relative to the project root, with forward slashes."""
    line: int
    """1-based; 1 where a file as a whole is meant."""
    message: str
    fix: str = ""
    pointer: str = ""
    """JSON pointer to what is meant, `""` for the whole document."""
    column: int | None = None
    """1-based, where it is known."""

    @property
    def place(self) -> str:
        """Return file, line and column as compilers print them."""
        return f"{self.file}:{self.line}" + (f":{self.column}" if self.column else "")

    @property
    def fingerprint(self) -> str:
        """Return what stays the same while lines above it come and go."""
        parts = "\0".join((self.rule, self.file, self.pointer, self.message))
        return hashlib.sha256(parts.encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return attrs.asdict(self)


def as_text(annotation: Annotation) -> Iterator[str]:
    """Yield the lines that a terminal shows."""
    pointer = f" ({annotation.pointer})" if annotation.pointer else ""
    yield f"{annotation.place}: {annotation.severity}: {annotation.message} [{annotation.rule}]{pointer}"
    if annotation.fix:
        yield f"    fix: {annotation.fix}"


def as_github(annotations: Sequence[Annotation]) -> Iterator[str]:
    """Yield workflow commands: GitHub Actions shows each beside the line that it is about."""
    for annotation in annotations:
        where = {"file": annotation.file, "line": str(annotation.line)}
        if annotation.column:
            where["col"] = str(annotation.column)
        where["title"] = annotation.rule
        properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in where.items())
        yield f"::{annotation.severity} {properties}::{_escaped(_sentences(annotation))}"


def as_gitlab(annotations: Sequence[Annotation]) -> str:
    """Return a Code Quality report, which GitLab shows in merge requests (`artifacts: reports: codequality:`)."""
    found = [
        {
            "description": _sentences(annotation),
            "check_name": annotation.rule,
            "fingerprint": annotation.fingerprint,
            "severity": _GITLAB_SEVERITIES[annotation.severity],
            "location": {"path": annotation.file, "lines": {"begin": annotation.line}},
        }
        for annotation in annotations
    ]
    return json.dumps(found, indent=2, ensure_ascii=False)


def as_junit(
    suite: str, cases: Mapping[str, Sequence[Annotation]], failing: Sequence[Severity] = ("error", "warning")
) -> str:
    """Return a JUnit report of one suite; `cases` holds what was looked at, each with what was found there.

    A case with findings is one failure that lists them all: a test has one result. Where all of a case's findings are
    of a severity that does not fail, they stand in its output instead.
    """
    failed = sum(any(one.severity in failing for one in found) for found in cases.values())
    counts = {"name": suite, "tests": str(len(cases)), "failures": str(failed), "errors": "0"}
    root = ElementTree.Element("testsuites", counts)
    element = ElementTree.SubElement(root, "testsuite", counts)
    for name, found in cases.items():
        case = ElementTree.SubElement(element, "testcase", {"classname": suite, "name": _xml(name)})
        if found:
            case.set("file", _xml(found[0].file))
        listed = _xml("\n".join(line for annotation in found for line in as_text(annotation)))
        first = next((one for one in found if one.severity in failing), None)
        if first is not None:
            rules = ", ".join(dict.fromkeys(annotation.rule for annotation in found))
            ElementTree.SubElement(case, "failure", {"type": rules, "message": _xml(first.message)}).text = listed
        elif found:
            ElementTree.SubElement(case, "system-out").text = listed
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _sentences(annotation: Annotation) -> str:
    return f"{annotation.message} (fix: {annotation.fix})" if annotation.fix else annotation.message


def _escaped(text: str, also: str = "") -> str:
    """Escape what would end a workflow command or one of its properties."""
    return "".join(f"%{ord(character):02X}" if character in f"%\r\n{also}" else character for character in text)


def _xml(text: str) -> str:
    """Replace characters that XML 1.0 cannot hold, not even escaped."""
    return "".join(character if character.isprintable() or character in "\t\n" else "\ufffd" for character in text)
