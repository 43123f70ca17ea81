"""Every rule of lint: what it finds, what it leaves alone, and how a domain turns it off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lockgate.cli.main import main
from lockgate.contracts.load import load
from lockgate.errors import ContractsError
from lockgate.governance.annotations import Annotation
from lockgate.governance.lint.rules import BY_ID, OWN, RULES, as_markdown
from lockgate.governance.lint.run import lint
from tests.projects import write_project

ROOT = Path(__file__).resolve().parents[3]
DOMAIN = """\
owner: {team: Shop, contact: "@shop"}
topic: {name: shop}
key: order_id
events: [Sold]
"""
KEY = {"name": "order_id", "type": "string", "doc": "Assigned by the shop."}
WHEN = {"name": "sold_at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "When, in UTC."}
DOC = {"doc": "Something that nobody can guess."}


def sold(*fields: Any, **attributes: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": "Sold",
        "namespace": "shop",
        "doc": "A thing has found a buyer.",
        "fields": [KEY, WHEN, *fields],
        **attributes,
    }


def field(name: str, type_: Any, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **DOC, **attributes}


def enum(name: str = "Reason", symbols: Any = ("UNKNOWN", "A_B2"), **attributes: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols), "default": symbols[0], **DOC, **attributes}


def shared(name: str, namespace: str = "common", fields: Any = ()) -> dict[str, Any]:
    fields = fields or [field("cents", "long")]
    return {"type": "record", "name": name, "namespace": namespace, **DOC, "fields": list(fields)}


def files(event: Mapping[str, Any], domain: str = DOMAIN, *others: Mapping[str, Any]) -> dict[str, str]:
    documents = {f"schemas/{other['namespace']}/{other['name']}.avsc": json.dumps(other, indent=1) for other in others}
    return {
        "schemas/shop/domain.yaml": domain,
        "schemas/shop/Sold.avsc": json.dumps(event, indent=1),
        **documents,
    }


def findings(root: Path, project: Mapping[str, str]) -> list[Annotation]:
    return list(lint(load(write_project(root, project))).findings)


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
DAY = {"type": "int", "logicalType": "date"}
LOCAL = {"type": "long", "logicalType": "local-timestamp-micros"}
HASH = {"type": "fixed", "name": "Hash", "size": 32, **DOC}

# For each rule: projects in which it finds exactly one thing, each with a part of what it says.
FOUND: dict[str, list[tuple[dict[str, str], str]]] = {
    "type-name": [
        (files(sold(field("why", enum("sale_reason")))), "the enum sale_reason is not in PascalCase"),
        (files(sold(field("digest", {**HASH, "name": "hash"}))), "the fixed hash"),
    ],
    "field-name": [
        (files(sold(field("unitCount", "int"))), "the field Sold.unitCount is not in snake_case"),
        (files(sold(field("a__b", "int"))), "a__b"),
        (files(sold(field("part", shared("Part", "shop", [field("X", "int")])))), "Part.X"),
    ],
    "symbol-name": [(files(sold(field("why", enum(symbols=("UNKNOWN", "soldOut"))))), "the symbol soldOut of Reason")],
    "namespace-name": [
        (
            {
                "schemas/webShop/domain.yaml": DOMAIN,
                "schemas/webShop/Sold.avsc": json.dumps(sold(namespace="webShop")),
            },
            "the namespace webShop is not in snake_case",
        )
    ],
    "name-noise": [(files(sold(field("why", enum("ReasonEnum")))), "ReasonEnum says enum")],
    "name-confusable": [
        (files(sold(field("user_id", "string"), field("userid", "string"))), "the fields user_id and userid of Sold"),
        (files(sold(field("why", enum(symbols=("UNKNOWN", "A_B", "AB"))))), "the symbols A_B and AB of Reason"),
    ],
    "python-name": [(files(sold(field("from", "string"))), "the field from of Sold cannot be called so in Python")],
    "type-shadowed": [
        (
            files(sold(field("cash", "common.Money"), field("own", shared("Money", "shop"))), DOMAIN, shared("Money")),
            "shop.Money shadows the shared type common.Money (schemas/common/Money.avsc)",
        )
    ],
    "doc-type": [(files(sold(doc=" ")), "the record Sold has no doc")],
    "doc-field": [(files(sold({"name": "size", "type": "int"})), "the field Sold.size has no doc")],
    "doc-echo": [(files(sold(field("unit_count", "int", doc="The unit count."))), "only repeats its name")],
    "owner-reachable": [(files(sold(), DOMAIN.replace("@shop", "ask around")), "nobody can be reached at")],
    "money-decimal": [
        (files(sold(field("price", "double"))), "Sold.price is money in a double"),
        (files(sold(field("unitPrice", ["null", "float"], default=None))), "Sold.unitPrice is money in a float"),
        (files(sold(field("total_eur", "string"))), "Sold.total_eur is money in a string"),
        (files(sold(field("fees", {"type": "array", "items": "double"}))), "Sold.fees"),
        (files(sold(field("fees", {"type": "map", "values": {"type": "double"}}))), "Sold.fees"),
    ],
    "timestamp-utc": [
        (files(sold(field("paid_at", "long"))), "Sold.paid_at names a moment, and its type (plain long)"),
        (files(sold(field("paid_at", ["null", "string"], default=None))), "plain string"),
        (files(sold(field("paid_at", DAY))), "(date)"),
        (files(sold(field("opening", LOCAL))), "Sold.opening is a local timestamp"),
    ],
    "date-type": [(files(sold(field("due_date", "string"))), "Sold.due_date names a day")],
    "duration-unit": [(files(sold(field("timeout", "long"))), "nothing says in which unit")],
    "opaque-payload": [(files(sold(field("raw_json", "string"))), "Sold.raw_json hides a document in a string")],
    "key-personal": [
        (
            files(sold(field("email", "string")), DOMAIN.replace("order_id", "email")),
            "the key Sold.email names a person",
        )
    ],
    "default-stand-in": [
        (files(sold(field("note", "string", default=""))), "the default '' of Sold.note stands for a missing value"),
        (files(sold(field("size", "int", default=-1))), "the default -1"),
        (
            files(sold(field("seen_at", {"type": "long", "logicalType": "timestamp-millis"}, default=0))),
            "the default 0 of Sold.seen_at",
        ),
    ],
    "union-null-first": [
        (files(sold(field("note", ["string", "null"]))), "null is not the first branch of the union of Sold.note"),
        (files(sold(field("notes", {"type": "array", "items": ["string", "null"]}))), "null is not the first"),
    ],
    "union-null-default": [(files(sold(field("note", ["null", "string"]))), "Sold.note may be null and has no")],
    "union-single": [(files(sold(field("note", ["string"]))), "the union of Sold.note is a union of one type")],
    "union-size": [
        (files(sold(field("any", ["boolean", "long", "double", "bytes", "string"]))), "is a choice of 5 types")
    ],
    "union-alike": [
        (files(sold(field("n", ["int", "long"]))), "int and long of the union of Sold.n are both int in Python"),
        (files(sold(field("n", ["bytes", HASH]))), "bytes and Hash"),
    ],
    "enum-default": [
        (files(sold(field("why", enum(default=None)))), "the enum Reason has no default"),
    ],
    "enum-default-neutral": [
        (files(sold(field("why", enum(symbols=("PAID", "UNPAID"))))), "turns into PAID, a statement"),
    ],
    "default-valid": [
        (
            files(sold(field("ratio", "float", default=1e300))),
            "the default 1e+300 of Sold.ratio is more than a float can hold",
        ),
    ],
    "logical-effect": [
        (files(sold(field("s", {"type": "long", "logicalType": "timestamp-milis"}))), "timestamp-milis has no effect"),
        (files(sold(field("s", {"type": "string", "logicalType": "date"}))), "there is none on string"),
        (files(sold(field("s", {"type": "array", "items": "int", "logicalType": "set"}))), "set has no effect"),
    ],
    "attribute-place": [
        (
            files(sold(field("bought", "long", logicalType="timestamp-millis"))),
            "logicalType of Sold.bought stands",
        ),
    ],
    "attribute-spelling": [
        (files(sold(field("note", "string", defualt="x"))), "defualt is no attribute of Avro"),
        (files(sold(field("why", enum(docs="x", doc="Why.", aliase=[])))), "aliase is no attribute"),
    ],
    "alias-self": [
        (files(sold(aliases=["Sold"])), "Sold is its own alias"),
        (files(sold(aliases=["shop.Sold"])), "shop.Sold is its own alias"),
    ],
    "type-unused": [
        (files(sold(), DOMAIN, shared("Spare", "shop")), "no event type uses shop.Spare, and schemas/shop/domain.yaml"),
        (files(sold(), DOMAIN, shared("Spare")), "no event type uses common.Spare"),
    ],
    "event-empty": [(files(sold(fields=[KEY])), "shop.Sold holds its key and nothing else")],
    "compatibility-transitive": [
        (files(sold(), f"{DOMAIN}compatibility: NONE\n"), "any change is accepted"),
        (files(sold(), f"{DOMAIN}compatibility: BACKWARD\n"), "BACKWARD compares with the latest version only"),
    ],
}
# What some examples cannot help but say as well.
MONEY = shared("Money")
ALSO = {
    "field-name": {"name-confusable"},
    "money-decimal": {"field-name"},
    "default-valid": {"type-unused"},
    "default-stand-in": set[str](),
}
FOUND["default-valid"].append(
    (
        files(
            sold(),
            DOMAIN,
            shared("Part", "shop", [field("m", "common.Money", default={"cents": "x"})]),
            shared("Money"),
        ),
        "the default 'x' is no long",
    )
)


@pytest.mark.parametrize(("rule", "index"), [(rule, n) for rule, cases in FOUND.items() for n in range(len(cases))])
def test_the_rule_finds_it(tmp_path: Path, rule: str, index: int) -> None:
    project, message = FOUND[rule][index]
    found = findings(tmp_path, project)
    mine = [finding for finding in found if finding.rule == rule]
    assert len(mine) == 1, found
    assert message in mine[0].message
    assert mine[0].fix
    assert {finding.rule for finding in found} - {rule} <= ALSO.get(rule, set()), found


def test_every_rule_has_an_example_that_it_finds() -> None:
    assert set(FOUND) == {rule.id for rule in RULES}


# Everything that looks like a mistake, and is none.
FINE = [
    field("note", ["null", "string"], default=None),
    field("lines", {"type": "array", "items": ["null", "string"]}, default=[]),
    field("label", ["string", "null"], default="new"),
    field("price", DECIMAL),
    field("price_cents", "long"),
    field("total", "int"),
    field("discount", ["null", DECIMAL], default=None),
    field("price_list_id", "string"),
    field("amount", "common.Money"),
    field("seat", "string"),
    field("tip", "string"),
    field("battery_charge", "double"),
    field("format", "string"),
    field("paid_at", ["null", {"type": "long", "logicalType": "timestamp-micros"}], default=None),
    field("due_date", DAY),
    field("wait_seconds", "int"),
    field("timeout", "int", doc="In seconds."),
    field("why", enum()),
    field("first", enum("Status", ("ORDER_STATUS_UNSPECIFIED", "DONE"))),
    field("digest", HASH),
    field("either", ["long", "string", "boolean"]),
    field("retries", "int", default=0),
    field("code", "string", default="standard"),
    field("tags", {"type": "map", "values": "string"}, default={}),
    field("custom", "string", **{"com.example.pii": True, "aliases": ["special"]}),
    field("parent", ["null", "Sold"], default=None),
]


def test_what_only_looks_like_a_mistake_is_left_alone(tmp_path: Path) -> None:
    assert findings(tmp_path, files(sold(*FINE), DOMAIN, shared("Money"))) == []


def test_the_shipped_schemas_pass() -> None:
    linted = lint(load(ROOT))
    assert linted.findings == ()
    assert linted.exempted == 0


def test_a_finding_names_line_column_and_pointer(tmp_path: Path) -> None:
    lines = [
        '{"type": "record", "name": "Sold", "namespace": "shop", "doc": "A thing has found a buyer.",',
        ' "fields": [',
        f"  {json.dumps(KEY)},",
        f"  {json.dumps(WHEN)},",
        '  {"doc": "Of one.", "name": "price", "type": "double"}]}',
    ]
    (found,) = findings(tmp_path, {**files(sold()), "schemas/shop/Sold.avsc": "\n".join(lines)})
    assert (found.file, found.line, found.column) == ("schemas/shop/Sold.avsc", 5, 39)
    assert found.pointer == "/fields/2/type"
    assert "decimal" in found.fix


def test_a_finding_of_a_contract_names_its_field(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, files(sold(), f"{DOMAIN}compatibility: NONE\n"))
    assert (found.place, found.pointer) == ("schemas/shop/domain.yaml:5:1", "/compatibility")


OFF = 'lint: {exempt: {money-decimal: "the till sends doubles; gone with it in May"}}\n'
BAD = sold(field("price", "double"), field("fee", "float"))


def test_a_domain_turns_a_rule_off_with_a_reason(tmp_path: Path) -> None:
    linted = lint(load(write_project(tmp_path, files(BAD, DOMAIN + OFF))))
    assert linted.findings == ()
    assert linted.exempted == 2
    assert linted.summary == "2 files: nothing found, 2 exempted"


def test_an_exemption_holds_in_its_own_domain_only(tmp_path: Path) -> None:
    other = {
        "schemas/fair/domain.yaml": DOMAIN.replace("{name: shop}", "{name: fair}"),
        "schemas/fair/Sold.avsc": json.dumps(BAD | {"namespace": "fair"}),
    }
    found = findings(tmp_path, {**files(BAD, DOMAIN + OFF), **other})
    assert {finding.file for finding in found} == {"schemas/fair/Sold.avsc"}


def test_an_exemption_holds_for_the_type_that_it_names_only(tmp_path: Path) -> None:
    lent = sold(field("price", "double")) | {"name": "Lent"}
    off = "lint: {exempt: {money-decimal: {Sold: the till sends doubles}}}\n"
    domain = DOMAIN.replace("[Sold]", "[Sold, Lent]") + off
    world = files(BAD, domain) | {"schemas/shop/Lent.avsc": json.dumps(lent)}
    linted = lint(load(write_project(tmp_path, world)))
    assert [(finding.rule, finding.file) for finding in linted.findings] == [
        ("money-decimal", "schemas/shop/Lent.avsc")
    ]
    assert linted.exempted == 2


def test_an_exemption_for_a_type_goes_before_that_of_the_domain(tmp_path: Path) -> None:
    off = OFF + "  # and for one type\n"
    both = off.replace("{money-decimal: ", "{doc-field: {Sold: none}, money-decimal: ")
    (found,) = findings(tmp_path, files(BAD, DOMAIN + both))
    assert (found.rule, found.pointer) == ("exemption-unneeded", "/lint/exempt/doc-field/Sold")
    assert found.message == "doc-field is turned off, and nothing in Sold needs that any more"


def test_an_exemption_for_a_type_that_there_is_not_is_found(tmp_path: Path) -> None:
    off = "lint: {exempt: {money-decimal: {Sald: the till sends doubles}}}\n"
    found = {finding.rule: finding for finding in findings(tmp_path, files(sold(), DOMAIN + off))}
    assert found.keys() == {"exemption-unknown"}
    assert found["exemption-unknown"].fix == "did you mean Sold?"


def test_shared_types_have_no_exemptions(tmp_path: Path) -> None:
    money = shared("Money", fields=[field("amount", "double")])
    found = findings(tmp_path, files(sold(field("cash", "common.Money")), DOMAIN + OFF, money))
    assert sorted(finding.rule for finding in found) == ["exemption-unneeded", "money-decimal"]


def test_an_exemption_that_is_not_needed_any_more_is_found(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, files(sold(), DOMAIN + OFF))
    assert (found.rule, found.severity, found.file, found.line) == (
        "exemption-unneeded",
        "error",
        "schemas/shop/domain.yaml",
        5,
    )


def test_an_exemption_from_an_unknown_rule_is_found(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, files(sold(), DOMAIN + OFF.replace("money-decimal", "money-decimals")))
    assert (found.rule, found.fix) == ("exemption-unknown", "did you mean money-decimal?")


def test_what_is_said_about_exemptions_cannot_be_turned_off(tmp_path: Path) -> None:
    for rule in OWN:
        (found,) = findings(tmp_path, files(sold(), DOMAIN + OFF.replace("money-decimal", rule.id)))
        assert found.rule == "exemption-unknown"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lint: {exempt: {money-decimal: }}", "lint.exempt.money-decimal: expected text, got nothing"),
        ('lint: {exempt: {money-decimal: ""}}', "lint.exempt.money-decimal: expected text, got empty text"),
        ("lint: {exempt: {money-decimal: true}}", "lint.exempt.money-decimal: expected text, got a truth value (true)"),
        ("lint: {exempt: [money-decimal]}", "lint.exempt: expected fields, got a list"),
        ("lint: {exemp: {money-decimal: x}}", "unknown field lint.exemp (did you mean exempt?)"),
        ("lint: {exempt: {a: x, a: y}}", "lint.exempt.a stands here twice, first on line 5"),
        ("lint: {exempt: {a: {B: }}}", "lint.exempt.a.B: expected text, got nothing"),
        ("lint: {}", "missing field lint.exempt"),
    ],
)
def test_an_exemption_without_a_reason_is_a_mistake_in_the_contract(tmp_path: Path, given: str, message: str) -> None:
    with pytest.raises(ContractsError) as caught:
        load(write_project(tmp_path, files(BAD, f"{DOMAIN}{given}\n")))
    (problem,) = caught.value.problems
    assert message in str(problem)


def test_yaml_reads_on_and_off_as_truth_values_so_the_field_is_called_exempt(tmp_path: Path) -> None:
    with pytest.raises(ContractsError, match="expected the name of a field, got a truth value"):
        load(write_project(tmp_path, files(BAD, DOMAIN + "lint: {off: {money-decimal: x}}\n")))


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def bad(tmp_path: Path) -> str:
    event = sold(field("price", "double"), field("note", "string", default=""))
    return str(write_project(tmp_path, files(event)))


def test_the_command_exits_1_where_something_is_found(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-C", bad, "schemas", "lint") == 1
    printed = capsys.readouterr().out.splitlines()
    assert "error: Sold.price is money in a double" in printed[0]
    assert printed[1].startswith("    fix: use {")
    assert printed[-1] == "2 files: 1 error, 1 warning"


def test_warnings_alone_pass_where_only_errors_are_to_fail(tmp_path: Path) -> None:
    root = str(write_project(tmp_path, files(sold(field("note", "string", default="")))))
    assert run("-C", root, "schemas", "lint") == 1
    assert run("-C", root, "schemas", "lint", "--fail-on", "error") == 0


def test_the_json_form_holds_files_findings_and_the_verdict(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-C", bad, "schemas", "lint", "--output", "json") == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["passed"] is False
    assert printed["files"] == ["schemas/shop/Sold.avsc", "schemas/shop/domain.yaml"]
    assert [finding["rule"] for finding in printed["findings"]] == ["money-decimal", "default-stand-in"]
    assert printed["exempted"] == 0


@pytest.mark.parametrize(
    ("form", "begins"), [("github", "::error file=schemas/shop/Sold.avsc"), ("gitlab", "["), ("junit", "<?xml")]
)
def test_the_other_forms_are_printed_alone(
    bad: str, capsys: pytest.CaptureFixture[str], form: str, begins: str
) -> None:
    assert run("-C", bad, "schemas", "lint", "--output", form) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(begins)
    assert "2 files" not in printed


def test_annotations_name_files_from_the_repositorys_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".git").mkdir()
    root = write_project(tmp_path / "contracts", files(sold(field("price", "double"))))
    assert run("-C", str(root), "schemas", "lint", "--output", "github") == 1
    assert capsys.readouterr().out.startswith("::error file=contracts/schemas/shop/Sold.avsc,")


@pytest.mark.parametrize("form", ["github", "gitlab", "junit"])
def test_what_does_not_load_is_annotated_too_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    root = str(write_project(tmp_path, files(sold(), DOMAIN.replace("key: order_id", "key: order_nr"))))
    assert run("-C", root, "schemas", "lint", "--output", form) == 2
    printed = capsys.readouterr()
    assert "shop.Sold has no field order_nr" in printed.out
    assert "schemas/shop/Sold.avsc" in printed.out
    assert "1 mistake in the contracts" in printed.err


def test_junit_fails_at_what_the_gate_fails_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(write_project(tmp_path, files(sold(field("note", "string", default="")))))
    for fail_on, code, failures in (("error", 0, 'failures="0"'), ("warning", 1, 'failures="1"')):
        assert run("-C", root, "schemas", "lint", "--output", "junit", "--fail-on", fail_on) == code
        assert failures in capsys.readouterr().out


def test_a_project_without_findings_exits_0_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(write_project(tmp_path, files(sold())))
    for form in ("text", "json", "junit", "github", "gitlab"):
        assert run("-C", root, "schemas", "lint", "--output", form) == 0
    assert "2 files: nothing found" in capsys.readouterr().out


def test_rules_have_distinct_ids_and_say_what_they_ask_for() -> None:
    assert len(BY_ID) == len(RULES) + len(OWN)
    assert all(rule.sentence.endswith(".") or rule.sentence.endswith(".)") for rule in BY_ID.values())


def test_the_table_in_the_docs_is_current() -> None:
    assert as_markdown() in (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
