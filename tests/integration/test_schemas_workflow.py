"""The workflow that ships, run command by command in scratch git repositories, against the real registry."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from lockgate.contracts.load import load
from lockgate.governance.codegen import write
from lockgate.registry import Registry
from tests.repositories import Git, new_repository
from tests.worlds import SharedStack

WORKFLOW = ".github/workflows/schemas.yml"
SERVICE = "services/workshop/service.yaml"
_EXPRESSION = re.compile(r"\$\{\{ *([\w.]+) *\}\}")
_IS_SET = re.compile(r"([\w.]+) != ''")
HINT = {"name": "hint", "type": ["null", "string"], "default": None, "doc": "What people should know of it."}


def files(domain: str) -> dict[str, str]:
    """Return a project that lint has nothing to say about."""

    def event(name: str, doc: str) -> str:
        fields = [
            {"name": "item_id", "type": "string", "doc": "Identifies the item for ever."},
            {"name": "happened_at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "UTC."},
        ]
        return json.dumps({"type": "record", "name": name, "namespace": domain, "doc": doc, "fields": fields}, indent=2)

    return {
        f"schemas/{domain}/domain.yaml": f"""\
owner: {{team: Makers, contact: "@makers"}}
topic: {{name: {domain}, partitions: 1, replication: 1}}
key: item_id
compatibility: FULL_TRANSITIVE
events: [Made, Gone]
readers: [{domain}-keeper]
writers: [{domain}-maker]
""",
        f"schemas/{domain}/Made.avsc": event("Made", "An item has left the workshop."),
        f"schemas/{domain}/Gone.avsc": event("Gone", "An item was sold."),
        SERVICE: f"""\
name: {domain}-service
owner: {{team: Keepers, contact: "@keepers"}}
workloads:
  {domain}-maker: {{publishes: [{domain}.Made, {domain}.Gone]}}
  {domain}-keeper: {{consumes: [{domain}.Made]}}
""",
        ".gitignore": ".runner/\n__pycache__/\n",
    }


@attrs.frozen
class Ran:
    """Hold what a job has printed, up to the step that failed."""

    code: int
    output: str


@attrs.frozen
class Project:
    """Drive a clone of a scratch repository as GitHub's runner would: expressions, environment, steps."""

    git: Git
    domain: str
    stack: SharedStack

    def job(self, name: str) -> Ran:
        """Run the `run:` commands of a job of the workflow as it is in the clone."""
        workflow = yaml.safe_load((self.git.root / WORKFLOW).read_text(encoding="utf-8"))
        temp = self.git.root / ".runner"
        temp.mkdir(exist_ok=True)
        variables = temp / "env"
        variables.write_text("", encoding="utf-8")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LOCKGATE_")}
        kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
        kept |= {"GITHUB_ACTIONS": "true", "GITHUB_ENV": str(variables), "RUNNER_TEMP": str(temp)}
        job = workflow["jobs"][name]
        output = ""
        for step in job["steps"]:
            condition = _IS_SET.fullmatch(step.get("if", ""))
            assert condition or "if" not in step, f"a condition that this runner does not know: {step['if']}"
            if "run" not in step or (condition and not self._facts[condition[1]]):
                continue
            said = dict(line.split("=", 1) for line in variables.read_text(encoding="utf-8").splitlines())
            environ = kept | said | self._resolved(job.get("env", {})) | self._resolved(step.get("env", {}))
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.git.root,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=120,
            )
            output += done.stdout
            if done.returncode != 0:
                return Ran(done.returncode, output)
        return Ran(0, output)

    @property
    def _facts(self) -> Mapping[str, str]:
        settings = self.stack.settings("ci")
        return {
            "github.base_ref": "main",
            "vars.LOCKGATE_REGISTRY_URL": settings.registry_url or "",
            "vars.LOCKGATE_REGISTRY_CA": Path(settings.ca_file).read_text(encoding="utf-8") if settings.ca_file else "",
            "secrets.LOCKGATE_REGISTRY_USERNAME": settings.registry_username or "",
            "secrets.LOCKGATE_REGISTRY_PASSWORD": settings.registry_password or "",
        }

    def _resolved(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {key: _EXPRESSION.sub(lambda found: self._facts[found[1]], value) for key, value in environ.items()}

    def edit(self, event_type: str, change: Any) -> None:
        """Change the document of an event type, and what is generated from it."""
        path = self.path(event_type)
        document = json.loads(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(json.dumps(document, indent=2), encoding="utf-8")

    def path(self, event_type: str) -> Path:
        return self.git.root / "schemas" / self.domain / f"{event_type}.avsc"

    def replace(self, old: str, new: str, *paths: str) -> None:
        for path in paths:
            file = self.git.root / path
            text = file.read_text(encoding="utf-8")
            assert old in text, f"{path} does not hold {old!r}"
            file.write_text(text.replace(old, new), encoding="utf-8")

    def commit(self) -> None:
        write(load(self.git.root))
        self.git.commit()

    def merge(self) -> None:
        """Bring the branch to main, as a pull request does."""
        self.git("checkout", "-q", "main")
        self.git("merge", "-q", "--no-ff", "-m", "merge", "change")
        self.git("update-ref", "refs/remotes/origin/main", "main")

    def differences(self) -> list[tuple[str, str]]:
        """Return in what git and the registry differ, by subject."""
        against = ("--against", "git:HEAD", "--against", "registry")
        done = self.stack.lockgate("schemas", "check", *against, "--output", "json", root=self.git.root)
        assert done.returncode == 0, done.stderr
        return [(one["subject"], one["kind"]) for one in json.loads(done.stdout)["differences"]]

    def versions(self, event_type: str) -> list[int]:
        with Registry(self.stack.settings("ci")) as registry:
            return registry.versions(f"{self.domain}-{self.domain}.{event_type}")


@pytest.fixture(scope="module")
def origin(stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a repository whose main has two versions of an event type, both registered by the workflow."""
    root = tmp_path_factory.mktemp("origin")
    domain = f"t{secrets.token_hex(4)}"
    for path, text in files(domain).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for path in (WORKFLOW, "scripts/schemas-check", "scripts/schemas-register", "scripts/environment"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(stack.root / path, root / path)
    project = Project(new_repository(root), domain, stack)
    project.commit()
    first = project.job("register")
    assert first.code == 0, first.output
    project.edit("Gone", lambda document: document["fields"].append(HINT))
    project.commit()
    second = project.job("register")
    assert second.code == 0, second.output
    assert project.versions("Gone") == [1, 2]
    assert project.differences() == []  # the registry tells the story that git tells, in its own words
    return project


@pytest.fixture
def project(origin: Project, tmp_path: Path) -> Project:
    """Return a clone on a branch of its own."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(origin.git.root), str(clone)], check=True)
    git = Git(clone)
    git("checkout", "-q", "-b", "change")
    return attrs.evolve(origin, git=git)


def test_a_good_change_passes_and_is_registered_when_it_is_merged(project: Project) -> None:
    project.edit("Made", lambda document: document["fields"].append(HINT))
    project.commit()
    checked = project.job("check")
    assert checked.code == 0, checked.output
    assert "::error" not in checked.output
    project.merge()
    registered = project.job("register")
    assert registered.code == 0, registered.output
    assert f"{project.domain}.Made: registered as schema" in registered.output
    assert project.versions("Made") == [1, 2]
    assert "registered as schema" in project.job("register").output
    assert project.versions("Made") == [1, 2]


def test_a_breaking_change_is_annotated_and_cannot_be_registered(project: Project) -> None:
    project.edit("Gone", lambda document: document["fields"].append(HINT | {"name": "needed", "type": "int"}))
    project.edit("Gone", lambda document: document["fields"][-1].pop("default"))
    project.commit()
    checked = project.job("check")
    assert checked.code == 1, checked.output
    assert re.search(
        rf"^::error file=schemas/{project.domain}/Gone\.avsc,line=\d+,title=READER_FIELD_MISSING_DEFAULT_VALUE::",
        checked.output,
        re.MULTILINE,
    )
    project.merge()
    refused = project.job("register")
    assert refused.code == 2
    assert "nothing was registered" in refused.output
    assert project.versions("Gone") == [1, 2]


def test_what_breaks_only_an_older_version_is_refused(project: Project) -> None:
    first = project.git("rev-list", "--max-parents=1", "--reverse", "HEAD").split()[0][:12]
    project.edit("Gone", lambda document: document["fields"][-1].pop("default"))
    project.commit()
    checked = project.job("check")
    assert checked.code == 1, checked.output
    (error,) = [line for line in checked.output.splitlines() if "READER_FIELD_MISSING_DEFAULT_VALUE" in line]
    assert f"what git:{first} has written cannot be read any more: hint" in error
    assert project.versions("Gone") == [1, 2]


def test_a_rename_is_told_to_those_who_read_the_old_name(project: Project) -> None:
    domain = project.domain
    project.edit("Made", lambda document: document.update(name="Produced", aliases=["Made"]))
    project.git("mv", f"schemas/{domain}/Made.avsc", f"schemas/{domain}/Produced.avsc")
    project.replace("Made", "Produced", f"schemas/{domain}/domain.yaml", SERVICE)
    project.commit()
    checked = project.job("check")
    assert checked.code == 1, checked.output
    assert "title=EVENT_TYPE_RENAMED::" in checked.output
    assert f"{domain}.Made is renamed to {domain}.Produced (its alias says so)" in checked.output
    assert f"{domain}-keeper (Keepers, @keepers)" in checked.output


def test_a_deletion_passes_where_nobody_reads_and_leaves_the_subject(project: Project) -> None:
    domain = project.domain
    project.git("rm", "-q", f"schemas/{domain}/Gone.avsc")
    project.replace("[Made, Gone]", "[Made]", f"schemas/{domain}/domain.yaml")
    project.replace(f", {domain}.Gone", "", SERVICE)
    project.commit()
    checked = project.job("check")
    assert checked.code == 0, checked.output
    project.merge()
    registered = project.job("register")
    assert registered.code == 0, registered.output
    assert f"{domain}-{domain}.Gone: no contract asks for it any more; it is left alone" in registered.output
    assert (f"{domain}-{domain}.Gone", "not-in-contracts") in project.differences()
    assert project.versions("Gone") == [1, 2]


def test_a_deletion_is_refused_where_somebody_reads(project: Project) -> None:
    domain = project.domain
    project.git("rm", "-q", f"schemas/{domain}/Made.avsc")
    project.replace("[Made, Gone]", "[Gone]", f"schemas/{domain}/domain.yaml")
    project.replace(f"{domain}.Made, ", "", SERVICE)
    project.replace(f"consumes: [{domain}.Made]", f"consumes: [{domain}.Gone]", SERVICE)
    project.commit()
    checked = project.job("check")
    assert checked.code == 1, checked.output
    assert "title=EVENT_TYPE_REMOVED::" in checked.output
