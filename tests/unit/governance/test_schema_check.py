"""Schemas against their earlier versions, in git and in a registry, and what is registered when all is well."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts, Location
from lockgate.errors import PlanRefused, RegistryUnavailable, UsageError
from lockgate.governance.base import Base
from lockgate.governance.check import against_git, against_registry
from lockgate.governance.differences import differences
from lockgate.governance.register import register
from lockgate.registry import RegisteredSchema, Registry
from tests.repositories import Git, new_repository

DOMAIN = """\
owner: {team: Shop, contact: "@shop"}
topic: {name: shop, partitions: 1, replication: 1, retention: 1d}
key: id
compatibility: LEVEL
events: [Bought]
readers: []
writers: []
"""
MONEY = {"type": "record", "name": "Money", "namespace": "shop", "fields": [{"name": "amount", "type": "long"}]}


def bought(*fields: Any) -> dict[str, Any]:
    base = [{"name": "id", "type": "string"}, {"name": "price", "type": "shop.Money"}]
    return {"type": "record", "name": "Bought", "namespace": "shop", "fields": [*base, *fields]}


def write(root: Path, schema: Any = None, money: Any = MONEY, level: str = "FULL_TRANSITIVE") -> Contracts:
    folder = root / "schemas" / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "domain.yaml").write_text(DOMAIN.replace("LEVEL", level), encoding="utf-8")
    (folder / "Bought.avsc").write_text(json.dumps(schema or bought()), encoding="utf-8")
    (folder / "Money.avsc").write_text(json.dumps(money), encoding="utf-8")
    (root / "services").mkdir(exist_ok=True)
    return load(root)


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return new_repository(tmp_path)


def test_a_change_is_compared_with_where_the_branch_left_main(git: Git, tmp_path: Path) -> None:
    write(tmp_path)
    git.commit()
    git("checkout", "-q", "-b", "feature")
    contracts = write(tmp_path, bought({"name": "note", "type": "string"}))
    [comparison] = against_git(contracts, None).comparisons
    assert [finding.rule for finding in comparison.findings] == ["READER_FIELD_MISSING_DEFAULT_VALUE"]
    assert comparison.source.startswith("git:")
    # what others do on main meanwhile does not count
    git.commit()
    git("checkout", "-q", "main")
    write(tmp_path, bought({"name": "other", "type": "int"}))
    git.commit()
    git("checkout", "-q", "feature")
    assert against_git(load(tmp_path), None).comparisons == (comparison,)


def test_a_change_of_a_shared_type_is_a_change_of_the_event(git: Git, tmp_path: Path) -> None:
    write(tmp_path)
    git.commit()
    changed = MONEY | {"fields": [{"name": "amount", "type": "string"}]}
    [comparison] = against_git(write(tmp_path, money=changed), "HEAD").comparisons
    assert {finding.reader_path for finding in comparison.findings} == {"/fields/1/type/fields/0/type"}
    # the line is that of the shared type's own file
    assert {finding.location for finding in comparison.findings} == {Location("schemas/shop/Money.avsc", 1)}


def test_a_new_event_type_goes_with_everything(git: Git, tmp_path: Path) -> None:
    [comparison] = against_git(write(tmp_path), "HEAD").comparisons
    assert (comparison.names, comparison.findings) == ((), ())


def test_a_project_may_be_a_folder_of_its_repository(git: Git, tmp_path: Path) -> None:
    root = tmp_path / "some where"
    write(root)
    git.commit()
    [comparison] = against_git(write(root, bought({"name": "note", "type": "string"})), "HEAD").comparisons
    assert comparison.findings


def test_an_unknown_commit_is_a_usage_error(git: Git, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no commit 'nowhere'"):
        against_git(write(tmp_path), "nowhere")
    with pytest.raises(UsageError):
        against_git(write(tmp_path), "--help")


def test_a_repository_without_main_is_a_usage_error(git: Git, tmp_path: Path) -> None:
    git("branch", "-m", "trunk")
    with pytest.raises(UsageError, match="no branch to compare with"):
        against_git(write(tmp_path), None)


def test_no_repository_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in no git repository"):
        against_git(write(tmp_path), None)


def test_what_is_no_schema_is_no_version_and_is_named(git: Git, tmp_path: Path) -> None:
    write(tmp_path)
    git.commit()
    file = tmp_path / "schemas" / "shop" / "Bought.avsc"
    file.write_text("{", encoding="utf-8")
    git.commit()
    verdict = against_git(write(tmp_path, bought({"name": "note", "type": "string"})), "HEAD")
    assert [len(comparison.names) for comparison in verdict.comparisons] == [1]
    assert not verdict.compatible
    assert [place.partition(" ")[0] for place in verdict.unread] == ["schemas/shop/Bought.avsc"]


class FakeRegistry:
    """Keep one subject's versions in memory, as a registry does, and note what is done to it."""

    def __init__(self, *schemas: Mapping[str, Any], level: str | None = None) -> None:
        self.schemas = [dict(schema) for schema in schemas]
        self.level = level
        self.calls: list[str] = []
        self.others: list[str] = []
        self.refuses_at: tuple[str, ...] = ()
        """The levels at which it finds nothing compatible."""
        self.breaks_at = ""
        """The call at which it stops to answer."""

    def _called(self, call: str) -> None:
        if call == self.breaks_at:
            raise RegistryUnavailable("the registry has gone away")
        self.calls.append(call)

    def subjects(self) -> list[str]:
        return self.others

    def versions(self, _subject: str) -> list[int]:
        return [10 * number for number, _ in enumerate(self.schemas, 1)]

    def version(self, subject: str, version: int) -> RegisteredSchema | None:
        return RegisteredSchema(subject, version, version, self.schemas[version // 10 - 1])

    def compatibility(self, _subject: str) -> str | None:
        return self.level

    def set_compatibility(self, subject: str, level: str) -> None:
        self._called(f"level {level} {subject}")
        self.level = level

    def find(self, subject: str, schema: Mapping[str, Any]) -> RegisteredSchema | None:
        return RegisteredSchema(subject, 1, 7, schema) if schema in self.schemas else None

    def is_compatible(self, _subject: str, _schema: Mapping[str, Any], *, version: object) -> bool:
        assert version is None or version == "latest"
        return self.level not in self.refuses_at

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        self._called(f"schema {subject}")
        self.schemas.append(dict(schema))
        return 7


def as_registry(fake: FakeRegistry) -> Registry:
    return cast("Registry", fake)


def test_versions_of_the_registry_are_called_by_their_numbers(tmp_path: Path) -> None:
    old = write(tmp_path).events["shop.Bought"].schema
    contracts = write(tmp_path, bought({"name": "note", "type": "string"}))
    [comparison] = against_registry(contracts, as_registry(FakeRegistry(old, old))).comparisons
    assert comparison.names == ("version 10", "version 20")
    assert [finding.earlier for finding in comparison.findings] == ["version 10", "version 20"]
    assert "version 20 has written" in comparison.findings[1].message
    [found] = [entry["earlier"] for entry in comparison.as_json()["findings"][:1]]
    assert found == "version 10"


def test_only_transitive_levels_read_every_version(tmp_path: Path) -> None:
    old = write(tmp_path).events["shop.Bought"].schema
    contracts = write(tmp_path, bought({"name": "note", "type": "string", "default": ""}), level="BACKWARD")
    [comparison] = against_registry(contracts, as_registry(FakeRegistry(old, old))).comparisons
    assert comparison.names == ("version 20",)


def test_a_level_that_the_registry_has_stricter_counts_and_is_told(tmp_path: Path) -> None:
    old = write(tmp_path).events["shop.Bought"].schema
    contracts = write(tmp_path, bought({"name": "note", "type": "string"}), level="NONE")
    verdict = against_registry(contracts, as_registry(FakeRegistry(old, level="BACKWARD")))
    assert not verdict.compatible
    assert [finding.rule for finding in verdict.domains] == ["COMPATIBILITY_LOWERED"]
    trusted = against_registry(contracts, as_registry(FakeRegistry(old, level="BACKWARD")), trust_level=True)
    assert trusted.findings == ()


def test_an_alias_carries_the_registry_s_versions_on(tmp_path: Path) -> None:
    old = write(tmp_path).events["shop.Bought"].schema
    renamed = {"type": "record", "name": "Acquired", "namespace": "shop", "aliases": ["Bought"]}
    (tmp_path / "schemas" / "shop" / "Bought.avsc").unlink()
    folder = tmp_path / "schemas" / "shop"
    (folder / "Acquired.avsc").write_text(json.dumps(renamed | {"fields": bought()["fields"]}), encoding="utf-8")
    (folder / "domain.yaml").write_text(DOMAIN.replace("LEVEL", "FULL").replace("Bought", "Acquired"), encoding="utf-8")

    class Renamed(FakeRegistry):
        def versions(self, subject: str) -> list[int]:
            return super().versions(subject) if subject == SUBJECT else []

    contracts = load(tmp_path)
    [comparison] = against_registry(contracts, as_registry(Renamed(old))).comparisons
    assert (comparison.renamed_from, comparison.names) == ("shop.Bought", ("version 10",))
    assert [one.rule for one in comparison.findings if one.kind == "breaking"] == ["NAME_MISMATCH"]
    # what the registry would take is another question: each subject stands for itself
    assert against_registry(contracts, as_registry(Renamed(old)), trust_level=True).findings == ()


SUBJECT = "shop-shop.Bought"
NOTE = {"name": "note", "type": ["null", "string"], "default": None}


def test_the_level_is_set_before_the_first_version(tmp_path: Path) -> None:
    fake = FakeRegistry()
    done = register(write(tmp_path), as_registry(fake))
    assert fake.calls == [f"level FULL_TRANSITIVE {SUBJECT}", f"schema {SUBJECT}"]
    assert [step.action for step in done.steps] == ["level", "schema"]
    assert done.as_json()["complete"] is True


def test_what_is_registered_already_is_left_alone(tmp_path: Path) -> None:
    contracts, fake = write(tmp_path), FakeRegistry()
    register(contracts, as_registry(fake))
    fake.calls.clear()
    assert [step.action for step in register(contracts, as_registry(fake)).steps] == ["unchanged"]
    assert fake.calls == []


def test_nothing_is_touched_where_a_schema_is_not_compatible(tmp_path: Path) -> None:
    old = write(tmp_path).events["shop.Bought"].schema
    fake = FakeRegistry(old)
    contracts = write(tmp_path, bought({"name": "note", "type": "string"}))
    with pytest.raises(PlanRefused, match=r"schemas/shop/Bought\.avsc:1: what version 10 has written"):
        register(contracts, as_registry(fake))
    assert fake.calls == []


def test_the_registry_has_a_say_before_anything_is_touched(tmp_path: Path) -> None:
    fake = FakeRegistry(write(tmp_path).events["shop.Bought"].schema, level="FULL_TRANSITIVE")
    fake.refuses_at = ("FULL_TRANSITIVE",)
    with pytest.raises(PlanRefused, match="the registry refuses it"):
        register(write(tmp_path, bought(NOTE)), as_registry(fake))
    assert fake.calls == []


def test_a_level_that_changes_is_put_back_where_the_registry_refuses_under_it(tmp_path: Path) -> None:
    fake = FakeRegistry(write(tmp_path).events["shop.Bought"].schema, level="BACKWARD")
    fake.refuses_at = ("FULL_TRANSITIVE",)
    with pytest.raises(PlanRefused, match="the registry refuses it"):
        register(write(tmp_path, bought(NOTE)), as_registry(fake))
    assert fake.calls == [f"level FULL_TRANSITIVE {SUBJECT}", f"level BACKWARD {SUBJECT}"]


def test_a_failure_midway_is_told_and_a_second_run_does_the_rest(tmp_path: Path) -> None:
    contracts, fake = write(tmp_path), FakeRegistry()
    fake.breaks_at = f"schema {SUBJECT}"
    done = register(contracts, as_registry(fake))
    assert ([step.action for step in done.steps], done.pending) == (["level"], (SUBJECT,))
    assert done.as_json()["failure"] == "the registry has gone away"
    fake.breaks_at = ""
    assert [step.action for step in register(contracts, as_registry(fake)).steps] == ["schema"]


def test_a_registry_that_answers_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    fake = FakeRegistry()
    fake.breaks_at = f"level FULL_TRANSITIVE {SUBJECT}"
    with pytest.raises(RegistryUnavailable):
        register(write(tmp_path), as_registry(fake))


def test_what_renamed_and_removed_event_types_leave_behind_is_told_and_left_alone(tmp_path: Path) -> None:
    fake = FakeRegistry()
    fake.others = ["shop-shop.Sold", "kiosk-shop.Bought", SUBJECT, "shop-eu-eu.Sold", "shop", "other-other.Thing"]
    assert register(write(tmp_path), as_registry(fake)).leftovers == ("kiosk-shop.Bought", "shop-shop.Sold")


def test_git_and_the_registry_are_compared_with_each_other(git: Git, tmp_path: Path) -> None:
    first = write(tmp_path).events["shop.Bought"].schema
    git.commit()
    write(tmp_path, bought(NOTE))
    second = git.commit()
    contracts = write(tmp_path, bought(NOTE, NOTE | {"name": "more"}))
    by_hand = write(tmp_path, bought(NOTE | {"name": "hand"})).events["shop.Bought"].schema
    fake = FakeRegistry(first, by_hand, level="NONE")
    fake.others = ["shop-shop.Sold"]
    found = list(differences(contracts, Base(contracts, "HEAD"), as_registry(fake)))
    assert [(one.subject, one.kind) for one in found] == [
        (SUBJECT, "not-registered"),
        (SUBJECT, "not-in-git"),
        (SUBJECT, "level"),
        ("shop-shop.Sold", "not-in-contracts"),
    ]
    assert [one.message for one in found][:2] == [
        f"what git:{second} holds is not registered",
        "version 20 of the registry is in no commit",
    ]
    # what only documents or names aliases is the same to the registry
    write(tmp_path, bought(NOTE | {"aliases": ["remark"], "doc": "Said."}) | {"aliases": ["Purchased"]})
    git.commit()
    now = contracts.events["shop.Bought"].schema
    noted = write(tmp_path, bought(NOTE)).events["shop.Bought"].schema
    same = FakeRegistry(first, noted, now, level="FULL_TRANSITIVE")
    assert list(differences(contracts, Base(contracts, "HEAD"), as_registry(same))) == []


def lockgate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(root)}
    command = [sys.executable, "-m", "lockgate", "-C", str(root), "schemas", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=60)


def test_the_command_says_no_with_exit_code_1(git: Git, tmp_path: Path) -> None:
    write(tmp_path)
    git.commit()
    assert lockgate(tmp_path, "check", "--against", "git").returncode == 0
    write(tmp_path, bought({"name": "note", "type": "string"}))
    done = lockgate(tmp_path, "check", "--against", "git:main")
    assert done.returncode == 1
    assert "no  shop.Bought against git:main, at FULL_TRANSITIVE: 1 breaking" in done.stdout
    assert "note: the reader needs it" in done.stdout
    answer = json.loads(lockgate(tmp_path, "check", "--against", "git:main", "--output", "json").stdout)
    assert answer["compatible"] is False
    assert answer["comparisons"][0]["findings"][0]["rule"] == "READER_FIELD_MISSING_DEFAULT_VALUE"


def test_the_command_fails_on_unsafe_where_it_is_told_to(git: Git, tmp_path: Path) -> None:
    write(tmp_path)
    git.commit()
    write(tmp_path, level="BACKWARD")
    done = lockgate(tmp_path, "check", "--output", "github")
    assert (done.returncode, done.stdout.partition(",title")[0]) == (
        0,
        "::warning file=schemas/shop/domain.yaml,line=4",
    )
    strict = lockgate(tmp_path, "check", "--output", "github", "--fail-on", "unsafe")
    assert (strict.returncode, strict.stdout.partition(" ")[0]) == (1, "::error")


def test_annotations_name_files_from_the_root_of_the_repository(git: Git, tmp_path: Path) -> None:
    root = tmp_path / "worlds" / "one"
    write(root)
    git.commit()
    write(root, bought({"name": "note", "type": "string"}))
    done = lockgate(root, "check", "--output", "github")
    assert done.stdout.startswith("::error file=worlds/one/schemas/shop/Bought.avsc,line=1,")
    assert "before: git:" in done.stdout
    assert ":schemas/shop/Bought.avsc:1" in done.stdout  # within the project, as everywhere else


@pytest.mark.parametrize(("output", "begins"), [("junit", "<?xml"), ("gitlab", "[]"), ("github", ""), ("json", "{")])
def test_the_command_has_a_form_for_each_machine(git: Git, tmp_path: Path, output: str, begins: str) -> None:
    write(tmp_path)
    git.commit()
    done = lockgate(tmp_path, "check", "--output", output)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(begins)


def test_the_command_exits_2_where_it_cannot_compare(tmp_path: Path) -> None:
    write(tmp_path)
    done = lockgate(tmp_path, "check")
    assert done.returncode == 2
    assert "is in no git repository" in done.stderr
    done = lockgate(tmp_path, "check", "--against", "registry")
    assert done.returncode == 2
    assert "the registry cannot be asked" in done.stderr
    assert "Traceback" not in done.stderr
    assert lockgate(tmp_path, "check", "--against", "svn").returncode == 2
    assert lockgate(tmp_path, "register").returncode == 2


def test_the_command_generates_and_checks_code(tmp_path: Path) -> None:
    write(tmp_path)
    done = lockgate(tmp_path, "codegen", "--check")
    assert (done.returncode, done.stdout) == (1, "schemas/shop/__init__.py is not current\n")
    assert lockgate(tmp_path, "codegen").stdout == "wrote schemas/shop/__init__.py\n"
    assert lockgate(tmp_path, "codegen", "--check").returncode == 0
    assert json.loads(lockgate(tmp_path, "codegen", "--output", "json").stdout) == {"current": True, "written": []}
