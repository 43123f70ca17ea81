"""What holds for every schema and every value."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.avro.codec import Decoder, Encoder
from lockgate.avro.parser import parse
from lockgate.avro.types import Union, walk
from lockgate.errors import PoisonError
from tests.unit.avro.strategies import datum_for, records

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
HEAD = b"\x00\x00\x00\x00\x01"


@RELAXED
@given(records(), st.integers(0, 2**32))
def test_what_is_encoded_is_decoded_again(schema: dict[str, Any], seed: int) -> None:
    datum = datum_for(schema, seed)
    assert Decoder(schema, schema).decode(HEAD + Encoder(schema).encode(datum)) == datum


@RELAXED
@given(records(), st.integers(0, 2**32))
def test_fastavro_reads_what_is_encoded(schema: dict[str, Any], seed: int) -> None:
    datum = datum_for(schema, seed)
    source = io.BytesIO(Encoder(schema).encode(datum))
    read = fastavro.schemaless_reader(source, fastavro.parse_schema(schema), None)
    assert source.read() == b""
    if not any(isinstance(type_, Union) for type_ in walk(parse(schema))):  # it does not say which branch it read
        assert read == datum


@RELAXED
@given(records(), st.integers(0, 2**32), st.data())
def test_one_changed_byte_is_another_datum_or_poison(schema: dict[str, Any], seed: int, data: st.DataObject) -> None:
    encoder, decoder = Encoder(schema), Decoder(schema, schema)
    value = bytearray(encoder.encode(datum_for(schema, seed)))
    if value:
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    _decodes_soundly_or_is_poison(encoder, decoder, bytes(value))


@RELAXED
@given(records(), st.integers(0, 2**32), st.data())
def test_a_cut_value_is_truncated(schema: dict[str, Any], seed: int, data: st.DataObject) -> None:
    encoder, decoder = Encoder(schema), Decoder(schema, schema)
    value = encoder.encode(datum_for(schema, seed))
    if value:
        cut = value[: data.draw(st.integers(0, len(value) - 1))]
        with pytest.raises(PoisonError) as caught:
            decoder.decode(cut, 0)
        assert caught.value.reason == "truncated"


@RELAXED
@given(records(), st.binary(max_size=60))
def test_any_bytes_are_a_datum_or_poison(schema: dict[str, Any], value: bytes) -> None:
    _decodes_soundly_or_is_poison(Encoder(schema), Decoder(schema, schema), value)


def _decodes_soundly_or_is_poison(encoder: Encoder, decoder: Decoder, value: bytes) -> None:
    try:
        datum = decoder.decode(value, 0)
    except PoisonError:
        return
    written = encoder.encode(datum)
    # the bytes may differ (a number with needless bytes, a list in several blocks), the meaning may not
    assert repr(decoder.decode(written, 0)) == repr(datum)
