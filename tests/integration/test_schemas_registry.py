"""Schemas and the real registry: it refuses what the check refuses, and only `ci` may register."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from lockgate.avro.compatibility import Level, check
from lockgate.avro.schema import canonical
from lockgate.contracts.load import load
from lockgate.errors import RegistryDenied, RegistryError
from lockgate.registry import Registry
from tests.worlds import SharedStack, World, write_world


@pytest.fixture(scope="module")
def registry(stack: SharedStack) -> Iterator[Registry]:
    """Return the registry as the identity that may register."""
    with Registry(stack.settings("ci")) as client:
        yield client


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Event", "namespace": "t", "fields": list(fields)} | more


def value(type_: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "value", "type": type_} | more)


def color(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "Color", "symbols": list(symbols)} | more


def money(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Money", "fields": [{"name": "amount", "type": "long"}, *fields]} | more


NODE = {"name": "next", "type": ["null", "t.Event"], "default": None}
HISTORIES: dict[str, list[dict[str, Any]]] = {
    "a required field is added": [record(), value("int")],
    "an optional field is added": [record(), value("int", default=1)],
    "a field with a default is removed": [value("int", default=1), record()],
    "a number is widened": [value("int"), value("long")],
    "a number is narrowed": [value("double"), value("float")],
    "text becomes bytes": [value("string"), value("bytes")],
    "a type changes": [value("int"), value("boolean")],
    "a value becomes optional": [value("string"), value(["null", "string"])],
    "a branch is removed": [value(["null", "string", "int"]), value(["null", "string"])],
    "a symbol is added": [value(color("A")), value(color("A", "B"))],
    "a symbol is added, with a default": [
        value(color("A", default="A")),
        value(color("A", "B", default="A")),
    ],
    "a fixed grows": [
        value({"type": "fixed", "name": "Id", "size": 4}),
        value({"type": "fixed", "name": "Id", "size": 8}),
    ],
    "a shared type needs a new field": [
        value({"type": "array", "items": money()}),
        value({"type": "array", "items": money({"name": "currency", "type": "string"})}),
    ],
    "a shared type needs a new field, in an optional field": [
        value(["null", money()]),
        value(["null", money({"name": "currency", "type": "string"})]),
    ],
    "a shared type is renamed": [value(money()), value(money(name="Price"))],
    "a shared type is renamed, with an alias": [value(money()), value(money(name="Price", aliases=["Money"]))],
    "a field is renamed, with an alias": [
        value("int"),
        record({"name": "number", "type": "int", "aliases": ["value"]}),
    ],
    "a type that holds itself changes": [
        record(NODE, {"name": "value", "type": "int"}),
        record(NODE, {"name": "value", "type": "string"}),
    ],
    "a value goes and comes back as another": [value("string", default=""), record(), value("int", default=1)],
    "a day loses its meaning": [value({"type": "int", "logicalType": "date"}), value("int")],
}


@pytest.mark.parametrize("level", get_args(Level))
@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES.keys())
def test_the_registry_refuses_what_the_check_refuses(
    registry: Registry, history: list[dict[str, Any]], level: str
) -> None:
    subject = f"parity-{secrets.token_hex(6)}-t.Event"
    *earlier, candidate = history
    registry.set_compatibility(subject, "NONE")
    for schema in earlier:
        registry.register(subject, schema)
    registry.set_compatibility(subject, level)
    if any(finding.kind == "breaking" for finding in check(earlier, candidate, level)):
        with pytest.raises(RegistryError) as caught:
            registry.register(subject, candidate)
        assert caught.value.status == 409
    else:
        assert registry.register(subject, candidate)


def test_register_sets_the_level_and_registers_once(stack: SharedStack, registry: Registry, tmp_path: Path) -> None:
    name = f"t{secrets.token_hex(4)}"
    write_world(tmp_path, name)
    done = stack.lockgate("schemas", "register", root=tmp_path)
    assert done.returncode == 0, done.stderr
    subject = f"{name}a-{name}a.Made"
    assert f"{subject}: compatibility set to FULL\n{subject}: registered as schema " in done.stdout
    assert registry.compatibility(subject) == "FULL"
    found = registry.version(subject)
    assert found is not None
    # the registry writes it in its own way
    assert canonical(found.schema) == canonical(load(tmp_path).events[f"{name}a.Made"].schema)
    again = json.loads(stack.lockgate("schemas", "register", "--output", "json", root=tmp_path).stdout)
    assert {step["action"] for step in again["steps"]} == {"unchanged"}
    assert len(registry.versions(subject)) == 1


def test_an_incompatible_change_is_told_and_refused_before_anything_is_touched(
    world: World, stack: SharedStack, registry: Registry
) -> None:
    domain = f"{world.name}a"
    assert stack.lockgate("schemas", "check", "--against", "registry", root=world.root).returncode == 0
    made = world.root / "schemas" / domain / "Made.avsc"
    document = json.loads(made.read_text(encoding="utf-8"))
    document["fields"].append({"name": "needed", "type": "string", "doc": "It."})
    made.write_text(json.dumps(document), encoding="utf-8")
    gone = world.root / "schemas" / domain / "Gone.avsc"
    document = json.loads(gone.read_text(encoding="utf-8"))
    document["fields"].append({"name": "note", "type": ["null", "string"], "default": None, "doc": "It."})
    gone.write_text(json.dumps(document), encoding="utf-8")

    told = stack.lockgate("schemas", "check", "--against", "registry", root=world.root)
    assert told.returncode == 1
    assert f"no  {domain}.Made against registry, at FULL:" in told.stdout
    assert "what version 1 has written cannot be read any more: needed" in told.stdout
    refused = stack.lockgate("schemas", "register", root=world.root)
    assert refused.returncode == 2
    assert "nothing was registered" in refused.stderr
    assert registry.versions(f"{domain}-{domain}.Gone") == [1]


def test_a_service_may_read_schemas_and_not_register_them(world: World) -> None:
    subject = f"{world.source_topic}-{world.source_topic}.Made"
    with Registry(world.settings(world.writer)) as registry:
        assert registry.versions(subject) == [1]
        with pytest.raises(RegistryDenied):
            registry.register(subject, value("int"))
        with pytest.raises(RegistryDenied):
            registry.set_compatibility(subject, "NONE")
