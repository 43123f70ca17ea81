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
from lockgate.errors import PlanRefused, UsageError
from lockgate.governance.check import against_git, against_registry
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
    """Keep subjects in memory, as a registry does, and note what is asked of it."""

    def __init__(self, *schemas: Mapping[str, Any]) -> None:
        self.schemas = [dict(schema) for schema in schemas]
        self.level: str | None = None
        self.calls: list[str] = []

    def versions(self, _subject: str) -> list[int]:
        return [10 * number for number, _ in enumerate(self.schemas, 1)]

    def version(self, subject: str, version: int) -> RegisteredSchema | None:
        return RegisteredSchema(subject, version, version, self.schemas[version // 10 - 1])

    def compatibility(self, _subject: str) -> str | None:
        return self.level

    def set_compatibility(self, subject: str, level: str) -> None:
        self.calls.append(f"level {subject}")
        self.level = level

    def find(self, subject: str, schema: Mapping[str, Any]) -> RegisteredSchema | None:
        return RegisteredSchema(subject, 1, 7, schema) if schema in self.schemas else None

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        self.calls.append(f"schema {subject}")
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


def test_the_level_is_set_before_the_first_version(tmp_path: Path) -> None:
    fake = FakeRegistry()
    steps = register(write(tmp_path), as_registry(fake))
    assert fake.calls == ["level shop-shop.Bought", "schema shop-shop.Bought"]
    assert [step.action for step in steps] == ["level", "schema"]


def test_what_is_registered_already_is_left_alone(tmp_path: Path) -> None:
    contracts, fake = write(tmp_path), FakeRegistry()
    register(contracts, as_registry(fake))
    fake.calls.clear()
    assert [step.action for step in register(contracts, as_registry(fake))] == ["unchanged"]
    assert fake.calls == []


def test_nothing_is_touched_where_a_schema_is_not_compatible(tmp_path: Path) -> None:
    old = write(tmp_path).events["shop.Bought"].schema
    fake = FakeRegistry(old)
    contracts = write(tmp_path, bought({"name": "note", "type": "string"}))
    with pytest.raises(PlanRefused, match=r"schemas/shop/Bought\.avsc:1: what version 10 has written"):
        register(contracts, as_registry(fake))
    assert fake.calls == []


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
