"""What holds for the project as a whole: its layout, the direction of its imports, its public names."""

from __future__ import annotations

import ast
import platform
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lockgate

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "platform" / "lockgate"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    {"errors", "lazy"},
    {"avro"},
    {"contracts"},
    {"control", "ids", "notes", "records", "connection"},
    {"committed", "registry"},
    {"governance", "provisioning", "runtime", "deadletters"},
    {"local", "testing", "starter"},
    {"demo"},
    {"console"},
    {"cli"},
    {"__main__"},
)
"""Lowest first; what stands in one layer imports only from those below. `lockgate/__init__.py` re-exports."""

LEVELS = {part: level for level, layer in enumerate(LAYERS) for part in layer}

RE_EXPORTED = {"errors", "lazy", "runtime"}
"""What `lockgate/__init__.py` may take its names from."""

COUNTED = {("cli/demo.py", "orders"), ("demo/run.py", "orders")}
"""Where a domain's name is an ordinary word: the demo's option `--orders N` and what it counts."""

PUBLIC = [
    "ClusterDenied",
    "ClusterError",
    "ClusterUnavailable",
    "Context",
    "ContractsError",
    "Delivery",
    "DeliveryError",
    "EventError",
    "HandlerError",
    "Inbox",
    "LockgateError",
    "PlanRefused",
    "PoisonError",
    "Producer",
    "RegistryDenied",
    "RegistryError",
    "RegistryUnavailable",
    "Reject",
    "SchemaError",
    "Service",
    "SettingsError",
    "StackError",
    "Tombstone",
    "UsageError",
]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = ("lockgate", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


NAMES = {module_name(path) for path in MODULES}


def for_types_only(path: Path) -> set[ast.AST]:
    """Return the imports that no program ever makes: those below `if TYPE_CHECKING:`."""
    return {
        child
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for child in ast.walk(statement)
    }


def imports(path: Path, *, types: bool = True) -> Iterator[tuple[str, int]]:
    """Yield each module of the package that a module imports, wherever the import stands, with its line."""
    left_out = set() if types else for_types_only(path)
    for node in ast.walk(parsed(path)):
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            # `from lockgate.governance import catalog` may mean a module, too
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name if name in NAMES else str(node.module) for name in found]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # Modules that are imported on demand are named by a string ("lockgate.cli.run:run"); a string that names
            # a package is for `python -m`, and starts a program.
            name = node.value.partition(":")[0]
            found = [name] if name in NAMES and not (PACKAGE.parent / name.replace(".", "/")).is_dir() else []
        else:
            continue
        for name in found:
            if name == "lockgate" or name.startswith("lockgate."):
                yield name, node.lineno


def part(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


def words(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the words of a module's identifiers and texts; docstrings and comments may give examples."""
    tree = parsed(path)
    said = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        texts: list[str] = []
        for field in ("id", "name", "asname", "attr", "arg", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                texts.append(value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in said:
            texts.append(node.value)
        for text in texts:
            for word in re.findall(r"[a-z]+", text.lower()):
                yield word, getattr(node, "lineno", 1)


def test_the_platform_folder_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists(), "it would hide the standard library's `platform`"
    assert not Path(str(platform.__file__)).is_relative_to(ROOT)


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {part(module_name(path)) for path in MODULES} - {"__init__"}
    assert parts <= set(LEVELS), "say in LAYERS what the new part may import"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    me = part(module_name(path))
    for name, line in imports(path):
        other = part(name)
        if me == "__init__":
            allowed = other in RE_EXPORTED
        else:
            allowed = other == me or (other in LEVELS and LEVELS[other] < LEVELS[me])
        assert allowed, f"{path.relative_to(ROOT)}:{line}: {me} must not import {name}"


def test_no_two_modules_import_each_other() -> None:
    """Not even on demand: then each can be loaded, and understood, without the other."""
    graph = {
        module_name(path): {name for name, _ in imports(path, types=False) if name in NAMES - {module_name(path)}}
        for path in MODULES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' ← '.join(error.args[1])}")


def test_no_module_names_the_domains_of_the_demo() -> None:
    domains = {path.parent.name for path in (ROOT / "schemas").glob("*/domain.yaml")}
    assert domains, "there is a world to look for"
    found = {
        (path.relative_to(PACKAGE).as_posix(), word): f"{path.relative_to(ROOT)}:{line}: names {word}"
        for path in MODULES
        for word, line in words(path)
        if word in domains
    }
    assert [place for key, place in found.items() if key not in COUNTED] == []
    assert set(found) >= COUNTED, "an exception that is needed no more"


def test_the_public_names_are_these() -> None:
    assert lockgate.__all__ == PUBLIC
    assert dir(lockgate) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(lockgate, name).__name__ == name
