"""The ownership matrix: who owns, writes and reads what, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockgate.cli import main
from lockgate.contracts.load import load
from lockgate.governance.catalog import as_json, as_markdown, catalog
from tests.projects import PROJECT, changed, write_project

ROOT = Path(__file__).resolve().parents[3]
GARDEN = "schemas/garden/domain.yaml"
KITCHEN = "schemas/kitchen/domain.yaml"
COOKS = "services/kitchen/service.yaml"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_table_has_a_line_for_each_domain(tmp_path: Path) -> None:
    lines = as_markdown(catalog(load(write_project(tmp_path)))).splitlines()
    assert [cells(line) for line in [lines[0], *lines[2:]]] == [
        ["domain · topic", "owner · contact", "event types", "written by", "read by (workload = group)"],
        ["garden", "Green · @green", "Planted, Watered", "`gardener`", "`garden-service`, `kitchen-service.garden`"],
        ["kitchen", "Chefs · @chefs", "Cooked", "`kitchen-service.garden`", "`kitchen-service`"],
    ]


def test_the_table_is_markdown_that_reads_well_as_plain_text(tmp_path: Path) -> None:
    lines = as_markdown(catalog(load(write_project(tmp_path)))).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set(lines[1]) == {"|", "-", " "}


def test_a_topic_is_named_where_it_is_not_called_like_its_domain(tmp_path: Path) -> None:
    files = {**PROJECT, **changed(KITCHEN, "name: kitchen", "name: kitchen-events")}
    assert "| kitchen · `kitchen-events` |" in as_markdown(catalog(load(write_project(tmp_path, files))))


def test_a_domain_that_nobody_reads_says_so(tmp_path: Path) -> None:
    files = {
        **PROJECT,
        **changed(KITCHEN, "readers: [kitchen-service]\n", ""),
        **changed(COOKS, "  kitchen-service: {consumes: [kitchen.Cooked]}\n", ""),
    }
    assert cells(as_markdown(catalog(load(write_project(tmp_path, files)))).splitlines()[3])[-1] == "nobody"


def test_a_contact_cannot_break_the_table(tmp_path: Path) -> None:
    files = {**PROJECT, **changed(GARDEN, '"@green"', '"a|b_c"')}
    assert r"Green · a\|b\_c" in as_markdown(catalog(load(write_project(tmp_path, files))))


def test_json_has_an_object_for_each_domain(tmp_path: Path) -> None:
    assert as_json(catalog(load(write_project(tmp_path))))[1] == {
        "domain": "kitchen",
        "topic": "kitchen",
        "owner": "Chefs",
        "contact": "@chefs",
        "events": ["Cooked"],
        "writers": ["kitchen-service.garden"],
        "readers": ["kitchen-service"],
    }


def test_the_readme_shows_the_table_of_the_world_that_ships_with_it() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("<!-- catalog -->\n")[2].partition("<!-- /catalog -->")[0]
    assert shown == as_markdown(catalog(load(ROOT))), "put what `lockgate catalog` prints between the two comments"


def test_the_command_prints_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = catalog(load(write_project(tmp_path)))
    for arguments, expected in (((), as_markdown(entries)), (("--output", "json"), None)):
        with pytest.raises(SystemExit) as left:
            main(["-C", str(tmp_path), "catalog", *arguments])
        assert left.value.code == 0
        printed = capsys.readouterr().out
        assert printed == expected if expected is not None else json.loads(printed) == as_json(entries)


def test_the_command_lists_every_mistake_and_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(tmp_path, {**PROJECT, **changed(GARDEN, "key: bed", "key: row")})
    with pytest.raises(SystemExit) as left:
        main(["-C", str(tmp_path), "catalog"])
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "2 mistakes in the contracts:" in err
    assert "schemas/garden/Planted.avsc:5" in err
