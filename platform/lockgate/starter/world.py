"""A new world: rendered, loaded like any other project, and only then written."""

from __future__ import annotations

import ast
import re
import string
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import attrs

from lockgate.contracts.load import load
from lockgate.errors import ContractsError, UsageError
from lockgate.governance import codegen, editor
from lockgate.governance.codeowners import as_codeowners, owned
from lockgate.starter.compose import compose_text

__all__ = ["World", "create"]

_SUFFIX = ".tmpl"
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


class _Template(string.Template):
    """Leave `$` alone: shells, Docker and GitHub have their own use for it."""

    delimiter = "@@"


@attrs.frozen
class World:
    """Name what a new world consists of."""

    name: str
    """Of the compose project and in the README: lower-case letters, digits and hyphens."""
    domain: str = "tickets"
    """A Python identifier: folder, Avro namespace, and the topic's name with hyphens for underscores."""
    service: str = "desk"
    """Of the service and of its consuming workload; `<service>.intake` is the other one."""
    team: str = "Support"
    contact: str = "@support"

    @property
    def folder(self) -> str:
        """Return the service's folder."""
        return re.sub(r"[.-]", "_", self.service)

    def _values(self) -> dict[str, str]:
        values: dict[str, str] = attrs.asdict(self)
        return values | {"folder": self.folder, "topic": self.domain.replace("_", "-"), "version": version("lockgate")}


def create(world: World, target: Path) -> list[str]:
    """Write a world into a folder, made where there is none, and return the paths of its files.

    Raise UsageError, before anything is written, where one of the files is there already, or a name cannot stand.
    """
    _check(world)
    with tempfile.TemporaryDirectory(prefix="lockgate-init-") as place:
        made = Path(place)
        _make(world, made)
        paths = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
        taken = [path for path in paths if (target / path).exists() or (target / path).is_symlink()]
        if taken:
            listed = ", ".join(taken[:3]) + (" and more" if len(taken) > 3 else "")
            raise UsageError(
                f"nothing was written: {target} has {listed} already",
                next_step="choose an empty folder: lockgate init DIR",
            )
        for path in paths:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes((made / path).read_bytes())
    return paths


def _check(world: World) -> None:
    if not _SLUG.fullmatch(world.name):
        expected = "lower-case letters, digits and hyphens"
        raise UsageError(f"{world.name!r} is no name for a world: {expected}", next_step="choose one: --name NAME")
    for option, value in (("team", world.team), ("contact", world.contact)):
        if not value.isprintable() or set('"\\') & set(value):
            raise UsageError(f"--{option} is {value!r}; it is one line without quotes and backslashes")


def _make(world: World, root: Path) -> None:
    for path, text in _rendered(world):
        if path.endswith(".py"):
            _refuse_shadowing(world.domain, path, text)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    try:
        contracts = load(root)
    except ContractsError as error:
        raise UsageError(
            f"a world of these names would not load: {error.message}",
            next_step="choose others: see `lockgate init --help`",
        ) from error
    codegen.write(contracts)
    editor.write(root)
    compose = compose_text(world.name, contracts.workloads.values())
    (root / "docker-compose.yaml").write_text(compose, encoding="utf-8")
    (root / ".github" / "CODEOWNERS").write_text(as_codeowners(owned(contracts)), encoding="utf-8")


def _refuse_shadowing(domain: str, path: str, text: str) -> None:
    """Refuse a domain whose module would be hidden by what the code itself binds: `service`, `context`, `sys`."""
    bound: set[str] = set()
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise UsageError(f"{domain!r} cannot be a domain: it is no Python identifier") from error
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                bound.add(name)
            case ast.Import() | ast.ImportFrom() if getattr(node, "module", None) != "schemas":
                bound |= {alias.name for alias in node.names}
    if domain in bound:
        raise UsageError(f"the domain cannot be called {domain}: {path} has that name for something else")


def _rendered(world: World) -> Iterator[tuple[str, str]]:
    values = world._values()
    for path, template in _templates(files("lockgate.starter").joinpath("files"), ""):
        place = path.removesuffix(_SUFFIX).replace("dot-", ".")
        place = place.replace("DOMAIN", world.domain).replace("SERVICE", world.folder)
        yield place, _Template(template).substitute(values)


def _templates(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield f"{prefix}{entry.name}", entry.read_text(encoding="utf-8")
