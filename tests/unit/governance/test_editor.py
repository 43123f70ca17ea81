"""The JSON Schemas that editors use: they know the fields that loading knows, and refuse what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lockgate.cli.main import main
from lockgate.contracts import files
from lockgate.contracts import workloads as entries
from lockgate.contracts.fields import Fields, duration_ms
from lockgate.contracts.load import load
from lockgate.contracts.workloads import MAX_RETRY_MS
from lockgate.governance.editor import domain_schema, outdated, service_schema
from tests.projects import PROJECT, Files, write_project
from tests.unit.contracts.test_mistakes import FIELDS

ROOT = Path(__file__).resolve().parents[3]
VALIDATORS = {
    "domain.yaml": jsonschema.Draft7Validator(domain_schema()),
    "service.yaml": jsonschema.Draft7Validator(service_schema()),
}
BEYOND = {
    "a field twice": "a YAML parser keeps the last one",
    "an octal number": "a YAML parser makes a number of it",
    "a truth value in YAML's own words": "a YAML parser makes true of it",
}
"""Mistakes that no schema can see, and why."""
SEEN = [mistake for mistake in FIELDS if not mistake.startswith("not yet: ")]
"""What a version does not support yet may be valid in an editor."""


def contracts_of(project: Files) -> Iterator[tuple[str, Any]]:
    for path, text in project.items():
        if isinstance(text, str) and path.endswith(("domain.yaml", "service.yaml")):
            yield path, yaml.safe_load(text)


def errors(path: str, document: Any) -> list[str]:
    return [error.message for error in VALIDATORS[path.rpartition("/")[2]].iter_errors(document)]


def test_the_schemas_are_valid_themselves() -> None:
    for validator in VALIDATORS.values():
        validator.check_schema(validator.schema)


@pytest.mark.parametrize("path", [path for path, _ in contracts_of(PROJECT)])
def test_a_valid_contract_is_valid_in_an_editor(path: str) -> None:
    assert errors(path, dict(contracts_of(PROJECT))[path]) == []


def test_every_shipped_contract_is_valid_in_an_editor_and_names_its_schema() -> None:
    shipped = [*ROOT.glob("schemas/*/domain.yaml"), *ROOT.glob("services/*/service.yaml")]
    assert len(shipped) > 5
    for file in shipped:
        text = file.read_text(encoding="utf-8")
        assert errors(file.name, yaml.safe_load(text)) == [], file
        schema = file.parent / text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert schema.resolve().relative_to(ROOT).as_posix() in (
            "schemas/domain.schema.json",
            "services/service.schema.json",
        )


@pytest.mark.parametrize("mistake", SEEN)
def test_an_editor_refuses_what_loading_refuses(mistake: str) -> None:
    project: Files = FIELDS[mistake][0]  # type: ignore[assignment]  # the table mixes files and texts
    found = [error for path, document in contracts_of(project) for error in errors(path, document)]
    assert bool(found) is (mistake not in BEYOND), found


def test_no_reason_is_given_for_what_is_no_mistake() -> None:
    assert set(BEYOND) <= set(SEEN)


def test_the_schemas_know_the_fields_that_loading_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds a field to the readers in `contracts` adds it to `governance/editor.py`; this fails until then."""
    known: dict[str, tuple[set[str], set[str]]] = {}

    class Recording(Fields):
        def __init__(self, node: Any, file: str, report: Any, **given: Any) -> None:
            where = f"{file.rpartition('/')[2]} {given.get('path', '')}"
            known[where] = set(given["known"]), set(given.get("required", ()))
            super().__init__(node, file, report, **given)

    for module in (files, entries):
        monkeypatch.setattr(module, "Fields", Recording)
    domain = "schemas/garden/domain.yaml"
    load(write_project(tmp_path, {**PROJECT, domain: PROJECT[domain] + "lint: {exempt: {doc-type: told}}\n"}))
    domains, services = domain_schema(), service_schema()
    expected = {
        "domain.yaml ": domains,
        "domain.yaml owner.": domains["properties"]["owner"],
        "domain.yaml topic.": domains["properties"]["topic"],
        "domain.yaml lint.": domains["properties"]["lint"],
        "service.yaml ": services,
        "service.yaml owner.": services["properties"]["owner"],
    }
    workload = services["properties"]["workloads"]["additionalProperties"]
    expected |= {where: workload for where in known if where.startswith("service.yaml workloads.")}
    exemptions = known.pop("domain.yaml lint.exempt.")
    assert exemptions == ({"doc-type"}, set())
    assert known == {
        where: (set(schema["properties"]), set(schema.get("required", ()))) for where, schema in expected.items()
    }, "describe the field in governance/editor.py, then run `lockgate schemas editor`"


DURATIONS = """
    1ms 007d 3d 29d 30d 31d 300d 720h 721h 43200m 43201m 2592000s 2592001s 2592000000ms 2592000001ms 0s 0 1 s -1s 1w
"""


@pytest.mark.parametrize("text", DURATIONS.split())
def test_durations_are_judged_alike(text: str) -> None:
    workloads = {"a": {"consumes": ["b.C"], "retry": [text]}}
    document = {"name": "a", "owner": {"team": "A", "contact": "@a"}, "workloads": workloads}
    milliseconds = duration_ms(text)
    assert (errors("service.yaml", document) == []) is (milliseconds is not None and milliseconds <= MAX_RETRY_MS)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_command_writes_both_and_says_when_they_are_not_current(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(write_project(tmp_path))
    assert run("-C", root, "schemas", "editor", "--check") == 1
    assert run("-C", root, "schemas", "editor") == 0
    assert run("-C", root, "schemas", "editor", "--check") == 0
    assert json.loads((tmp_path / "schemas/domain.schema.json").read_text("utf-8")) == domain_schema()
    assert "wrote services/service.schema.json" in capsys.readouterr().out
    load(tmp_path)  # they are in nobody's way


def test_the_shipped_schemas_are_current() -> None:
    assert outdated(ROOT) == [], "run `lockgate schemas editor`"
