"""The classes that are generated from contracts: current, typed, and the same as what the codec reads and writes."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import attrs
import pytest

from lockgate.avro.codec import Decoder, Encoder
from lockgate.avro.event import Event
from lockgate.avro.sample import sample
from lockgate.cli.main import main
from lockgate.contracts.model import Contracts, Domain, EventType, Location, Owner, TopicSpec
from lockgate.errors import PoisonError, SchemaError, UsageError
from lockgate.governance import codegen

HERE = Location("schemas/shop/domain.yaml", 1)
_COUNT = itertools.count()


def contracts(root: Path, *schemas: dict[str, Any]) -> Contracts:
    events = tuple(EventType(schema["name"], schema, HERE) for schema in schemas)
    owner, topic = Owner("Shop", "@shop"), TopicSpec("shop", 1, 1, 1)
    domain = Domain("shop", owner, topic, "id", "FULL_TRANSITIVE", events, (), (), HERE)
    return Contracts(root, (domain,), ())


Generate = Callable[..., ModuleType]


@pytest.fixture
def generate(tmp_path: Path) -> Generate:
    """Return a function that generates the module of a domain `shop` from schemas, and imports it."""

    def make(*schemas: dict[str, Any]) -> ModuleType:
        text = codegen.generate(contracts(tmp_path, *schemas))["schemas/shop/__init__.py"]
        file = tmp_path / "shop.py"
        file.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(f"generated_{next(_COUNT)}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module
        spec.loader.exec_module(module)
        return module

    return make


def event(*fields: Any, name: str = "shop.Event") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


COLOR = {"type": "enum", "name": "shop.Color", "symbols": ["RED", "count", "None"], "doc": "Of a thing."}
ITEM = event({"name": "sku", "type": "string"}, name="shop.Item")
GIFT = event({"name": "to", "type": ["null", "string"]}, name="shop.Gift")
RICH = event(
    {"name": "id", "type": "string", "doc": 'Says "who".'},
    {"name": "class", "type": "int"},
    {"name": "str", "type": "double", "default": 1},
    {"name": "datetime", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "_private", "type": "bytes", "default": "\u00ff"},
    {"name": "self", "type": {"type": "int", "logicalType": "date"}, "default": 0},
    {"name": "clock", "type": {"type": "long", "logicalType": "time-micros"}},
    {"name": "token", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "color", "type": COLOR, "default": "count"},
    {"name": "items", "type": {"type": "array", "items": ITEM}, "default": []},
    {"name": "by_name", "type": {"type": "map", "values": "shop.Item"}, "default": {"a": {"sku": "s"}}},
    {"name": "maybe", "type": ["null", "shop.Item"], "default": None},
    {"name": "either", "type": ["shop.Item", GIFT, "string"]},
    {"name": "later", "type": ["null", "int", "string", "long"], "default": 2**40},
    {"name": "number", "type": ["null", "int", "long", "double", "boolean"], "default": None},
    {"name": "colors", "type": {"type": "array", "items": ["null", "shop.Color", "string"]}},
    {"name": "nested", "type": {"type": "map", "values": {"type": "array", "items": ["null", "shop.Gift"]}}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "parent", "type": ["null", "shop.Event"], "default": None},
    {"name": "when", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}, "shop.Color"]},
    {
        "name": "any_date",
        "type": [{"type": "int", "logicalType": "date"}, {"type": "long", "logicalType": "timestamp-millis"}],
    },
)


def test_the_shipped_modules_are_current() -> None:
    load = pytest.importorskip("lockgate.contracts.load").load
    root = Path(__file__).resolve().parents[3]
    assert codegen.outdated(load(root)) == [], "run `lockgate schemas codegen`"


@pytest.mark.parametrize("seed", range(60))
def test_every_datum_comes_back_from_its_object(generate: Generate, seed: int) -> None:
    cls = generate(RICH).Event
    datum = sample(RICH, seed)
    value = cls.from_avro(datum)
    assert isinstance(value, Event)
    assert value.to_avro() == datum
    assert cls.from_avro(Decoder(RICH, RICH).decode(Encoder(RICH).encode(value.to_avro()), 0)) == value


def test_names_that_python_cannot_have_get_an_underscore(generate: Generate) -> None:
    shop = generate(RICH)
    names = [field.name for field in attrs.fields(shop.Event)]
    assert names[:6] == ["id", "class_", "str_", "datetime_", "private_", "self_"]
    assert [member.name for member in shop.Color] == ["RED", "count_", "None_"]
    assert shop.Event.__avro_name__ == "shop.Event"


def test_defaults_are_the_schemas(generate: Generate) -> None:
    shop = generate(RICH)
    value = shop.Event(
        id="1",
        class_=1,
        datetime_=datetime(2025, 1, 1, tzinfo=UTC),
        clock=datetime(2025, 1, 1).time(),
        token=UUID(int=1),
        either="text",
        colors=[],
        nested={},
        price=Decimal("1.00"),
        when=None,
        any_date=datetime(2025, 1, 1).date(),
    )
    assert (value.str_, value.private_, value.color, value.items) == (1.0, b"\xff", shop.Color.count_, [])
    assert value.by_name == {"a": shop.Item(sku="s")}
    assert value.later == ("long", 2**40)
    assert Encoder(RICH).encode(value.to_avro())


def test_objects_are_frozen_and_take_keywords_only(generate: Generate) -> None:
    item = generate(RICH).Item(sku="a")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        item.sku = "b"
    with pytest.raises(TypeError):
        type(item)("a")


def test_the_text_is_the_same_for_the_same_contracts(tmp_path: Path) -> None:
    other = event({"name": "id", "type": "string"}, name="shop.Other")
    one = codegen.generate(contracts(tmp_path, RICH, other))
    assert one == codegen.generate(contracts(tmp_path, other, RICH))


def test_the_text_passes_the_strictest_type_check(tmp_path: Path) -> None:
    for path, text in codegen.generate(contracts(tmp_path, RICH)).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    (tmp_path / "use.py").write_text(
        "from schemas import shop\n"
        "from lockgate.avro.event import Event\n"
        "def take(event: Event) -> None: ...\n"
        "def use(event: shop.Event, datum: dict[str, object]) -> str | None:\n"
        "    take(event)\n"
        "    take(shop.Event.from_avro(datum))\n"
        "    return None if event.maybe is None else event.maybe.sku\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", "--namespace-packages"]
    done = subprocess.run(
        [*command, "schemas", "use.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_documentation_cannot_break_out_of_its_docstring(generate: Generate) -> None:
    doc = 'Ends with a quote", has """ three, a \\ and\ntwo lines\n"""\nimport os'
    shop = generate(event({"name": "id", "type": "string", "doc": doc}) | {"doc": doc})
    assert "three" in shop.Event.__doc__
    assert not hasattr(shop, "os")


def test_hostile_names_do_not_get_into_the_code(generate: Generate) -> None:
    default = '"); import os; ("\n\\'
    shop = generate(event({"name": "id", "type": "string", "default": default}))
    assert shop.Event().id == default


@pytest.mark.parametrize("name", ["TypeError", "isinstance", "item", "key", "value", "self", "common", "Any", "None"])
def test_types_may_be_called_like_what_the_module_itself_uses(generate: Generate, name: str) -> None:
    inner = event({"name": "sku", "type": "string"}, name=f"shop.{name}")
    schema = event(
        {"name": "one", "type": inner},
        {"name": "many", "type": {"type": "map", "values": f"shop.{name}"}},
        {"name": "either", "type": [f"shop.{name}", "string", {"type": "array", "items": f"shop.{name}"}]},
    )
    cls = generate(schema).Event
    for seed in range(10):
        datum = sample(schema, seed)
        assert cls.from_avro(datum).to_avro() == datum


@pytest.mark.parametrize("name", ["classmethod", "isinstance", "type", "TypeError", "attrs", "Self", "to_avro", "cls"])
def test_fields_may_be_called_like_what_the_class_itself_uses(generate: Generate, name: str) -> None:
    schema = event({"name": name, "type": "string", "default": "x"}, {"name": "other", "type": ["int", ITEM]})
    cls = generate(schema).Event
    assert cls(other=1).to_avro() == {name: "x", "other": 1}


def test_two_types_that_would_have_one_class_are_refused(tmp_path: Path) -> None:
    twins = event({"name": "one", "type": event(name="shop.None")}, {"name": "other", "type": event(name="shop.None_")})
    with pytest.raises(SchemaError, match="two types of shop would have classes called None_"):
        codegen.generate(contracts(tmp_path, twins))


def test_texts_that_no_source_file_can_hold_are_escaped(generate: Generate) -> None:
    doc = "nul \0, bell \a, half a pair \ud800, music \U0001d173"
    schema = event({"name": "id", "type": "string", "default": "\0 \ud800", "doc": doc}) | {"doc": doc}
    cls = generate(schema).Event
    assert cls().id == "\0 \ud800"
    assert "nul" in cls.__doc__


def test_a_default_beyond_every_double_is_infinite(generate: Generate) -> None:
    nested = event({"name": "x", "type": "double"}, name="shop.Nested")
    schema = event(
        {"name": "far", "type": "double", "default": float("-inf")},
        {"name": "nested", "type": nested, "default": {"x": float("inf")}},
    )
    value = generate(schema).Event()
    assert (value.far, value.nested.x) == (float("-inf"), float("inf"))


def test_a_symbol_that_the_class_does_not_know_follows_avro(generate: Generate) -> None:
    def colored(symbols: list[str], **default: str) -> dict[str, Any]:
        return event({"name": "color", "type": {"type": "enum", "name": "shop.Color", "symbols": symbols, **default}})

    written = Encoder(colored(["RED", "BLUE"])).encode({"color": "BLUE"})
    tolerant = colored(["RED", "OTHER"], default="OTHER")
    shop = generate(tolerant)
    known = Decoder(colored(["RED", "BLUE"]), tolerant).decode(written, 0)
    assert shop.Event.from_avro(known).color is shop.Color.OTHER
    strict = colored(["RED", "OTHER"])
    with pytest.raises(PoisonError, match="BLUE"):
        Decoder(colored(["RED", "BLUE"]), strict).decode(written, 0)
    with pytest.raises(ValueError, match="BLUE"):  # code that makes up a symbol is wrong, and not tolerated
        shop.Color("BLUE")


def test_a_record_without_fields_is_a_class_too(generate: Generate) -> None:
    cls = generate(event()).Event
    assert cls.from_avro({}).to_avro() == {}


def test_a_type_of_a_foreign_namespace_is_refused(tmp_path: Path) -> None:
    foreign = event({"name": "x", "type": {"type": "record", "name": "other.Thing", "fields": []}})
    with pytest.raises(SchemaError, match=r"other\.Thing, which shop\.Event uses, is in no domain"):
        codegen.generate(contracts(tmp_path, foreign))


def test_shared_types_get_a_module_of_their_own(tmp_path: Path) -> None:
    money = event({"name": "amount", "type": "long"}, name="common.Money")
    modules = codegen.generate(contracts(tmp_path, event({"name": "total", "type": money})))
    assert sorted(modules) == ["schemas/common/__init__.py", "schemas/shop/__init__.py"]
    assert "from schemas import common" in modules["schemas/shop/__init__.py"]
    assert "    total: common.Money" in modules["schemas/shop/__init__.py"]


def test_another_package_takes_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    money = event({"name": "amount", "type": "long"}, name="common.Money")
    project = contracts(tmp_path / "contracts", event({"name": "total", "type": money}))
    package, base = codegen.Package("acme_taken.events"), tmp_path / "elsewhere"
    paths = [f"acme_taken/events/{name}__init__.py" for name in ("", "common/", "shop/")]
    assert codegen.outdated(project, package, base) == paths[1:]
    assert codegen.write(project, package, base) == paths
    assert codegen.outdated(project, package, base) == codegen.write(project, package, base) == []
    assert not (tmp_path / "contracts").exists()
    monkeypatch.syspath_prepend(base)
    shop = importlib.import_module("acme_taken.events.shop")
    common = importlib.import_module("acme_taken.events.common")
    assert shop.Event(total=common.Money(amount=1)).to_avro() == {"total": {"amount": 1}}
    assert shop.Event.__avro_name__ == "shop.Event"


def test_an_init_of_the_packages_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "__init__.py").write_text("MINE = 1\n", encoding="utf-8")
    codegen.write(contracts(tmp_path, event()), codegen.Package("acme"), tmp_path)
    assert (tmp_path / "acme" / "__init__.py").read_text(encoding="utf-8") == "MINE = 1\n"


@pytest.mark.parametrize("name", ["", "a..b", "a-b", "acme.class", "../up", "/etc"])
def test_what_is_no_package_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no package's name"):
        codegen.Package(name)


def test_the_command_generates_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path(__file__).resolve().parents[3]
    arguments = ["-C", str(root), "schemas", "codegen", "--into", "acme.events"]
    for extra, code in ((["--check"], 1), ([], 0), (["--check"], 0)):
        with pytest.raises(SystemExit) as caught:
            main([*arguments, *extra])
        assert caught.value.code == code
    assert "wrote acme/events/orders/__init__.py" in capsys.readouterr().out
    assert "from acme.events import common" in (tmp_path / "acme/events/orders/__init__.py").read_text("utf-8")


def test_only_what_is_not_current_is_written(tmp_path: Path) -> None:
    (tmp_path / "schemas" / "shop").mkdir(parents=True)
    project = contracts(tmp_path, RICH)
    assert codegen.outdated(project) == ["schemas/shop/__init__.py"]
    assert codegen.write(project) == ["schemas/shop/__init__.py"]
    assert codegen.outdated(project) == codegen.write(project) == []
