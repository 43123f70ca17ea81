"""The project's own rules: its layout, the direction of its imports, its public names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lockgate
from lockgate.contracts.load import load

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "platform" / "lockgate"
MODULES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    {"errors"},
    {"avro"},
    {"contracts"},
    {"records", "connection"},
    {"registry"},
    {"governance", "provisioning", "runtime", "deadletters"},
    {"local", "testing"},
    {"demo"},  # drives the local stack and everything below it
    {"cli"},
)
"""Each may import what stands before it and its own parts."""


def layer(part: str) -> int:
    return next(index for index, parts in enumerate(LAYERS) if part in parts)


def imports(module: Path) -> Iterator[tuple[int, str]]:
    """Yield line and name of every import of the package, those inside functions and for type checkers included."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "lockgate")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lockgate":
            if node.module == "lockgate":
                yield from ((node.lineno, f"lockgate.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def identifier(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def test_there_is_no_package_that_hides_the_standard_library_s_platform() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_every_part_has_its_layer() -> None:
    parts = {module.relative_to(PACKAGE).parts[0].removesuffix(".py") for module in MODULES}
    assert parts - {"__init__", "__main__"} <= set().union(*LAYERS)


@pytest.mark.parametrize("module", MODULES, ids=identifier)
def test_imports_go_one_way(module: Path) -> None:
    part = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return  # the outermost doors: they may know everybody
    wrong = []
    for line, name in imports(module):
        used = name.split(".")[1]
        if used != part and (used in ("__init__", "__main__") or layer(used) >= layer(part)):
            wrong.append(f"{identifier(module)}:{line} imports {name}")
    assert not wrong


@pytest.mark.parametrize("module", MODULES, ids=identifier)
def test_relative_imports_are_not_used(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


def test_no_module_of_the_library_names_the_world_that_ships_with_it() -> None:
    world = load(ROOT)
    plain = {domain.name for domain in world.domains}  # English words, too: wrong only where they stand alone
    proper = {event.name for event in world.events.values()} | set(world.events)
    proper |= {name for name in (*world.workloads, *(service.name for service in world.services)) if "-" in name}
    found = []
    for module in MODULES:
        tree = ast.parse(module.read_text(encoding="utf-8"))
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                words = set(node.value.replace("/", " ").replace(":", " ").replace("'", " ").split())
                if node.value in plain or words & proper:
                    found.append(f"{identifier(module)}:{node.lineno} says {node.value!r}")
    assert not found


def test_the_public_names_are_these_and_no_others() -> None:
    assert lockgate.__all__ == [
        "ClusterDenied",
        "ClusterError",
        "ClusterUnavailable",
        "Context",
        "ContractsError",
        "DeliveryError",
        "EventError",
        "HandlerError",
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
    assert sorted(name for name in dir(lockgate) if not name.startswith("_")) == sorted(lockgate.__all__)


@pytest.mark.parametrize("name", lockgate.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(lockgate, name).__name__ == name
