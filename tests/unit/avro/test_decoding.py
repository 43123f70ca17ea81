"""Each way in which a value can be wrong has its reason; most of them a lenient decoder takes for data."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from lockgate.avro.codec import Decoder
from lockgate.errors import PoisonError, SchemaError


def decoder(type_: Any) -> Decoder:
    schema = {"type": "record", "name": "t.Event", "fields": [{"name": "value", "type": type_}]}
    return Decoder(schema, schema)


def decode(type_: Any, value: bytes) -> Any:
    return decoder(type_).decode(value, 0)["value"]


def reason(type_: Any, value: bytes) -> str:
    with pytest.raises(PoisonError) as caught:
        decoder(type_).decode(value, 0)
    return caught.value.reason


ENUM = {"type": "enum", "name": "t.Color", "symbols": ["RED", "GREEN"]}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("null", b"", None),
        ("boolean", b"\x01", True),
        ("int", b"\xff\xff\xff\xff\x0f", -(2**31)),
        ("long", b"\xff" * 9 + b"\x01", -(2**63)),
        ("long", b"\x82\x80\x00", 1),  # needless bytes are odd, but Avro does not forbid them
        ("double", b"\x00\x00\x00\x00\x00\x00\xf8\x3f", 1.5),
        ("string", b"\x06\xe2\x82\xac", "€"),
        ("bytes", b"\x04\x00\xff", b"\x00\xff"),
        (ENUM, b"\x02", "GREEN"),
        (ENUM, b"\x82\x00", "GREEN"),
        (["null", "string"], b"\x02\x02a", "a"),
        (["null", "string"], b"\x82\x00\x02a", "a"),
        (["int", "long"], b"\x02\x02", ("long", 1)),
        ({"type": "array", "items": "int"}, b"\x02\x02\x02\x04\x00", [1, 2]),
        ({"type": "array", "items": "int"}, b"\x03\x04\x02\x04\x00", [1, 2]),  # a block that says its size
        ({"type": "map", "values": "int"}, b"\x02\x02a\x02\x00", {"a": 1}),
        (DECIMAL, b"\x04\x01\x2c", Decimal("3.00")),
        ({"type": "int", "logicalType": "date"}, b"\x02", date(1970, 1, 2)),
        ({"type": "int", "logicalType": "time-millis"}, b"\xd0\x0f", time(0, 0, 1)),
        ({"type": "long", "logicalType": "timestamp-millis"}, b"\xd0\x0f", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ({"type": "string", "logicalType": "uuid"}, b"\x40" + b"0" * 32, UUID(int=0)),
    ],
)
def test_a_well_formed_value_is_read(type_: Any, value: bytes, expected: Any) -> None:
    assert decode(type_, value) == expected


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("boolean", b""),
        ("int", b"\x80"),
        ("double", b"\x00" * 7),
        ("float", b"\x00" * 3),
        ("string", b"\x04a"),
        ("string", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01a"),
        ("bytes", b"\x02"),
        ({"type": "fixed", "name": "t.Four", "size": 4}, b"abc"),
        ({"type": "array", "items": "int"}, b"\x02\x02"),
        ({"type": "array", "items": "int"}, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02"),
        ({"type": "map", "values": "null"}, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02"),
        (["null", "string"], b"\x02"),
    ],
)
def test_a_value_that_ends_early_is_truncated(type_: Any, value: bytes) -> None:
    assert reason(type_, value) == "truncated"


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("boolean", b"\x02"),
        ("int", b"\x80\x80\x80\x80\x10"),  # 2³¹
        ("long", b"\xff" * 10 + b"\x01"),
        ("long", b"\xff" * 9 + b"\x02"),  # the 65th bit
        ("string", b"\x01abc"),
        ("string", b"\x02\xff"),
        ("bytes", b"\x03abc"),
        ({"type": "array", "items": "null"}, b"\x80\x80\x80\x80\x80\x80\x80\x80\x20\x00"),  # 2⁶⁰ items of no bytes
        ({"type": "array", "items": "int"}, b"\x03\x06\x02\x04\x00"),  # a block shorter than it says
        ({"type": "array", "items": "int"}, b"\x03\x01\x02\x04\x00"),
        ({"type": "int", "logicalType": "date"}, b"\xfe\xff\xff\xff\x0f"),
        ({"type": "int", "logicalType": "time-millis"}, b"\x01"),
        ({"type": "long", "logicalType": "timestamp-millis"}, b"\xfe" + b"\xff" * 8 + b"\x01"),
        ({"type": "string", "logicalType": "uuid"}, b"\x02a"),
        (DECIMAL, b"\x04\x27\x10"),  # 100.00 has five digits
    ],
)
def test_bytes_that_are_no_value_of_the_type_are_malformed(type_: Any, value: bytes) -> None:
    assert reason(type_, value) == "malformed"


@pytest.mark.parametrize("type_", [ENUM, ["null", "boolean"], ["null"]])
@pytest.mark.parametrize("value", [b"\x01", b"\x03", b"\x04", b"\x7f", b"\x81\x01", b"\xff" * 9 + b"\x01"])
def test_an_index_that_the_schema_does_not_have_is_out_of_range(type_: Any, value: bytes) -> None:
    assert reason(type_, value) == "index-out-of-range"


def test_a_trailing_byte_is_poison() -> None:
    assert reason("int", b"\x02\x00") == "trailing-bytes"


def test_endless_nesting_is_refused_and_does_not_end_the_process() -> None:
    node = {"type": "record", "name": "t.Node", "fields": [{"name": "next", "type": ["null", "t.Node"]}]}
    assert Decoder(node, node).decode(b"\x02" * 150 + b"\x00", 0)["next"] is not None
    assert reason(node, b"\x02" * 1_000_000 + b"\x00") == "malformed"
    assert sys.getrecursionlimit() >= 1000


def test_a_block_of_nothing_many_times_is_refused_before_memory_is_used() -> None:
    assert reason({"type": "array", "items": "null"}, b"\xfe\x7f" * 100 + b"\x00") == "malformed"


def test_poison_says_where_it_was_found() -> None:
    line = {"type": "record", "name": "t.Line", "fields": [{"name": "gift", "type": "boolean"}]}
    with pytest.raises(PoisonError, match=r"value\[1\]\.gift \(byte 2 of 4\): a boolean of 0x02"):
        decode({"type": "array", "items": line}, b"\x04\x01\x02\x00")


def test_the_offset_skips_the_framing() -> None:
    assert decoder("int").decode(b"\x00\x00\x00\x00\x01\x02") == {"value": 1}


def test_a_value_shorter_than_the_framing_is_truncated() -> None:
    with pytest.raises(PoisonError) as caught:
        decoder("int").decode(b"\x00\x00")
    assert caught.value.reason == "truncated"


def test_a_writers_schema_that_is_not_valid_is_poison_and_a_readers_is_an_error() -> None:
    good = {"type": "record", "name": "t.Event", "fields": []}
    with pytest.raises(PoisonError) as caught:
        Decoder({"type": "record"}, good)
    assert caught.value.reason == "schema-mismatch"
    with pytest.raises(SchemaError):
        Decoder(good, {"type": "record"})
    with pytest.raises(SchemaError):
        Decoder(good, "string")


def test_empty_record_with_framing_only() -> None:
    schema = {"type": "record", "name": "t.Event", "fields": []}
    assert Decoder(schema, schema).decode(b"\x00\x00\x00\x00\x01") == {}
    with pytest.raises(PoisonError) as caught:
        Decoder(schema, schema).decode(b"\x00")
    assert caught.value.reason == "truncated"
