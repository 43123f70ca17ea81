"""`lockgate schemas`: lint, check, register and generate code from the contracts' schemas."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockgate.cli.options import Project, as_option, echo_json, output_option, pass_project
from lockgate.connection import Settings, settings_for
from lockgate.errors import ContractsError, SettingsError
from lockgate.governance.annotations import FORMS, Annotation, Form, Severity, as_github, as_gitlab, as_junit, as_text

if TYPE_CHECKING:
    from lockgate.governance.findings import Verdict

__all__ = ["schemas"]


@click.group()
def schemas() -> None:
    """Lint, check, register and generate code from the schemas of the contracts."""


@schemas.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where something is not current.")
@click.option(
    "--into",
    metavar="PACKAGE",
    help="Another package, below the working directory: acme.events is acme/events/<namespace>/__init__.py.",
)
@output_option
@pass_project
def codegen(project: Project, into: str | None, output: str, *, check: bool) -> int:
    """Write the typed event classes: schemas/<namespace>/__init__.py.

    A repository that has no contracts of its own takes them with -C CONTRACTS and --into PACKAGE.
    """
    from lockgate.governance.codegen import OWN, Package, generate, outdated, write

    package, base = (OWN, project.root) if into is None else (Package(into), Path.cwd())
    paths = outdated(project.contracts, package, base) if check else write(project.contracts, package, base)
    current = f"{len(generate(project.contracts))} modules are current"
    return _report_generated(
        paths, output, f"codegen --into {into}" if into else "codegen", check=check, current=current
    )


@schemas.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where something is not current.")
@output_option
@pass_project
def editor(project: Project, output: str, *, check: bool) -> int:
    """Write JSON Schemas of domain.yaml and service.yaml, for completion and errors in editors.

    They are schemas/domain.schema.json and services/service.schema.json. A file names its own in its first line:
    `# yaml-language-server: $schema=../domain.schema.json`.
    """
    from lockgate.governance.editor import outdated, write

    paths = outdated(project.root) if check else write(project.root)
    return _report_generated(paths, output, "editor", check=check, current="the editor's schemas are current")


def _report_generated(paths: Sequence[str], output: str, command: str, *, check: bool, current: str) -> int:
    """Say what was written, or what would be, and return the exit code."""
    if output == "json":
        echo_json({"current": not paths, "outdated" if check else "written": list(paths)})
        return int(check and bool(paths))
    for path in paths:
        click.echo(f"{path} is not current" if check else f"wrote {path}")
    if not paths:
        click.echo(current)
    elif check:
        click.echo(f"  next: run `lockgate schemas {command}`", err=True)
    return int(check and bool(paths))


def _source(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    for value in values:
        if value not in ("registry", "git") and (not value.startswith("git:") or value == "git:"):
            raise click.BadParameter(f"expected registry, git or git:REF, got {value!r}")
    return tuple(values)


@schemas.command()
@click.option(
    "--against",
    "sources",
    multiple=True,
    default=("git",),
    show_default="git",
    metavar="git|git:REF|registry",
    callback=_source,
    help="What to compare with; may be given more than once. `git` is the commit where this branch left main.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["breaking", "unsafe"]),
    default="breaking",
    show_default=True,
    help="From what on the gate says no.",
)
@click.option(
    "--cases",
    metavar="FILE",
    help="Check the schemas of a JSON file instead, `-` for standard input; print the answers as JSON, and exit 0.",
)
@as_option("ci")
@click.option(
    "--output",
    type=click.Choice(FORMS),
    default="text",
    show_default=True,
    help="Form of the result; `github` and `gitlab` are annotations for their merge views.",
)
@pass_project
def check(
    project: Project, sources: tuple[str, ...], fail_on: str, cases: str | None, principal: str, output: Form
) -> int:
    """Compare every event type's schema with its earlier versions, at the compatibility level of its domain.

    Exit 1 where readers or writers would break, or a subject is gone that is still read.
    """
    if cases is not None:
        from lockgate.cli.cases import answer_cases

        answer_cases(cases)
        return 0
    from lockgate.governance.check import check as check_all

    settings = _registry_settings(principal, project) if "registry" in sources else None
    refs = [source.removeprefix("git").removeprefix(":") or None for source in sources if source != "registry"]
    verdict = check_all(project.contracts, refs=tuple(dict.fromkeys(refs)), registry=settings)
    strict = fail_on == "unsafe"
    for line in _forms(verdict, output, project, strict=strict):
        click.echo(line)
    return int(verdict.says_no(fail_on_unsafe=strict))


def _forms(verdict: Verdict, output: Form, project: Project, *, strict: bool) -> Iterable[str]:
    from lockgate.cli.verdict import verdict_lines
    from lockgate.governance.remarks import remarks

    if output == "text":
        return verdict_lines(verdict)
    if output == "json":
        return [json.dumps(verdict.as_json(), indent=2, ensure_ascii=False)]
    found = remarks(verdict, prefix=_prefix(project), fail_on_unsafe=strict)
    if output == "junit":
        return [as_junit("lockgate schemas check", found, failing=("error",))]
    everything = [remark for case in found.values() for remark in case]
    return as_github(everything) if output == "github" else [as_gitlab(everything)]


def _prefix(project: Project) -> str:
    """Return the way from the repository's root to the project: annotations name files from there."""
    root = project.root.resolve()
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            relative = root.relative_to(folder).as_posix()
            return "" if relative == "." else f"{relative}/"
    return ""


@schemas.command()
@click.option("--output", type=click.Choice(FORMS), default="text", show_default=True, help="Form of the findings.")
@click.option(
    "--fail-on",
    type=click.Choice(["warning", "error"]),
    default="warning",
    show_default=True,
    help="The least severity that exits 1.",
)
@pass_project
def lint(project: Project, output: Form, fail_on: str) -> int:
    """Look at the schemas for what is valid and still a mistake; exit 1 where something is found.

    docs/lint.md lists the rules. A domain turns one off with a reason: `lint: {exempt: {rule: reason}}` in domain.yaml.
    """
    from lockgate.governance.lint.run import by_file, failing, lint, mistakes

    severities: tuple[Severity, ...] = ("error",) if fail_on == "error" else ("error", "warning")
    try:
        linted = lint(project.contracts)
    except ContractsError as error:  # what does not load is shown beside its lines, too; it still exits 2
        if output not in ("text", "json"):
            _echo_annotations(by_file(mistakes(error.problems), _prefix(project)), output, severities)
        raise
    failed = failing(linted.findings, fail_on)
    match output:
        case "json":
            echo_json({"passed": not failed, **linted.as_json()})
        case "text":
            for finding in linted.findings:
                for line in as_text(finding):
                    click.echo(line)
            click.echo(linted.summary)
        case _:
            _echo_annotations(by_file(linted.findings, _prefix(project), linted.files), output, severities)
    return int(failed)


def _echo_annotations(found: Mapping[str, Sequence[Annotation]], output: Form, failing: Sequence[Severity]) -> None:
    everything = [finding for case in found.values() for finding in case]
    if output == "junit":
        click.echo(as_junit("lockgate schemas lint", found, failing))
    elif output == "gitlab":
        click.echo(as_gitlab(everything))
    else:
        for line in as_github(everything):
            click.echo(line)


@schemas.command()
@output_option
@pass_project
def register(project: Project, output: str) -> int:
    """Set compatibility levels and register schemas, as the identity `ci`.

    Nothing is registered where one of the schemas is not compatible with what the registry has. Exit 2 too where the
    registry fails midway: what was done is told, and a second run does the rest.
    """
    from lockgate.cli.verdict import registration_lines
    from lockgate.governance.register import register as register_all
    from lockgate.registry import Registry

    with Registry(_registry_settings("ci", project)) as registry:
        done = register_all(project.contracts, registry)
    if output == "json":
        echo_json(done.as_json())
    else:
        for line in registration_lines(done):
            click.echo(line)
    if done.failure is None:
        return 0
    click.echo(f"error: {done.failure}", err=True)
    click.echo(f"  next: run it again: {len(done.pending)} subjects are still to be registered", err=True)
    return 2


def _registry_settings(principal: str, project: Project) -> Settings:
    """Return settings for the registry alone: where its address is in the environment, no broker has to be."""
    environ = dict(os.environ)
    if environ.get("LOCKGATE_REGISTRY_URL"):
        environ.setdefault("LOCKGATE_BOOTSTRAP_SERVERS", "")
    try:
        return settings_for(principal, project.root, environ)
    except SettingsError as error:
        raise SettingsError(
            f"the registry cannot be asked: {error.message}",
            next_step="`lockgate up`, or set LOCKGATE_REGISTRY_URL, or leave it out with `--against git`",
        ) from error
