"""What `lockgate init` writes: a project that passes every gate and its own tests, and nothing over what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

import lockgate
from lockgate.cli.main import main
from lockgate.contracts.load import load
from lockgate.errors import UsageError
from lockgate.governance import codegen, editor
from lockgate.governance.lint.run import lint
from lockgate.local.compose import embed, read
from lockgate.starter.world import World, create

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = Path(lockgate.__file__).parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the world that is written where nothing is said."""
    target = tmp_path_factory.mktemp("worlds") / "made"
    create(World("made"), target)
    return target


def test_it_passes_every_gate(made: Path) -> None:
    contracts = load(made)
    assert lint(contracts).findings == ()
    assert codegen.outdated(contracts) == []
    assert editor.outdated(made) == []
    assert sorted(contracts.workloads) == ["desk", "desk.intake"]


def test_nothing_of_the_template_is_left_in_it(made: Path) -> None:
    for file in made.rglob("*"):
        if file.is_file():
            assert "@@" not in file.read_text(encoding="utf-8"), file
            assert "DOMAIN" not in file.as_posix(), file
            assert "SERVICE" not in file.as_posix(), file


def test_its_own_tests_pass(made: Path) -> None:
    done = python(made, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_its_code_passes_the_strictest_type_check(made: Path) -> None:
    options = ["--strict", "--explicit-package-bases", "--cache-dir", os.devnull]
    done = python(made, "-m", "mypy", *options, "services", "schemas", "tests")
    assert done.returncode == 0, done.stdout + done.stderr


def python(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(LIBRARY), "MYPYPATH": str(LIBRARY), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environ, capture_output=True, text=True, check=False, timeout=120
    )


def test_its_cluster_is_the_one_of_this_repository(made: Path) -> None:
    theirs = read(made, {})
    assert theirs == read(ROOT, {})
    assert embed(theirs[0], theirs, made, made / ".lockgate").environment


def test_the_packaged_cluster_is_the_beginning_of_the_compose_file() -> None:
    packaged = files("lockgate.starter").joinpath("files/cluster.yaml").read_text(encoding="utf-8")
    text = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
    assert text.startswith(packaged), "copy docker-compose.yaml up to its workloads to starter/files/cluster.yaml"
    assert packaged.endswith("# Each workload in a container of its own.\n")
    workloads = {workload.name for workload in load(ROOT).workloads.values()}
    assert not workloads & set(yaml.safe_load(packaged)["services"])


def test_docker_runs_its_consuming_workload_with_its_own_credentials(made: Path) -> None:
    document: dict[str, Any] = yaml.safe_load((made / "docker-compose.yaml").read_text(encoding="utf-8"))
    assert document["name"] == "made"
    assert document["services"]["desk"]["command"] == ["lockgate", "run", "--workload", "desk"]
    assert document["services"]["desk"]["volumes"] == ["./.lockgate/containers/desk:/lockgate:ro"]
    assert document["services"]["desk"]["image"] == "made-services:local"
    assert "desk.intake" not in document["services"]
    assert set(document["services"]) >= {"certificates", "provision", "kafka-1", "kafka-2", "kafka-3", "registry"}


def test_its_workflow_is_yaml_that_keeps_githubs_own_expressions(made: Path) -> None:
    text = (made / ".github/workflows/contracts.yml").read_text(encoding="utf-8")
    assert "${{ secrets.LOCKGATE_REGISTRY_PASSWORD }}" in text
    assert set(yaml.safe_load(text)["jobs"]) == {"check", "register"}


def test_names_can_be_chosen(tmp_path: Path) -> None:
    create(World("acme-world", "help_desk", "first.line-1", "Acme-Ops", "@acme/ops, ops@example.org"), tmp_path)
    contracts = load(tmp_path)
    (domain,) = contracts.domains
    (service,) = contracts.services
    assert (domain.name, domain.topic.name, domain.owner.team) == ("help_desk", "help-desk", "Acme-Ops")
    assert (service.name, service.folder) == ("first.line-1", "first_line_1")
    assert "@acme/ops ops@example.org" in (tmp_path / ".github/CODEOWNERS").read_text(encoding="utf-8")
    done = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"nothing was written: .* has README\.md already"):
        create(World("made"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine\n"


def test_what_is_not_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("mine\n", encoding="utf-8")
    create(World("made"), tmp_path)
    assert (tmp_path / "LICENSE").read_text(encoding="utf-8") == "mine\n"
    with pytest.raises(UsageError, match="nothing was written"):
        create(World("made"), tmp_path)


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (World("Made"), "'Made' is no name for a world"),
        (World("../up"), "is no name for a world"),
        (World("made", domain="two-words"), "'two-words' cannot be a domain: it is no Python identifier"),
        (World("made", domain="class"), "'class' cannot be a domain"),
        (World("made", domain="service"), "the domain cannot be called service"),
        (World("made", domain="context"), "the domain cannot be called context"),
        (World("made", domain="sys"), "the domain cannot be called sys"),
        (World("made", domain="common"), "common holds the types that all domains share"),
        (World("made", service="a_b"), "holds an underscore"),
        (World("made", service="admin"), "is reserved"),
        (World("made", service="9lives"), "must be a Python identifier"),
        (World("made", team="A B"), r"owner\.team: expected letters"),
        (World("made", contact='a", b: "c'), "--contact is .*; it is one line without quotes"),
        (World("made", team="A\nB"), "--team is"),
    ],
)
def test_names_that_cannot_stand_are_refused_before_anything_is_written(
    tmp_path: Path, world: World, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create(world, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_command_calls_the_world_like_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", str(tmp_path / "My World_2"), "--output", "json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["name"] == "my-world-2"
    assert "services/desk/handlers.py" in printed["written"]
    assert run("init", str(tmp_path / "My World_2")) == 2
    assert "nothing was written" in capsys.readouterr().err


def test_the_command_writes_into_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("init", "--domain", "calls", "--service", "hotline") == 0
    assert (tmp_path / "services/hotline/handlers.py").is_file()
    assert "Next: lockgate up" in capsys.readouterr().out
