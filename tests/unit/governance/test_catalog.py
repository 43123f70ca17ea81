"""The ownership matrix, in its two forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockgate.cli.main import main
from lockgate.contracts.load import load
from lockgate.governance.catalog import Entry, as_json, as_markdown, catalog
from tests.projects import PROJECT, changed, write_project

ROOT = Path(__file__).resolve().parents[3]


def test_each_domain_is_an_entry_with_owner_events_writers_and_readers(tmp_path: Path) -> None:
    assert catalog(load(write_project(tmp_path))) == (
        Entry(
            domain="garden",
            topic="garden",
            owner="Green",
            contact="@green",
            events=("Planted", "Watered"),
            writers=("gardener",),
            readers=("garden-service", "kitchen-service.garden"),
        ),
        Entry(
            domain="kitchen",
            topic="kitchen",
            owner="Chefs",
            contact="@chefs",
            events=("Cooked",),
            writers=("kitchen-service.garden",),
            readers=("kitchen-service",),
        ),
    )


def test_the_text_is_a_markdown_table_of_even_columns(tmp_path: Path) -> None:
    assert as_markdown(catalog(load(write_project(tmp_path)))).splitlines() == [
        "| domain · topic | owner · contact | event types      | written by               | read by (workload = group)                 |",  # noqa: E501  # a table is as wide as it is
        "| -------------- | --------------- | ---------------- | ------------------------ | ------------------------------------------ |",  # noqa: E501  # likewise
        "| garden         | Green · @green  | Planted, Watered | `gardener`               | `garden-service`, `kitchen-service.garden` |",  # noqa: E501  # likewise
        "| kitchen        | Chefs · @chefs  | Cooked           | `kitchen-service.garden` | `kitchen-service`                          |",  # noqa: E501  # likewise
    ]


def test_a_topic_of_another_name_than_its_domain_is_named() -> None:
    entry = Entry("garden", "garden-events", "Green", "@green", ("Planted",), (), ())
    table = as_markdown([entry])
    assert "| garden · `garden-events` | Green · @green" in table
    assert "| nobody" in table


def test_a_contact_cannot_break_out_of_its_cell() -> None:
    entry = Entry("garden", "garden", "Green", "a|b <script> _c_ `d`", ("Planted",), (), ())
    row = as_markdown([entry]).splitlines()[2]
    assert r"a\|b \<script\> \_c\_ \`d\`" in row


def test_the_json_is_the_same_for_programs(tmp_path: Path) -> None:
    entries = as_json(catalog(load(write_project(tmp_path))))
    assert json.loads(json.dumps(entries)) == entries
    assert entries[1] == {
        "domain": "kitchen",
        "topic": "kitchen",
        "owner": "Chefs",
        "contact": "@chefs",
        "events": ["Cooked"],
        "writers": ["kitchen-service.garden"],
        "readers": ["kitchen-service"],
    }


def test_the_command_prints_either_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(tmp_path)
    entries = catalog(load(tmp_path))
    assert run("-C", str(tmp_path), "catalog") == 0
    assert capsys.readouterr().out == as_markdown(entries)
    assert run("-C", str(tmp_path), "catalog", "--output", "json") == 0
    assert json.loads(capsys.readouterr().out) == as_json(entries)


def test_mistakes_in_the_contracts_end_the_command_with_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path, {**PROJECT, **changed("schemas/garden/domain.yaml", "key: bed", "key: row")})
    assert run("-C", str(tmp_path), "catalog") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: 2 mistakes in the contracts:\n  schemas/garden/Planted.avsc:5: ")
    assert "Traceback" not in printed.err


def test_the_readme_shows_the_matrix_of_the_shipped_world() -> None:
    assert as_markdown(catalog(load(ROOT))) in (ROOT / "README.md").read_text(encoding="utf-8")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code
