"""Cases: what `lockgate schemas check --cases` reads, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockgate.avro.cases import answers, read_cases
from lockgate.cli.options import Project
from lockgate.cli.schemas import check
from lockgate.errors import UsageError


def record(*fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "t.Event", "fields": list(fields)}


def case(candidate: Any, *history: Any, level: str = "BACKWARD", **more: Any) -> dict[str, Any]:
    return {"id": "one", "level": level, "history": list(history), "candidate": candidate} | more


NEEDED = record({"name": "a", "type": "int"})


def test_an_answer_has_the_findings_of_its_case() -> None:
    [yes, no] = answers([case("long", "int"), case(NEEDED, record(), id=2)])
    assert yes == {"id": "one", "compatible": True, "incompatibilities": []}
    assert no == {
        "id": 2,
        "compatible": False,
        "incompatibilities": [
            {
                "type": "READER_FIELD_MISSING_DEFAULT_VALUE",
                "reader_path": "/fields/0",
                "writer_path": "/fields",
                "message": "what version 1 has written cannot be read any more: a: the reader needs it, it is not "
                "written, and it has no default",
            }
        ],
    }


def test_the_oldest_comes_first_and_the_level_says_which_count() -> None:
    history = ["string", "int"]
    [latest, every, none] = answers(
        [case("long", *history, level=level) for level in ("BACKWARD", "BACKWARD_TRANSITIVE", "NONE")]
    )
    assert (latest["compatible"], every["compatible"], none["compatible"]) == (True, False, True)
    assert "version 1" in every["incompatibilities"][0]["message"]


def test_what_is_unsafe_is_no_incompatibility() -> None:
    old, new = ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale} for scale in (2, 3))
    assert answers([case(new, old, level="FULL")]) == [{"id": "one", "compatible": True, "incompatibilities": []}]


def test_schemas_may_be_given_as_text() -> None:
    [answer] = answers([case(json.dumps(NEEDED), json.dumps(record()))])
    assert answer["compatible"] is False
    [answer] = answers([case('"long"', '["null", "int"]')])
    assert [found["type"] for found in answer["incompatibilities"]] == ["TYPE_MISMATCH"]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (case("int", "int", {"type": "recor"}), {"schema": "history/1", "path": "/type"}),
        (case(record({"name": "a"}), "int"), {"schema": "candidate", "path": "/fields/0"}),
        (case("{", "int"), {"schema": "candidate", "path": ""}),
        (case(17, "int"), {"schema": "candidate", "path": ""}),
        (case("int", "int", level="FULLY"), {"schema": None, "path": ""}),
    ],
)
def test_a_case_without_a_verdict_says_why_and_does_not_sink_the_others(bad: Any, error: dict[str, Any]) -> None:
    [before, answer, after] = answers([case("int", "int"), bad, case("int", "int")])
    assert before["compatible"] is after["compatible"] is True
    assert answer["compatible"] is None
    assert answer["incompatibilities"] == []
    assert answer["error"].pop("message")
    assert answer["error"] == error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is no JSON"),
        ("{}", "is no list"),
        ("[3]", "case 0: no object"),
        ('[{"id": 1, "level": "FULL"}]', "case 0: history, candidate missing"),
        ('[{"id": 1, "level": 2, "history": [], "candidate": "int"}]', "case 0: `level` is no string"),
        ('[{"id": 1, "level": "FULL", "history": {}, "candidate": "int"}]', "case 0: `history` is no list"),
        (json.dumps([{}] * 12), "and 2 more"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_file_is_refused_with_its_mistakes(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=r"cases\.json") as caught:
        read_cases(text, "cases.json")
    assert message in caught.value.message
    assert caught.value.next_step is not None


def test_the_command_needs_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = json.dumps([case(NEEDED, record())])
    (tmp_path / "cases.json").write_text("\ufeff" + text, encoding="utf-8")
    for arguments, given in ((["--cases", "cases.json"], None), (["--cases", "-"], text)):
        done = CliRunner().invoke(check, arguments, obj=Project(None), input=given, standalone_mode=False)
        assert done.exception is None
        assert done.return_value == 0
        assert json.loads(done.stdout)[0]["compatible"] is False


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), (b"\xff\xfe", "is not UTF-8"), (b"[1]", "case 0: no object")]
)
def test_the_command_says_what_is_wrong_with_a_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "cases.json"
    if content is not None:
        file.write_bytes(content)
    done = CliRunner().invoke(check, ["--cases", str(file)], obj=Project(None), standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert message in done.exception.message
