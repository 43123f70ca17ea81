"""CODEOWNERS, generated from the contracts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockgate.cli.main import main
from lockgate.contracts.load import load
from lockgate.governance.codeowners import as_codeowners, owned
from tests.projects import PROJECT, changed, write_project

GARDEN = "schemas/garden/domain.yaml"


def text_for(root: Path, contact: str) -> str:
    files = {**PROJECT, **changed(GARDEN, '"@green"', json.dumps(contact))}
    return as_codeowners(owned(load(write_project(root, files))))


def test_every_domain_and_service_has_a_line(tmp_path: Path) -> None:
    assert as_codeowners(owned(load(write_project(tmp_path)))).splitlines() == [
        "# Generated from the contracts by `lockgate catalog --codeowners`; do not edit.",
        "/schemas/garden/   @green",
        "/schemas/kitchen/  @chefs",
        "/services/garden/  @green",
        "/services/kitchen/ @chefs",
    ]


@pytest.mark.parametrize(
    ("contact", "owners"),
    [
        ("@green", "@green"),
        ("@acme/green-team", "@acme/green-team"),
        ("green@example.org", "green@example.org"),
        ("@green, @red", "@green @red"),
        ("Ada <ada@example.org>, or @green", "ada@example.org @green"),
        ("@green @green", "@green"),
    ],
)
def test_handles_and_addresses_are_owners(tmp_path: Path, contact: str, owners: str) -> None:
    assert f"/schemas/garden/   {owners}\n" in text_for(tmp_path, contact)


@pytest.mark.parametrize("contact", ["#green-channel", "https://example.org/green", "+49 30 1234", "@", "@-x", "a@b"])
def test_what_no_forge_knows_stands_there_as_a_comment(tmp_path: Path, contact: str) -> None:
    line = f"# /schemas/garden/ belongs to Green; no @handle or e-mail address: {contact}"
    assert line in text_for(tmp_path, contact).splitlines()


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0


def test_the_command_prints_the_file_and_says_what_has_no_owner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(write_project(tmp_path, {**PROJECT, **changed(GARDEN, '"@green"', '"#green"')}))
    run("-C", root, "catalog", "--codeowners")
    printed = capsys.readouterr()
    assert "/services/kitchen/ @chefs\n" in printed.out
    assert printed.err == (
        "schemas/garden/domain.yaml:1: /schemas/garden/ has no owner in it: '#green' is no @handle or e-mail address\n"
    )


def test_the_json_form_names_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("-C", str(write_project(tmp_path)), "catalog", "--codeowners", "--output", "json")
    assert json.loads(capsys.readouterr().out)[0] == {
        "path": "/schemas/garden/",
        "team": "Green",
        "contact": "@green",
        "owners": ["@green"],
        "declared": "schemas/garden/domain.yaml:1",
    }
