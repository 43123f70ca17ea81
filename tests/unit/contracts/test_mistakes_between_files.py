"""Every kind of mistake that shows when contract files are compared with each other, and what is said about it."""

# ruff: noqa: E501  # messages stand here as they are printed

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.contracts.load import load
from lockgate.errors import ContractsError, UsageError
from tests.projects import PROJECT, Files, changed, mistakes, write_project

GARDEN = "schemas/garden/domain.yaml"
KITCHEN = "schemas/kitchen/domain.yaml"
PLANTED = "schemas/garden/Planted.avsc"
WATERED = "schemas/garden/Watered.avsc"
PLANT = "schemas/garden/Plant.avsc"
PRICE = "schemas/common/Price.avsc"
COOKED = "schemas/kitchen/Cooked.avsc"
GARDENERS = "services/garden/service.yaml"
COOKS = "services/kitchen/service.yaml"


def shed(workloads: str, name: str = "shed") -> dict[str, str | bytes | None]:
    """Return a third service."""
    return {
        "services/shed/service.yaml": f'name: {name}\nowner: {{team: Green, contact: "@g"}}\nworkloads:\n{workloads}'
    }


SHED = "services/shed/service.yaml"

EVENTS: dict[str, tuple[Files, list[str]]] = {
    "a listed event without its schema": (
        changed(GARDEN, "[Planted, Watered]", "[Planted, Watered, Weeded]"),
        [
            f"{GARDEN}:5: events: Weeded has no schema; there is no schemas/garden/Weeded.avsc "
            "(write schemas/garden/Weeded.avsc)"
        ],
    ),
    "a listed event that is spelt otherwise": (
        {**changed(GARDEN, "[Planted, Watered]", "[Planted, Waterd]"), **changed(COOKS, ", garden.Watered", "")}
        | changed(GARDENERS, ", garden.Watered", ""),
        [
            f"{GARDEN}:5: events: Waterd has no schema; there is no schemas/garden/Waterd.avsc (did you mean Watered?)",
        ],
    ),
    "an event type of another namespace": (
        changed(GARDEN, "[Planted, Watered]", "[Planted, Watered, kitchen.Cooked]"),
        [
            f"{GARDEN}:5: events: kitchen.Cooked is outside the namespace garden "
            "(a domain's event types live in its own folder)"
        ],
    ),
    "an event type that repeats the namespace": (
        changed(KITCHEN, "[Cooked]", "[Cooked, kitchen.Cooked]"),
        [
            f"{KITCHEN}:4: events: kitchen.Cooked repeats the namespace "
            "(write Cooked: event types stand here without their namespace)"
        ],
    ),
    "a schema of another namespace than its folder": (
        changed(WATERED, '"namespace": "garden"', '"namespace": "kitchen"'),
        [f'{WATERED}:4: Watered is in the namespace kitchen, but lies in schemas/garden (write "namespace": "garden")'],
    ),
    "a schema without a namespace": (
        changed(WATERED, '  "namespace": "garden",\n', ""),
        [f'{WATERED}:3: Watered has no namespace, but lies in schemas/garden (write "namespace": "garden")'],
    ),
    "a schema of another name than its file": (
        changed(WATERED, '"Watered"', '"Watering"'),
        [f"{WATERED}:3: defines Watering (the type must be called Watered, as the file)"],
    ),
    "a schema that is no named type": (
        {PLANT: '["null", "string"]'},
        [f"{PLANT}:1: expected one record, enum or fixed type (each .avsc file holds one named type)"],
    ),
    "an event type that is no record": (
        {**changed(GARDEN, "[Planted, Watered]", "[Planted, Watered, Plant]")},
        [f"{PLANT}:2: is an event type and must be a record"],
    ),
    "Avro that is not valid": (
        changed(WATERED, '"type": "string"', '"type": "strin"'),
        [f"{WATERED}:6: refers to garden.strin, which does not exist (did you mean string?)"],
    ),
    "a default of the wrong type": (
        changed(PRICE, '"type": "long"', '"type": "long", "default": "none"'),
        [f"{PRICE}:6: is no valid Avro schema: the default 'none' is no long"],
    ),
    "a field twice": (
        changed(
            PRICE, '{"name": "cents", "type": "long"}', '{"name": "c", "type": "int"},\n{"name": "c", "type": "int"}'
        ),
        [f"{PRICE}:7: is no valid Avro schema: c is a field of common.Price twice"],
    ),
    "no key": (
        changed(WATERED, '"bed"', '"field"'),
        [
            f"{WATERED}:5: garden.Watered has no field bed, which is the key of its domain ({GARDEN}:3) "
            "(the key is a required string of every event)"
        ],
    ),
    "a key that is spelt otherwise": (
        changed(WATERED, '"bed"', '"beds"'),
        [
            f"{WATERED}:5: garden.Watered has no field bed, which is the key of its domain ({GARDEN}:3) "
            f"(did {GARDEN}:3 mean beds?)"
        ],
    ),
    "a key that may be null": (
        changed(WATERED, '"type": "string"', '"type": ["null", "string"]'),
        [
            f'{WATERED}:6: bed is the key of its domain ({GARDEN}:3) and must be a required string, got ["null", "string"] '
            '(write "type": "string", and no default)'
        ],
    ),
    "a key that is a number": (
        changed(WATERED, '"type": "string"', '"type": "long"'),
        [
            f'{WATERED}:6: bed is the key of its domain ({GARDEN}:3) and must be a required string, got "long" '
            '(write "type": "string", and no default)'
        ],
    ),
    "a key of a logical type": (
        changed(WATERED, '"type": "string"', '"type": {"type": "string", "logicalType": "uuid"}'),
        [
            f"{WATERED}:6: bed is the key of its domain ({GARDEN}:3) and must be a required string, "
            'got {"type": "string", "logicalType": "uuid"} (write "type": "string", and no default)'
        ],
    ),
    "a key with a default": (
        changed(WATERED, '"type": "string"', '"type": "string", "default": ""'),
        [
            f"{WATERED}:6: bed is the key of its domain ({GARDEN}:3) and must be a required string, "
            'got a string with a default (write "type": "string", and no default)'
        ],
    ),
}

REFERENCES: dict[str, tuple[Files, list[str]]] = {
    "a dangling reference": (
        changed(PLANTED, "garden.Plant", "garden.Shrub"),
        [f"{PLANTED}:7: refers to garden.Shrub, which does not exist (there is no schemas/garden/Shrub.avsc)"],
    ),
    "a reference that is spelt otherwise": (
        changed(PLANTED, "garden.Plant", "Plnt"),
        [f"{PLANTED}:7: refers to garden.Plnt, which does not exist (did you mean garden.Plant?)"],
    ),
    "a dangling reference to common": (
        changed(PLANTED, "common.Price", "common.Money"),
        [f"{PLANTED}:8: refers to common.Money, which does not exist (there is no schemas/common/Money.avsc)"],
    ),
    "a reference to another domain": (
        changed(PLANTED, "common.Price", "kitchen.Cooked"),
        [f"{PLANTED}:8: refers to kitchen.Cooked (only types of garden and common may be used here)"],
    ),
    "a reference from common to a domain": (
        changed(PRICE, '"long"', '"garden.Plant"'),
        [f"{PRICE}:6: refers to garden.Plant (only types of common may be used here)"],
    ),
    "a reference to a type inside another file": (
        {
            **changed(WATERED, '"string"}', '"string"},\n    {"name": "by", "type": "garden.Tool"}'),
            **changed(PLANTED, '"garden.Plant"', '{"type": "enum", "name": "Tool", "symbols": ["CAN"]}'),
        },
        [
            f"{WATERED}:7: refers to garden.Tool, which does not exist "
            f"(it is defined inside {PLANTED}: give it a file of its own)"
        ],
    ),
    "a type that is defined in two files": (
        {
            **changed(
                WATERED,
                '"string"}',
                '"string"},\n    {"name": "by", "type": {"type": "fixed", "name": "Tool", "size": 1}}',
            ),
            **changed(PLANTED, '"garden.Plant"', '{"type": "enum", "name": "Tool", "symbols": ["CAN"]}'),
        },
        [
            f"{WATERED}:7: defines garden.Tool, which {PLANTED}:7 defines too "
            "(define it once, in schemas/garden/Tool.avsc, and refer to it)"
        ],
    ),
    "a type inside another one that has a file": (
        changed(
            WATERED, '"string"}', '"string"},\n    {"name": "p", "type": {"type": "fixed", "name": "Plant", "size": 1}}'
        ),
        [
            f"{WATERED}:7: defines garden.Plant, which {PLANT}:3 defines too "
            "(define it once, in schemas/garden/Plant.avsc, and refer to it)"
        ],
    ),
    "a type inside another one, of another namespace": (
        changed(
            WATERED,
            '"string"}',
            '"string"},\n    {"name": "p", "type": {"type": "fixed", "name": "kitchen.Pot", "size": 1}}',
        ),
        [f"{WATERED}:7: defines kitchen.Pot inside the namespace garden"],
    ),
    "a cycle of two types": (
        changed(WATERED, '"string"}', '"string"},\n    {"name": "p", "type": ["null", "garden.Planted"]}')
        | changed(PLANTED, '"garden.Plant"', '"garden.Watered"'),
        [
            f"{WATERED}:7: closes a cycle of references: garden.Planted → garden.Watered → garden.Planted "
            "(only a type that refers to itself may be recursive)"
        ],
    ),
}

GRANTS: dict[str, tuple[Files, list[str]]] = {
    "asked for, not listed as a reader": (
        changed(GARDEN, ", kitchen-service.garden]", "]"),
        [
            f"{COOKS}:6: kitchen-service.garden consumes events of garden, but {GARDEN}:6 does not list it in readers "
            f"(Green (@green) must add kitchen-service.garden to readers in {GARDEN})"
        ],
    ),
    "asked for, and there is no list of readers": (
        changed(KITCHEN, "readers: [kitchen-service]\n", ""),
        [
            f"{COOKS}:4: kitchen-service consumes events of kitchen, but {KITCHEN}:1 does not list it in readers "
            f"(Chefs (@chefs) must add kitchen-service to readers in {KITCHEN})"
        ],
    ),
    "asked for, not listed as a writer": (
        changed(KITCHEN, "[kitchen-service.garden]", "[]"),
        [
            f"{COOKS}:7: kitchen-service.garden publishes events of kitchen, but {KITCHEN}:6 does not list it in writers "
            f"(Chefs (@chefs) must add kitchen-service.garden to writers in {KITCHEN})"
        ],
    ),
    "listed as a reader, not asked for": (
        changed(KITCHEN, "[kitchen-service]", "[kitchen-service, garden-service]"),
        [
            f"{KITCHEN}:5: readers lists garden-service, but {GARDENERS}:4 consumes nothing of kitchen "
            f"(Green (@green) must add event types of kitchen to consumes of garden-service in {GARDENERS}, "
            "or the reader must go)"
        ],
    ),
    "listed as a writer, not asked for": (
        changed(KITCHEN, "[kitchen-service.garden]", "[kitchen-service.garden, gardener]"),
        [
            f"{KITCHEN}:6: writers lists gardener, but {GARDENERS}:5 publishes nothing of kitchen "
            f"(Green (@green) must add event types of kitchen to publishes of gardener in {GARDENERS}, "
            "or the writer must go)"
        ],
    ),
    "a reader that does not exist": (
        changed(KITCHEN, "[kitchen-service]", "[kitchen-service, kitchen-servise.garden]"),
        [
            f"{KITCHEN}:5: readers lists kitchen-servise.garden, but there is no such workload "
            "(did you mean kitchen-service.garden?)"
        ],
    ),
    "a writer that does not exist": (
        changed(KITCHEN, "[kitchen-service.garden]", "[kitchen-service.garden, xyz]"),
        [
            f"{KITCHEN}:6: writers lists xyz, but there is no such workload "
            "(workloads are declared in services/*/service.yaml)"
        ],
    ),
    "an unknown event type": (
        changed(GARDENERS, "[garden.Planted]", "[garden.Plantd]"),
        [
            f"{GARDENERS}:4: garden-service consumes garden.Plantd, which is no event type (did you mean garden.Planted?)",
        ],
    ),
    "an unknown domain": (
        changed(GARDENERS, "[garden.Planted]", "[gardn.Planted]"),
        [
            f"{GARDENERS}:4: garden-service consumes gardn.Planted, which is no event type (did you mean garden.Planted?)",
        ],
    ),
    "an unknown domain like no other": (
        shed("  shed: {publishes: [x.Y]}\n"),
        [f"{SHED}:4: shed publishes x.Y, which is no event type (known domains: garden, kitchen)"],
    ),
    "an event type without its domain": (
        changed(GARDENERS, "[garden.Planted]", "[Planted]"),
        [f"{GARDENERS}:4: garden-service consumes Planted, which is no event type (did you mean garden.Planted?)"],
    ),
    "a shared type as an event type": (
        changed(COOKS, "garden.Watered]", "garden.Watered, garden.Plant]"),
        [
            f"{COOKS}:6: kitchen-service.garden consumes garden.Plant, which is no event type "
            "(did you mean garden.Planted?)"
        ],
    ),
    "event types of two domains": (
        changed(COOKS, "[kitchen.Cooked]", "[kitchen.Cooked, garden.Planted]"),
        [
            f"{COOKS}:4: kitchen-service consumes event types of two domains, kitchen and garden "
            "(a workload is one consumer group for one topic: make a second workload)"
        ],
    ),
    "a workload that feeds itself": (
        changed(GARDENERS, "{consumes: [garden.Planted]}", "{consumes: [garden.Planted], publishes: [garden.Planted]}")
        | changed(GARDEN, "[gardener]", "[gardener, garden-service]"),
        [
            f"{GARDENERS}:4: garden-service consumes and publishes garden.Planted "
            "(it would feed itself for ever: publish another event type)"
        ],
    ),
}

NAMES: dict[str, tuple[Files, list[str]]] = {
    "a workload of two services": (
        shed("  gardener: {publishes: [garden.Planted]}\n"),
        [f"{SHED}:4: workload gardener is declared twice; see also {GARDENERS}:5"],
    ),
    "a workload with the name of another service": (
        shed("  kitchen-service: {publishes: [garden.Planted]}\n")
        | changed(COOKS, "  kitchen-service: {consumes: [kitchen.Cooked]}\n", "")
        | changed(KITCHEN, "readers: [kitchen-service]\n", "")
        | changed(GARDEN, "[gardener]", "[gardener, kitchen-service]"),
        [
            f"{SHED}:4: workload kitchen-service has the name of the service in {COOKS} "
            "(only that service may have a workload of this name)"
        ],
    ),
    "two services of one name": (
        shed("  shed: {publishes: [garden.Planted]}\n", "kitchen-service")
        | changed(GARDEN, "[gardener]", "[gardener, shed]"),
        [f"{SHED}:1: service kitchen-service is the name of two services; see also {COOKS}:1"],
    ),
    "a topic owned twice": (
        changed(KITCHEN, "name: kitchen", "name: garden"),
        [f"{KITCHEN}:2: topic garden is the topic of two domains; see also {GARDEN}:2"],
    ),
    "topics that differ in case": (
        changed(KITCHEN, "name: kitchen", "name: Garden"),
        [
            f"{KITCHEN}:2: topic Garden is too like garden of {GARDEN}:2 "
            "(names must differ in more than case, dots and hyphens)"
        ],
    ),
    "workloads that metrics confuse": (
        shed("  kitchen.service-garden: {publishes: [garden.Planted]}\n")
        | changed(GARDEN, "[gardener]", "[gardener, kitchen.service-garden]"),
        [
            f"{SHED}:4: workload kitchen.service-garden is too like kitchen-service.garden of {COOKS}:5 "
            "(names must differ in more than case, dots and hyphens)"
        ],
    ),
    "a topic that metrics confuse with a derived one": (
        changed(KITCHEN, "name: kitchen", "name: garden-dlq-garden-service"),
        [
            f"{GARDENERS}:4: the derived topic garden.dlq.garden-service is too like garden-dlq-garden-service of "
            f"{KITCHEN}:2 (Kafka's metrics would show them as one)"
        ],
    ),
    "an underscore": (
        changed(KITCHEN, "name: kitchen", "name: the_kitchen"),
        [
            f"{KITCHEN}:2: the topic name 'the_kitchen' holds an underscore "
            "(Kafka's metrics fold . and _ into one: use a hyphen)"
        ],
    ),
    "two underscores, which Kafka reserves": (
        changed(KITCHEN, "name: kitchen", "name: __kitchen"),
        [
            f"{KITCHEN}:2: the topic name '__kitchen' holds an underscore "
            "(Kafka's metrics fold . and _ into one: use a hyphen)"
        ],
    ),
    "a character that Kafka refuses": (
        changed(KITCHEN, "name: kitchen", "name: küche"),
        [
            f"{KITCHEN}:2: the topic name 'küche' holds other characters than letters, digits, dots and hyphens",
        ],
    ),
    "a name of dots": (
        changed(KITCHEN, "name: kitchen", "name: .."),
        [f"{KITCHEN}:2: the topic name '..' has a part that is empty, or begins or ends with a hyphen"],
    ),
    "a tilde in a workload's name": (
        shed("  green~reader: {publishes: [garden.Planted]}\n")
        | changed(GARDEN, "[gardener]", "[gardener, green~reader]"),
        [
            f"{SHED}:4: the workload name 'green~reader' holds other characters than letters, digits, dots and hyphens",
        ],
    ),
    "a name like an option": (
        shed("  -shed: {publishes: [garden.Planted]}\n") | changed(GARDEN, "[gardener]", "[gardener, -shed]"),
        [f"{SHED}:4: the workload name '-shed' has a part that is empty, or begins or ends with a hyphen"],
    ),
    "a reserved part in a topic's name": (
        changed(KITCHEN, "name: kitchen", "name: kitchen.retry"),
        [
            f"{KITCHEN}:2: the topic name 'kitchen.retry' holds the reserved part 'retry' "
            "(control, retry, dlq, ledger and parked stand in the names of derived topics)"
        ],
    ),
    "a reserved part in a workload's name": (
        shed("  a.dlq.b: {publishes: [garden.Planted]}\n") | changed(GARDEN, "[gardener]", "[gardener, a.dlq.b]"),
        [
            f"{SHED}:4: the workload name 'a.dlq.b' holds the reserved part 'dlq' "
            "(control, retry, dlq, ledger and parked stand in the names of derived topics)"
        ],
    ),
    **{
        f"the reserved name {name}": (
            shed(f"  {name}: {{publishes: [garden.Planted]}}\n") | changed(GARDEN, "[gardener]", f"[gardener, {name}]"),
            [f"{SHED}:4: the workload name {name!r} is reserved for an identity of the platform itself"],
        )
        for name in ("admin", "ci", "CI", "ANONYMOUS", "registry-reader", "kafka-1")
    },
    "a topic too long for Kafka": (
        changed(KITCHEN, "name: kitchen", f"name: {'k' * 250}"),
        [
            f"{KITCHEN}:2: the topic name '{'k' * 250}' has 250 characters, and Kafka allows 249",
            f"{COOKS}:4: the retry topics of workload kitchen-service for {'k' * 250} would have names of 279 characters, "
            "and Kafka allows 249",
        ],
    ),
    "derived topics too long for Kafka": (
        changed(KITCHEN, "name: kitchen", f"name: {'k' * 221}"),
        [
            f"{COOKS}:4: the retry topics of workload kitchen-service for {'k' * 221} would have names of 250 characters, "
            "and Kafka allows 249"
        ],
    ),
    "a workload too long for a file": (
        shed(f"  {'w' * 201}: {{publishes: [garden.Planted]}}\n")
        | changed(GARDEN, "[gardener]", f"[gardener, {'w' * 201}]"),
        [f"{SHED}:4: the workload name '{'w' * 201}' has 201 characters, and 200 are allowed"],
    ),
    "two spellings of one team": (
        changed(GARDENERS, "team: Green", "team: green"),
        [f"{GARDENERS}:2: owner.team: green is spelt Green in {GARDEN}:1 (spell it one way)"],
    ),
    "event types that differ in case": (
        {**changed(KITCHEN, "[Cooked]", "[Cooked, COOKED]")}
        | {"schemas/kitchen/COOKED.avsc": PROJECT[COOKED].replace("Cooked", "COOKED")},
        [
            f"{KITCHEN}:4: event type COOKED is too like Cooked of {KITCHEN}:4 (names must differ in more than case)",
        ],
    ),
    "a domain's folder that is no Python identifier": (
        {
            "schemas/wine-cellar/domain.yaml": PROJECT[KITCHEN].split("readers")[0].replace("kitchen", "wine"),
            "schemas/wine-cellar/Cooked.avsc": PROJECT[COOKED],
        },
        [
            "schemas/wine-cellar/Cooked.avsc:4: Cooked is in the namespace kitchen, but lies in schemas/wine-cellar "
            '(write "namespace": "wine-cellar")',
            "schemas/wine-cellar/domain.yaml:1: the folder of a domain must be a Python identifier, and 'wine-cellar' is "
            "none (letters, digits and underscores, no digit first, no keyword of Python)",
        ],
    ),
    "a service's folder that is a keyword of Python": (
        {COOKS: None, "services/import/service.yaml": PROJECT[COOKS]},
        [
            "services/import/service.yaml:1: the folder of a service must be a Python identifier, and 'import' is "
            "none (letters, digits and underscores, no digit first, no keyword of Python)"
        ],
    ),
}

TABLES = {**EVENTS, **REFERENCES, **GRANTS, **NAMES}


@pytest.mark.parametrize(("files", "expected"), TABLES.values(), ids=TABLES)
def test_each_mistake_between_files_is_reported_with_its_line(
    tmp_path: Path, files: Files, expected: list[str]
) -> None:
    assert mistakes(tmp_path, files) == expected


def test_mistakes_of_many_files_are_reported_together(tmp_path: Path) -> None:
    files = (
        changed(GARDEN, "key: bed", "key: row")
        | changed(COOKED, '"Cooked"', '"Boiled"')
        | changed(GARDENERS, "contact", "contacts")
        | changed(COOKS, "retry: [1s, 1m]", "on_dead_letter: hold")
    )
    assert [message.split(": ")[0] for message in mistakes(tmp_path, files)] == [
        f"{PLANTED}:5",
        f"{WATERED}:5",
        f"{COOKED}:3",
        f"{GARDENERS}:2",
        f"{COOKS}:8",
    ]


def test_a_broken_domain_causes_no_errors_about_those_who_use_it(tmp_path: Path) -> None:
    assert mistakes(tmp_path, {GARDEN: "owner: ["}) == [
        f"{GARDEN}:1: is not valid YAML: did not find expected node content while parsing a flow node"
    ]


def test_a_broken_service_causes_no_errors_about_the_workloads_in_it(tmp_path: Path) -> None:
    assert mistakes(tmp_path, {COOKS: PROJECT[COOKS] + "]"}) == [
        f"{COOKS}:9: is not valid YAML: did not find expected key while parsing a block mapping"
    ]


def test_a_broken_service_does_not_hide_a_reader_that_is_nowhere(tmp_path: Path) -> None:
    files = {COOKS: PROJECT[COOKS] + "]"} | changed(GARDEN, "[garden-service,", "[garden-servce,")
    assert f"{GARDEN}:6: readers lists garden-servce, but there is no such workload (did you mean garden-service?)" in (
        mistakes(tmp_path, files)
    )


def test_a_broken_shared_type_causes_no_errors_about_those_who_refer_to_it(tmp_path: Path) -> None:
    assert mistakes(tmp_path, {PRICE: "{"}) == [
        f"{PRICE}:1: is not valid JSON: Expecting property name enclosed in double quotes (column 2)"
    ]


def test_a_type_may_refer_to_itself(tmp_path: Path) -> None:
    files = changed(PRICE, '"long"}', '"long"}, {"name": "then", "type": ["null", "common.Price"], "default": null}')
    contracts = load(write_project(tmp_path, {**PROJECT, **files}))
    assert "garden.Planted" in contracts.events


def test_a_schema_that_nobody_uses_is_a_shared_type(tmp_path: Path) -> None:
    spare = {"schemas/garden/Tool.avsc": PROJECT[PLANT].replace('"Plant"', '"Tool"')}
    assert "garden.Tool" not in load(write_project(tmp_path, {**PROJECT, **spare})).events


def test_a_folder_without_contracts_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"it has no schemas/\*/domain\.yaml"):
        load(tmp_path)


def test_a_file_that_cannot_be_read_is_a_mistake_like_others(tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / GARDEN).unlink()
    (tmp_path / GARDEN).mkdir()
    with pytest.raises(ContractsError, match=f"{GARDEN}:1: cannot be read: Is a directory"):
        load(tmp_path)
