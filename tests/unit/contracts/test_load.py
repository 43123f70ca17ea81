"""What loading returns: one frozen value that says what the files say, defaults filled in."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts, Location, Owner, TopicSpec
from tests.projects import PROJECT, changed, write_project

ROOT = Path(__file__).resolve().parents[3]
GARDEN = "schemas/garden/domain.yaml"
KITCHEN = "schemas/kitchen/domain.yaml"
PLANTED = "schemas/garden/Planted.avsc"
GARDENERS = "services/garden/service.yaml"
COOKS = "services/kitchen/service.yaml"


@pytest.fixture
def contracts(tmp_path: Path) -> Contracts:
    return load(write_project(tmp_path))


def test_the_world_that_ships_with_the_project_loads() -> None:
    contracts = load(ROOT)
    assert [(domain.name, domain.topic.name, domain.owner) for domain in contracts.domains] == [
        ("orders", "orders", Owner("Backend", "@backend-team")),
        ("payments", "payments", Owner("Finance", "@finance-team")),
        ("shipping", "shipping", Owner("Operations", "@operations-team")),
    ]
    assert {workload.name: workload.service for workload in contracts.workloads.values()} == {
        "orders-service": "orders-service",
        "payments-service": "payments-service",
        "payments-service.orders": "payments-service",
        "shipping-service": "shipping-service",
        "shipping-service.payments": "shipping-service",
        "storefront": "storefront",
        "storefront.seed": "storefront",
    }


def test_a_domain_is_what_its_file_says(contracts: Contracts) -> None:
    garden = contracts.domains[0]
    assert (garden.name, garden.owner, garden.key) == ("garden", Owner("Green", "@green"), "bed")
    assert garden.topic == TopicSpec("garden", partitions=2, replication=1, retention_ms=7 * 86_400_000)
    assert garden.compatibility == "FULL"
    assert garden.readers == ("garden-service", "kitchen-service.garden")
    assert garden.writers == ("gardener",)
    assert [event.name for event in garden.events] == ["Planted", "Watered"]
    assert garden.location == Location(GARDEN, 1)
    assert (garden.topic_at, garden.level_at) == (Location(GARDEN, 2), Location(GARDEN, 4))


def test_what_a_domain_leaves_out_has_these_defaults(contracts: Contracts) -> None:
    kitchen = contracts.domains[1]
    assert kitchen.topic == TopicSpec("kitchen", partitions=6, replication=3, retention_ms=604_800_000)
    assert kitchen.compatibility == "FULL_TRANSITIVE"


def test_a_domain_may_have_neither_readers_nor_writers_yet(tmp_path: Path) -> None:
    text = 'owner: {team: Green, contact: "@green"}\ntopic: {name: herbs}\nkey: bed\nevents: [Cut]\n'
    schema = PROJECT["schemas/garden/Watered.avsc"].replace("Watered", "Cut").replace("garden", "herbs")
    files = {"schemas/herbs/domain.yaml": text, "schemas/herbs/Cut.avsc": schema}
    domain = load(write_project(tmp_path, {**PROJECT, **files})).domain_of("herbs.Cut")
    assert (domain.readers, domain.writers) == ((), ())


def test_a_topic_may_be_kept_forever(tmp_path: Path) -> None:
    files = changed(GARDEN, "retention: 7d", "retention: forever")
    assert load(write_project(tmp_path, {**PROJECT, **files})).domains[0].topic.retention_ms == -1


def test_a_workload_is_what_its_file_says(contracts: Contracts) -> None:
    workload = contracts.workload("kitchen-service.garden")
    assert workload.consumes == ("garden.Planted", "garden.Watered")
    assert workload.publishes == ("kitchen.Cooked",)
    assert workload.retry_ms == (1_000, 60_000)
    assert workload.location == Location(COOKS, 5)


def test_a_workload_says_how_much_it_handles_at_once_and_in_which_order(tmp_path: Path) -> None:
    files = changed(COOKS, "retry: [1s, 1m]", "concurrency: 256\n    order: none")
    workload = load(write_project(tmp_path, {**PROJECT, **files})).workload("kitchen-service.garden")
    assert (workload.concurrency, workload.order) == (256, "none")


def test_what_a_workload_leaves_out_is_empty(contracts: Contracts) -> None:
    gardener = contracts.workload("gardener")
    assert (gardener.consumes, gardener.retry_ms) == ((), ())
    assert (gardener.concurrency, gardener.order) == (1, "partition")
    assert contracts.source_of(gardener) is None
    assert contracts.workload("garden-service").publishes == ()


def test_a_service_knows_its_folder_and_its_owner(contracts: Contracts) -> None:
    service = contracts.service("kitchen-service")
    assert (service.folder, service.owner) == ("kitchen", Owner("Chefs", "@chefs"))
    assert [workload.name for workload in service.workloads] == ["kitchen-service", "kitchen-service.garden"]


def test_shared_types_are_bundled_into_the_schema_of_an_event(contracts: Contracts) -> None:
    planted = contracts.events["garden.Planted"]
    assert planted.location == Location(PLANTED, 1)
    assert {field["name"]: field["type"] for field in planted.schema["fields"]} == {
        "bed": "string",
        "plant": {"type": "enum", "name": "Plant", "namespace": "garden", "symbols": ["PEA", "BEAN"]},
        "price": {
            "type": "record",
            "name": "Price",
            "namespace": "common",
            "fields": [{"name": "cents", "type": "long"}],
        },
    }


def test_shared_types_are_no_event_types(contracts: Contracts) -> None:
    assert sorted(contracts.events) == ["garden.Planted", "garden.Watered", "kitchen.Cooked"]


def test_everything_is_found_by_name(contracts: Contracts) -> None:
    assert contracts.domain_of("kitchen.Cooked").name == "kitchen"
    source = contracts.source_of(contracts.workload("kitchen-service.garden"))
    assert source is not None
    assert source.name == "garden"
    assert sorted(contracts.workloads) == ["garden-service", "gardener", "kitchen-service", "kitchen-service.garden"]


def test_domains_and_services_come_by_name_whatever_their_folders(tmp_path: Path) -> None:
    moved = {COOKS: None, "services/a/service.yaml": PROJECT[COOKS]}
    contracts = load(write_project(tmp_path, {**PROJECT, **moved}))
    assert [service.name for service in contracts.services] == ["garden-service", "kitchen-service"]


def test_the_result_is_frozen(contracts: Contracts) -> None:
    for value, attribute in (
        (contracts, "root"),
        (contracts.domains[0], "topic"),
        (contracts.domains[0].topic, "partitions"),
        (contracts.services[0], "owner"),
        (contracts.workload("gardener"), "publishes"),
        (contracts.events["kitchen.Cooked"], "schema"),
    ):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, attribute, None)


def test_loading_twice_gives_equal_values(tmp_path: Path) -> None:
    root = write_project(tmp_path)
    assert load(root) == load(root)


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    files = {name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in PROJECT.items()}
    plain, windows = load(write_project(tmp_path / "a")), load(write_project(tmp_path / "b", files))
    assert (windows.domains, windows.services) == (plain.domains, plain.services)


def test_what_is_no_contract_is_left_alone(tmp_path: Path) -> None:
    others = {
        "schemas/garden/README.md": "# Garden\n",
        "schemas/garden/__init__.py": "",
        "schemas/__pycache__/x.avsc": "no schema",
        "schemas/.draft/domain.yaml": "no: contract",
        "services/lib/helpers.py": "",
    }
    assert len(load(write_project(tmp_path, {**PROJECT, **others})).domains) == 2
