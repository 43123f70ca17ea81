"""Generated classes carry what Avro carries: for any schema, from an object to bytes and back is the same object."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lockgate.avro.codec import Decoder, Encoder
from lockgate.avro.defaults import default_datum
from lockgate.avro.parser import parse
from lockgate.avro.types import Array, Enum, Map, Record, Type, Union, python_kind, walk
from lockgate.governance.classes import module_text
from tests.unit.avro.strategies import datum_for, records_with_defaults

SEEDS = 5


def text_of(schema: Any) -> str:
    named = [type_ for type_ in walk(parse(schema)) if isinstance(type_, Record | Enum)]
    return module_text("t", named)


def module_of(schema: Any) -> Any:
    module = types.ModuleType("generated")
    sys.modules["generated"] = module  # attrs looks a class's module up
    exec(compile(text_of(schema), "generated", "exec"), vars(module))  # noqa: S102  # this is what is tested
    return module


def class_of(schema: Any) -> Any:
    return getattr(module_of(schema), schema["name"].rpartition(".")[2])


def is_typed(type_: Type, value: Any) -> bool:
    """Say whether a value is what the annotation of its type promises: classes and enums at every depth."""
    match type_:
        case Record() | Enum():
            cls = getattr(sys.modules["generated"], type_.name.rpartition(".")[2])
            if type(value) is not cls or isinstance(type_, Enum):
                return type(value) is cls
            return all(is_typed(field.type, getattr(value, field.name)) for field in type_.fields)
        case Array():
            return type(value) is list and all(is_typed(type_.items, item) for item in value)
        case Map():
            return type(value) is dict and all(is_typed(type_.values, item) for item in value.values())
        case Union():
            pair = value[1] if isinstance(value, tuple) else value
            return any(is_typed(branch, pair) for branch in type_.branches)
        case _:
            return type(value).__name__ == python_kind(type_).replace("None", "NoneType")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema=records_with_defaults(), seed=st.integers(0, 10_000))
def test_from_object_to_bytes_and_back_is_the_same_object(schema: Any, seed: int) -> None:
    record, cls, encoder, decoder = parse(schema), class_of(schema), Encoder(schema), Decoder(schema, schema)
    for offset in range(SEEDS):
        datum = datum_for(schema, seed + offset)
        event = cls.from_avro(datum)
        assert is_typed(record, event)
        assert event.to_avro() == datum
        assert cls.from_avro(decoder.decode(encoder.encode(event.to_avro()), 0)) == event


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema=records_with_defaults(), seed=st.integers(0, 10_000))
def test_what_is_left_out_in_code_is_the_schemas_default(schema: Any, seed: int) -> None:
    record = parse(schema)
    assert isinstance(record, Record)
    cls = class_of(schema)
    full = cls.from_avro(datum_for(schema, seed))
    required = {field.name: getattr(full, field.name) for field in record.fields if not field.has_default}
    datum = cls(**required).to_avro()
    for field in record.fields:
        if field.has_default:
            assert datum[field.name] == default_datum(field.type, field.default)


@pytest.mark.timeout(240)
def test_what_is_generated_for_any_schema_passes_the_strictest_type_check(tmp_path: Path) -> None:
    """One run of mypy over the modules of many schemas, for a run takes seconds."""
    texts: set[str] = set()

    @settings(max_examples=30, deadline=None, database=None, phases=[Phase.generate], derandomize=True)
    @given(schema=records_with_defaults())
    def gather(schema: Any) -> None:
        texts.add(text_of(schema))

    gather()
    assert len(texts) > 15
    for number, text in enumerate(sorted(texts)):
        (tmp_path / f"module_{number}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout
