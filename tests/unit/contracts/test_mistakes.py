"""Every kind of mistake within one contract file, and what is said about it."""

# ruff: noqa: E501  # messages stand here as they are printed

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.contracts.load import load
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


def test_the_project_that_is_changed_below_has_no_mistake(tmp_path: Path) -> None:
    contracts = load(write_project(tmp_path))
    assert sorted(contracts.workloads) == ["garden-service", "gardener", "kitchen-service", "kitchen-service.garden"]


FILES = {
    "empty": (
        {GARDEN: ""},
        [f"{GARDEN}:1: is empty"],
    ),
    "only a comment": (
        {GARDEN: "# soon\n"},
        [f"{GARDEN}:1: is empty"],
    ),
    "a list": (
        {GARDEN: "- garden\n"},
        [f"{GARDEN}:1: expected fields, each as `name: value`"],
    ),
    "YAML syntax": (
        {GARDEN: "owner: {team: Green\ntopic: x\n"},
        [f"{GARDEN}:2: is not valid YAML: did not find expected ',' or '}}' while parsing a flow mapping"],
    ),
    "a tab": (
        {GARDEN: "owner:\n\tteam: Green\n"},
        [f"{GARDEN}:2: is not valid YAML: a tab stands where only spaces may (indent with spaces)"],
    ),
    "two documents": (
        {GARDEN: PROJECT[GARDEN] + "---\nowner: x\n"},
        [f"{GARDEN}:8: is not valid YAML: but found another document expected a single document in the stream"],
    ),
    "a control character": (
        {GARDEN: PROJECT[GARDEN].replace("Green", "Gr\x07een")},
        [f"{GARDEN}:1: holds the character U+0007, which YAML does not allow"],
    ),
    "not UTF-8": (
        {GARDEN: b"owner:\n  team: Gr\xfcn\n"},
        [f"{GARDEN}:2: is not UTF-8: byte 0xfc (save the file as UTF-8)"],
    ),
    "over 1 MB": (
        {GARDEN: PROJECT[GARDEN] + "#" * 1_000_000},
        [f"{GARDEN}:1: is larger than 1,000,000 bytes (contracts are small; remove what does not belong)"],
    ),
    "an anchor": (
        {GARDEN: PROJECT[GARDEN].replace("[gardener]", "&w [gardener]")},
        [
            f"{GARDEN}:7: `&w`: YAML anchors and aliases are not accepted (write the value out where it is used)",
        ],
    ),
    "an alias": (
        {GARDEN: PROJECT[GARDEN] + "more: *w\n"},
        [f"{GARDEN}:8: `*w`: YAML anchors and aliases are not accepted (write the value out where it is used)"],
    ),
    "a tag": (
        changed(GARDEN, "key: bed", "key: !!python/name:os.system bed"),
        [f"{GARDEN}:3: key: expected text, got a value with the tag tag:yaml.org,2002:python/name:os.system"],
    ),
    "nested too deeply": (
        {GARDEN: "[" * 100_000 + "]" * 100_000},
        [f"{GARDEN}:1: is nested too deeply"],
    ),
    "schema nested too deeply": (
        {WATERED: '{"type":"array","items":' * 5000 + '"int"' + "}" * 5000},
        [f"{WATERED}:1: is nested too deeply"],
    ),
    "schema nested too deeply, though JSON can be parsed": (
        {WATERED: '{"type":"array","items":' * 300 + '"int"' + "}" * 300},
        [f"{WATERED}:1: is nested too deeply"],
    ),
    "schema over 1 MB": (
        {WATERED: PROJECT[WATERED] + " " * 1_000_000},
        [f"{WATERED}:1: is larger than 1,000,000 bytes (contracts are small; remove what does not belong)"],
    ),
    "JSON syntax": (
        changed(WATERED, '"Watered",', '"Watered"'),
        [f"{WATERED}:4: is not valid JSON: Expecting ',' delimiter (column 3)"],
    ),
    "a JSON member twice": (
        changed(WATERED, '"namespace"', '"name": "Watered",\n  "namespace"'),
        [f'{WATERED}:4: "name" stands in one object twice'],
    ),
    "NaN": (
        changed(WATERED, '"string"}', '"double", "default": NaN}'),
        [f"{WATERED}:6: NaN is no JSON"],
    ),
    "null as a schema": (
        {WATERED: "null"},
        [f"{WATERED}:1: expected an Avro schema, got null"],
    ),
    "another extension": (
        {GARDEN: None, "schemas/garden/domain.yml": PROJECT[GARDEN]},
        [
            "schemas/garden/domain.yml:1: is not read (rename it to domain.yaml)",
        ],
    ),
    "a service's other extension": (
        {COOKS: None, "services/kitchen/service.yml": PROJECT[COOKS]},
        ["services/kitchen/service.yml:1: is not read (rename it to service.yaml)"],
    ),
    "schemas without a domain": (
        {"schemas/cellar/Stored.avsc": PROJECT[WATERED].replace("Watered", "Stored").replace("garden", "cellar")},
        [
            "schemas/cellar/Stored.avsc:1: there is no schemas/cellar/domain.yaml (each folder with schemas is a domain)",
        ],
    ),
    "a schema outside of a folder": (
        {"schemas/Lost.avsc": "{}"},
        ["schemas/Lost.avsc:1: lies in no domain's folder (schemas live in schemas/<domain>/)"],
    ),
    "a schema too deep": (
        {"schemas/garden/v2/Watered.avsc": PROJECT[WATERED]},
        ["schemas/garden/v2/Watered.avsc:1: lies too deep (schemas of garden live in schemas/garden/ itself)"],
    ),
    "common as a domain": (
        {"schemas/common/domain.yaml": PROJECT[GARDEN]},
        [
            "schemas/common/domain.yaml:1: common holds the types that all domains share and is no domain "
            "(move what is no shared type into a domain of another name)"
        ],
    ),
}

FIELDS = {
    "an unknown field": (
        changed(GARDEN, "compatibility", "compatability"),
        [f"{GARDEN}:4: unknown field compatability (did you mean compatibility?)"],
    ),
    "an unknown field like no other": (
        {GARDEN: PROJECT[GARDEN] + "colour: green\n"},
        [
            f"{GARDEN}:8: unknown field colour "
            "(known fields: owner, topic, key, compatibility, events, readers, writers, lint, retired)"
        ],
    ),
    "a field in another case": (
        changed(GARDEN, "key:", "Key:"),
        [f"{GARDEN}:3: unknown field Key (did you mean key?)"],
    ),
    "a mistyped list causes no errors about what it lists": (
        changed(GARDEN, "readers:", "reader:"),
        [f"{GARDEN}:6: unknown field reader (did you mean readers?)"],
    ),
    "an unknown field of the topic": (
        changed(GARDEN, "partitions:", "partition:"),
        [f"{GARDEN}:2: unknown field topic.partition (did you mean partitions?)"],
    ),
    "an unknown field of a workload": (
        changed(COOKS, "retry:", "retries:"),
        [f"{COOKS}:8: unknown field workloads.kitchen-service.garden.retries (did you mean retry?)"],
    ),
    "missing fields": (
        {GARDEN: "compatibility: FULL\nreaders: [garden-service, kitchen-service.garden]\nwriters: [gardener]\n"},
        [
            f"{GARDEN}:1: missing field events",
            f"{GARDEN}:1: missing field key",
            f"{GARDEN}:1: missing field owner",
            f"{GARDEN}:1: missing field topic",
        ],
    ),
    "missing fields of a service": (
        {"services/shed/service.yaml": "owner: {team: Green}\n"},
        [
            "services/shed/service.yaml:1: missing field name",
            "services/shed/service.yaml:1: missing field owner.contact",
            "services/shed/service.yaml:1: missing field workloads",
        ],
    ),
    "a field twice": (
        {GARDEN: PROJECT[GARDEN] + "key: row\n"},
        [f"{GARDEN}:8: key stands here twice, first on line 3"],
    ),
    "a name that is no text": (
        {GARDEN: PROJECT[GARDEN] + "7: seven\n"},
        [f"{GARDEN}:8: expected the name of a field, got a number (7)"],
    ),
    "a list for text": (
        changed(GARDEN, "key: bed", "key: [bed]"),
        [f"{GARDEN}:3: key: expected text, got a list"],
    ),
    "a number for text": (
        changed(GARDEN, "key: bed", "key: 12"),
        [f"{GARDEN}:3: key: expected text, got a number (12) (put it in quotes)"],
    ),
    "a YAML truth value for text": (
        changed(GARDEN, "key: bed", "key: no"),
        [f"{GARDEN}:3: key: expected text, got a truth value (no) (put it in quotes)"],
    ),
    "nothing for text": (
        changed(GARDEN, "key: bed", "key:"),
        [f"{GARDEN}:3: key: expected text, got nothing"],
    ),
    "empty text": (
        changed(GARDEN, "key: bed", 'key: ""'),
        [f"{GARDEN}:3: key: expected text, got empty text"],
    ),
    "text of two lines": (
        changed(GARDEN, '"@green"', '"@green\\nand others"'),
        [f"{GARDEN}:1: owner.contact: expected one line of text without blanks at its ends, got '@green\\nand others'"],
    ),
    "text for a list": (
        changed(GARDEN, "[gardener]", "gardener"),
        [f"{GARDEN}:7: writers: expected a list, got 'gardener'"],
    ),
    "a list in a list": (
        changed(GARDEN, "[gardener]", "[[gardener]]"),
        [
            f"{GARDEN}:7: writers[0]: expected text, got a list",
        ],
    ),
    "an item twice": (
        changed(GARDEN, "[gardener]", "[gardener, gardener]"),
        [f"{GARDEN}:7: writers lists gardener twice"],
    ),
    "text for fields": (
        changed(GARDEN, '{team: Green, contact: "@green"}', "Green"),
        [f"{GARDEN}:1: owner: expected fields, got 'Green'"],
    ),
    "text for a number": (
        changed(GARDEN, "partitions: 2", "partitions: many"),
        [f"{GARDEN}:2: topic.partitions: expected a whole number, got 'many'"],
    ),
    "a quoted number": (
        changed(GARDEN, "partitions: 2", 'partitions: "2"'),
        [f"{GARDEN}:2: topic.partitions: expected a whole number, got '2' (remove the quotes)"],
    ),
    "an octal number": (
        changed(GARDEN, "partitions: 2", "partitions: 010"),
        [f"{GARDEN}:2: topic.partitions: expected a whole number, got a number (010)"],
    ),
    "no partition": (
        changed(GARDEN, "partitions: 2", "partitions: 0"),
        [f"{GARDEN}:2: topic.partitions: expected 1 to 10,000, got 0"],
    ),
    "too many partitions": (
        changed(GARDEN, "partitions: 2", "partitions: 99999999999999999999"),
        [f"{GARDEN}:2: topic.partitions: expected 1 to 10,000, got 99999999999999999999"],
    ),
    "no replica": (
        changed(GARDEN, "replication: 1", "replication: -1"),
        [f"{GARDEN}:2: topic.replication: expected 1 to 32,767, got -1"],
    ),
    "a duration without a unit": (
        changed(GARDEN, "retention: 7d", "retention: 7"),
        [
            f"{GARDEN}:2: topic.retention: expected a duration such as 500ms, 10s, 1m, 12h or 7d, or forever, "
            "got a number (7)"
        ],
    ),
    "a duration of no length": (
        changed(GARDEN, "retention: 7d", "retention: 0d"),
        [f"{GARDEN}:2: topic.retention: expected a duration such as 500ms, 10s, 1m, 12h or 7d, or forever, got '0d'"],
    ),
    "a level in lower case": (
        changed(GARDEN, "compatibility: FULL", "compatibility: full_transitive"),
        [
            f"{GARDEN}:4: compatibility: there is no level full_transitive (write it in upper case: FULL_TRANSITIVE)",
        ],
    ),
    "an unknown level": (
        changed(GARDEN, "compatibility: FULL", "compatibility: SOME"),
        [
            f"{GARDEN}:4: compatibility: there is no level SOME (known levels: NONE, BACKWARD, BACKWARD_TRANSITIVE, "
            "FORWARD, FORWARD_TRANSITIVE, FULL, FULL_TRANSITIVE)"
        ],
    ),
    "a delay without a unit": (
        changed(COOKS, "[1s, 1m]", "[1s, 1 minute]"),
        [
            f"{COOKS}:8: workloads.kitchen-service.garden.retry[1]: expected a duration such as 500ms, 10s, 1m, 12h "
            "or 7d, of at most 30d, got '1 minute'"
        ],
    ),
    "a delay that outlasts its topic": (
        changed(COOKS, "[1s, 1m]", "[31d]"),
        [
            f"{COOKS}:8: workloads.kitchen-service.garden.retry[0]: expected a duration such as 500ms, 10s, 1m, 12h "
            "or 7d, of at most 30d, got '31d'"
        ],
    ),
    "too many delays": (
        changed(COOKS, "[1s, 1m]", f"[{', '.join(['1s'] * 21)}]"),
        [
            f"{COOKS}:8: workloads.kitchen-service.garden.retry: expected at most 20 delays, got 21 "
            "(each is a topic of its own)"
        ],
    ),
    "retries of nothing": (
        changed(GARDENERS, "garden.Watered]}", "garden.Watered], retry: [1s]}"),
        [f"{GARDENERS}:5: workloads.gardener.retry has no effect on a workload that consumes nothing"],
    ),
    "a start of nothing": (
        changed(GARDENERS, "garden.Watered]}", "garden.Watered], start: latest}"),
        [f"{GARDENERS}:5: workloads.gardener.start has no effect on a workload that consumes nothing"],
    ),
    "a start that is none": (
        changed(COOKS, "retry: [1s, 1m]", "start: beginning"),
        [f"{COOKS}:8: workloads.kitchen-service.garden.start: expected earliest or latest, got 'beginning'"],
    ),
    "an outage that is none": (
        changed(COOKS, "retry: [1s, 1m]", "outage: {failing: 101, of: 0, probe: 2h, after: 3}"),
        [
            f"{COOKS}:8: unknown field workloads.kitchen-service.garden.outage.after "
            "(known fields: failing, of, probe)",
            f"{COOKS}:8: workloads.kitchen-service.garden.outage.failing: expected 1 to 100, got 101",
            f"{COOKS}:8: workloads.kitchen-service.garden.outage.of: expected 1 to 10,000, got 0",
            f"{COOKS}:8: workloads.kitchen-service.garden.outage.probe: expected a duration such as 500ms, 10s, 1m, 12h "
            "or 7d, of at most 1h, got '2h'",
        ],
    ),
    "a truth value in YAML's own words": (
        changed(COOKS, "retry: [1s, 1m]", "exactly_once: yes"),
        [f"{COOKS}:8: workloads.kitchen-service.garden.exactly_once: expected true or false, got a truth value (yes)"],
    ),
    "a truth value in quotes": (
        changed(COOKS, "retry: [1s, 1m]", 'exactly_once: "true"'),
        [f"{COOKS}:8: workloads.kitchen-service.garden.exactly_once: expected true or false, got 'true'"],
    ),
    "holding keys whose order is not kept": (
        changed(COOKS, "retry: [1s, 1m]", "on_dead_letter: hold"),
        [
            f"{COOKS}:8: workloads.kitchen-service.garden.on_dead_letter: hold goes with order: key "
            "(what waits are the later records of the dead letter's key)"
        ],
    ),
    "an unknown fate of dead letters": (
        changed(COOKS, "retry: [1s, 1m]", "on_dead_letter: stop"),
        [f"{COOKS}:8: workloads.kitchen-service.garden.on_dead_letter: expected continue or hold, got 'stop'"],
    ),
    "an order that is none": (
        changed(COOKS, "retry: [1s, 1m]", "order: keys"),
        [
            f"{COOKS}:8: workloads.kitchen-service.garden.order: expected one of partition, key, none, got 'keys'",
        ],
    ),
    "no concurrency": (
        changed(COOKS, "retry: [1s, 1m]", "concurrency: 0"),
        [f"{COOKS}:8: workloads.kitchen-service.garden.concurrency: expected 1 to 1,000, got 0"],
    ),
    "concurrency and order of nothing": (
        changed(GARDENERS, "garden.Watered]}", "garden.Watered], concurrency: 2, order: none}"),
        [
            f"{GARDENERS}:5: workloads.gardener.concurrency has no effect on a workload that consumes nothing",
            f"{GARDENERS}:5: workloads.gardener.order has no effect on a workload that consumes nothing",
        ],
    ),
    "no event types": (
        changed(KITCHEN, "events: [Cooked]", "events: []"),
        [f"{KITCHEN}:4: events: expected at least one event type"],
    ),
    "no workloads": (
        {"services/shed/service.yaml": 'name: shed\nowner: {team: Green, contact: "@green"}\nworkloads: {}\n'},
        ["services/shed/service.yaml:3: workloads: expected at least one workload"],
    ),
    "a workload that is no mapping": (
        changed(GARDENERS, "{publishes: [garden.Planted, garden.Watered]}", "[garden.Planted]"),
        [f"{GARDENERS}:5: workloads.gardener: expected fields such as consumes or publishes"],
    ),
    "a workload that does nothing": (
        {GARDENERS: PROJECT[GARDENERS] + "  idle: {}\n"},
        [
            f"{GARDENERS}:6: workloads.idle: consumes and publishes are both empty "
            "(a workload needs at least one of them)"
        ],
    ),
    "a team's name": (
        changed(GARDEN, "team: Green", "team: Green~Fingers"),
        [
            f"{GARDEN}:1: owner.team: expected letters, digits and single hyphens between them, at most 100, "
            "got 'Green~Fingers'"
        ],
    ),
}


@pytest.mark.parametrize(("files", "expected"), [*FILES.values(), *FIELDS.values()], ids=[*FILES, *FIELDS])
def test_each_mistake_in_a_file_is_reported_with_its_line(tmp_path: Path, files: Files, expected: list[str]) -> None:
    assert mistakes(tmp_path, files) == expected
