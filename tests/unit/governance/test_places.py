"""From a JSON pointer into a bundled schema to a line of a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lockgate.avro.schema import bundle
from lockgate.governance.documents import locate, path_of, read, working_tree

ORDER = """\
{
  "type": "record", "name": "Order", "namespace": "shop",
  "fields": [
    {"name": "id",
     "type": "string"},
    {"name": "price", "type": {"type": "common.Money"}},
    {"name": "lines", "type": {"type": "array",
      "items": "Line"}},
    {"name": "gift", "type": ["null",
      "common.Money"], "default": null},
    {"name": "state", "type": {"type": "record", "name": "State", "namespace": "shop.inner",
      "fields": [{"name": "code", "type": "int"},
                 {"name": "next", "type": ["null",
                    "State"]}]}},
    {"name": "a/b", "doc": "no name of Avro's, and a pointer all the same", "type": "int"}
  ]
}
"""
LINE = """\
{
  "type": "record", "name": "shop.Line",
  "fields": [
    {"name": "price", "type": "common.Money"}
  ]
}
"""
MONEY = """\
{
  "type": "record", "name": "Money", "namespace": "common",
  "fields": [
    {"name": "amount", "type": "long"},
    {"name": "currency", "type": {"type": "enum", "name": "Currency",
      "symbols": ["EUR"]}}
  ]
}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in (("shop.Order", ORDER), ("shop.Line", LINE), ("common.Money", MONEY)):
        path = tmp_path / path_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("", "schemas/shop/Order.avsc:1"),
        ("/fields/0/type", "schemas/shop/Order.avsc:5"),
        # the use of a shared type, and what is inside of it
        ("/fields/1/type", "schemas/shop/Order.avsc:6"),
        ("/fields/1/type/fields/0/type", "schemas/common/Money.avsc:4"),
        ("/fields/1/type/fields/1/type/symbols", "schemas/common/Money.avsc:6"),
        # relative names, lists, unions, and a shared type's shared type
        ("/fields/2/type/items", "schemas/shop/Order.avsc:8"),
        ("/fields/2/type/items/fields/0/type/fields/0", "schemas/common/Money.avsc:4"),
        ("/fields/3/type/1", "schemas/shop/Order.avsc:10"),
        ("/fields/3/type/1/fields/1/name", "schemas/common/Money.avsc:5"),
        # a type that is defined in place, in a namespace of its own, and used again by its name
        ("/fields/4/type/fields/0/type", "schemas/shop/Order.avsc:12"),
        ("/fields/4/type/fields/1/type/1", "schemas/shop/Order.avsc:14"),
        ("/fields/4/type/fields/1/type/1/fields/0", "schemas/shop/Order.avsc:12"),
        ("/fields/5/doc", "schemas/shop/Order.avsc:15"),
        # what is not there has the line of what is around it
        ("/fields/0/default", "schemas/shop/Order.avsc:5"),
        ("/fields/17/type", "schemas/shop/Order.avsc:3"),
    ],
)
def test_a_pointer_goes_through_shared_types(root: Path, pointer: str, place: str) -> None:
    file, line = locate(working_tree(root), "shop.Order", pointer)
    assert f"{file}:{line}" == place


def test_every_pointer_into_the_bundle_has_a_line_of_the_file_that_says_it(root: Path) -> None:
    find = working_tree(root)
    documents = {name: json.loads((root / path_of(name)).read_text()) for name in ("shop.Line", "common.Money")}
    order = json.loads(ORDER)
    del order["fields"][5]  # which is no schema
    bundled = bundle("shop.Order", {**documents, "shop.Order": order})

    def walk(node: object, pointer: str) -> None:
        if isinstance(node, dict | list):
            for key, value in node.items() if isinstance(node, dict) else enumerate(node):
                walk(value, f"{pointer}/{key}")
        elif pointer.endswith("/name"):
            file, line = locate(find, "shop.Order", pointer)
            # a line of one definition may hold its full name
            assert f'{str(node).rpartition(".")[2]}"' in (root / file).read_text().splitlines()[line - 1], pointer

    walk(bundled, "")


def test_a_type_without_a_file_has_the_place_where_its_file_would_be(tmp_path: Path) -> None:
    assert locate(working_tree(tmp_path), "shop.Order", "/fields/0") == ("schemas/shop/Order.avsc", 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"string"',
        b'{"type": "record"}',
        b'{"type": "record", "name": "Other", "namespace": "shop", "fields": []}',
        b'{"type": "record", "name": "Order", "namespace": "shop"}',
        b'{"type": "record", "name": "Order", "namespace": "shop", "fields": [1]}',
        b'{"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "x", "type": {}}]}',
        b'{"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "x", "type": 5}]}',
        b"[" * 100_000,
    ],
    ids=lambda content: content[:60].decode(errors="replace"),
)
def test_what_is_no_schema_of_that_name_is_no_document(content: bytes) -> None:
    document = read("shop.Order", content)
    assert document is None or document.full_name == "shop.Order"
    if document is not None:
        assert document.uses == frozenset()
