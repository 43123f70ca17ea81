"""What `lockgate plan` and `lockgate apply` print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockgate.cli import provisioning as command
from lockgate.cli.options import Project
from lockgate.provisioning.changes import AddPartitions, CreateTopic
from lockgate.provisioning.plan import Plan, difference
from lockgate.provisioning.reports import Beyond, Refusal, Unmanaged
from tests.unit.provisioning.states import contracts, desired, everything, nothing

WANTED = desired()
FULL = difference(WANTED, nothing(WANTED))


def run(monkeypatch: pytest.MonkeyPatch, name: str, planned: Plan, *arguments: str) -> Any:
    def apply(*_: object, progress: Any, allow_delete: bool, **__: object) -> Plan:
        planned.raise_if_refused(deletions=allow_delete)
        progress("3 topics created")
        return planned

    project = Project(Path("/project"))
    monkeypatch.setattr(Project, "root", Path("/project"))
    monkeypatch.setattr(Project, "contracts", contracts())
    monkeypatch.setattr(command, "settings_for", lambda *_: None)
    monkeypatch.setattr(command, "make_plan", lambda *_: planned)
    monkeypatch.setattr(command, "apply_contracts", apply)
    return CliRunner().invoke(getattr(command, name), list(arguments), obj=project, standalone_mode=False)


def test_changes_are_grouped_and_marked_and_counted_in_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run(monkeypatch, "plan", FULL).output.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")][:-1] == [
        "Topics",
        "Users",
        "Rights",
        "Subjects",
        "Groups",
    ]
    assert any(
        " ".join(line.split()) == "+ parcels 4 partitions, replication 3, retention 1d (schemas/parcels/domain.yaml:3)"
        for line in lines
    )
    assert lines[-1].endswith("0 to change, 0 refused, 0 beyond the contracts, 0 in no contract")
    assert lines[-1].startswith(f"{len(FULL.changes)} to create, ")


def test_a_change_that_may_cost_something_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = Plan(changes=(AddPartitions(WANTED.topics["parcels"], 1), CreateTopic(WANTED.topics["parcels"])))
    output = run(monkeypatch, "plan", planned).output
    assert output.count("risk") == 1
    assert "      high risk: keys move" in output


def test_nothing_is_coloured_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in run(monkeypatch, "plan", FULL).output


def test_refusals_say_why_and_what_next(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = Plan(refusals=(Refusal("topic", "parcels", "it has 9 partitions", "set them back", "domain.yaml:3"),))
    output = run(monkeypatch, "plan", planned).output
    assert "  ! parcels  REFUSED: it has 9 partitions  (domain.yaml:3)\n      next: set them back\n" in output


def test_what_is_beyond_the_contracts_and_in_none_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = Plan(
        beyond=(Beyond("ALLOW", "tracker may WRITE topic parcels", "no contract grants tracker this"),),
        unmanaged=(Unmanaged("topic", "scratch", "2 partitions"),),
    )
    output = run(monkeypatch, "plan", planned).output
    assert "  ! tracker may WRITE topic parcels: no contract grants tracker this\n" in output
    assert "    topic scratch  2 partitions\n" in output
    assert "Nothing to do" in output


@pytest.mark.parametrize(
    ("planned", "code"),
    [
        (difference(WANTED, everything(WANTED)), 0),
        (Plan(unmanaged=(Unmanaged("user", "x"),)), 0),
        (FULL, 1),
        (Plan(refusals=(Refusal("user", "x", "taken", "rename"),)), 1),
        (Plan(beyond=(Beyond("ALLOW", "x", "y"),)), 1),
    ],
    ids=["nothing", "unmanaged", "changes", "refused", "beyond"],
)
def test_the_exit_code_tells_only_when_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, planned: Plan, code: int
) -> None:
    assert run(monkeypatch, "plan", planned).return_value == 0
    assert run(monkeypatch, "plan", planned, "--exit-code").return_value == code
    assert run(monkeypatch, "plan", planned, "--exit-code", "--output", "json").return_value == code


def test_the_json_form_is_the_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(run(monkeypatch, "plan", FULL, "--output", "json").stdout) == FULL.as_json()


def test_apply_shows_its_steps_and_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    output = run(monkeypatch, "apply", FULL).output
    assert output.startswith("  3 topics created\nApplied in ")
    assert output.rstrip().endswith(f"{len(FULL.changes)} created, 0 changed, 0 beyond the contracts")


def test_apply_keeps_standard_output_for_json(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "apply", FULL, "--output", "json")
    document = json.loads(result.stdout)
    assert document["counts"] == dict(FULL.counts)
    assert document["seconds"] >= 0
    assert "3 topics created" in result.stderr
