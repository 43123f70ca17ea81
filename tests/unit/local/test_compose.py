from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockgate.contracts.load import load
from lockgate.errors import StackError
from lockgate.local.compose import Program, embed, read
from lockgate.local.lock import locked

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def described() -> tuple[Program, ...]:
    return read(ROOT, {})


def write(folder: Path, services: str) -> Path:
    (folder / "docker-compose.yaml").write_text(f"services:\n{services}")
    return folder


KAFKA = "  kafka-1: {image: apache/kafka:1.0, environment: %s}\n  registry: {image: apicurio/apicurio-registry:1.0}\n"


def environment(folder: Path, value: str, variables: dict[str, str] | None = None) -> dict[str, str]:
    program, _ = read(write(folder, KAFKA % value), variables or {})
    return dict(program.environment)


def test_the_file_describes_three_brokers_and_a_registry(described: tuple[Program, ...]) -> None:
    assert [(program.name, program.kind) for program in described] == [
        ("kafka-1", "kafka"),
        ("kafka-2", "kafka"),
        ("kafka-3", "kafka"),
        ("registry", "registry"),
    ]


def test_the_images_have_the_versions_that_are_locked(described: tuple[Program, ...]) -> None:
    versions = {artifact.name: artifact.version for artifact in locked()}
    assert {program.version for program in described if program.kind == "kafka"} == {versions["kafka_2.13"]}
    assert {program.version for program in described if program.kind == "registry"} == {
        versions["apicurio-registry-app"]
    }


def test_no_two_programs_share_a_port(described: tuple[Program, ...]) -> None:
    ports = [port for program in described for port in program.ports]
    assert len(ports) == len(set(ports)) == 3 * 4 + 2


def test_on_this_machine_host_names_are_localhost_and_paths_the_state_folders(
    described: tuple[Program, ...],
) -> None:
    home = Path("/somewhere/state")
    broker = embed(described[1], described, ROOT, home).environment
    assert broker["KAFKA_ADVERTISED_LISTENERS"] == (
        "CLIENT://127.0.0.1:9093,CONTAINER://localhost:39092,INTERNAL://localhost:19092"
    )
    assert broker["KAFKA_CONTROLLER_QUORUM_VOTERS"] == "1@localhost:29091,2@localhost:29092,3@localhost:29093"
    assert broker["KAFKA_LISTENERS"].startswith("CLIENT://127.0.0.1:9093,")
    assert broker["KAFKA_LOG_DIRS"] == "/somewhere/state/data/kafka-2"
    assert broker["KAFKA_SSL_KEYSTORE_LOCATION"] == "/somewhere/state/certificates/kafka-2/keystore.pem"
    registry = embed(described[3], described, ROOT, home).environment
    assert registry["APICURIO_DATASOURCE_URL"] == "jdbc:h2:file:/somewhere/state/data/registry/registry"
    assert registry["QUARKUS_CONFIG_LOCATIONS"] == "/somewhere/state/registry/users.properties"


def test_nothing_else_of_the_environment_is_touched(described: tuple[Program, ...]) -> None:
    for program in described:
        here = embed(program, described, ROOT, Path("/state")).environment
        for name, value in program.environment.items():
            if not re.search(r"LISTENERS|VOTERS|LOCATION|DIRS|URL|FILES|HOST", name):
                assert here[name] == value


def test_a_principal_that_is_named_like_a_host_is_no_host(described: tuple[Program, ...]) -> None:
    users = Program(
        name="kafka-1",
        kind="kafka",
        version="1",
        environment={"A": "User:kafka-1;User:registry", "B": "kafka-1", "C": "my-kafka-1:9092"},
        volumes=(),
    )
    assert embed(users, described, ROOT, Path("/state")).environment == users.environment


def test_two_dollars_are_one_and_variables_have_defaults(tmp_path: Path) -> None:
    found = environment(tmp_path, '{A: "$$1 $X ${X} ${Y:-why} ${Y}"}', {"X": "ex"})
    assert found == {"A": "$1 ex ex why "}


def test_an_environment_may_be_a_list(tmp_path: Path) -> None:
    assert environment(tmp_path, '["A=1", "B=x=y"]') == {"A": "1", "B": "x=y"}


def test_numbers_and_truth_become_the_words_that_docker_makes_of_them(tmp_path: Path) -> None:
    assert environment(tmp_path, "{A: 3, B: true, C: }") == {"A": "3", "B": "true", "C": ""}


def test_a_missing_file_is_told_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"there is no .*docker-compose\.yaml") as caught:
        read(tmp_path)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: [", "cannot be read"),
        ("name: x", "no services"),
        ("services: {a: {image: b}}", "expected brokers"),
    ],
)
def test_a_file_that_describes_no_stack_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "docker-compose.yaml").write_text(text)
    with pytest.raises(StackError, match=message):
        read(tmp_path)


# What Docker alone reads. There may be no Docker where the tests run, so the file is held against its own rules.


def test_every_consuming_workload_of_the_contracts_has_a_container(document: dict[str, Any]) -> None:
    consuming = {
        workload.name for service in load(ROOT).services for workload in service.workloads if workload.consumes
    }
    run = {
        service["command"][-1]
        for service in document["services"].values()
        if service.get("command", [])[:2] == ["lockgate", "run"]
    }
    assert run == consuming
    for name in consuming:
        assert document["services"][name]["command"] == ["lockgate", "run", "--workload", name]


def test_a_workloads_container_sees_its_own_credentials_only(document: dict[str, Any]) -> None:
    for name, service in document["services"].items():
        if service.get("image", "").startswith("lockgate") and name not in ("certificates", "provision"):
            assert service["volumes"] == [f"./.lockgate/containers/{name}:/lockgate:ro"]
            assert service["user"] == "1000:0"


def test_nothing_starts_before_what_it_needs(document: dict[str, Any]) -> None:
    services = document["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], f"{name} waits for the health of {needed}"
    for broker in ("kafka-1", "kafka-2", "kafka-3", "registry"):
        assert services[broker]["depends_on"] == {"certificates": {"condition": "service_completed_successfully"}}
        assert services["provision"]["depends_on"][broker] == {"condition": "service_healthy"}


def test_ports_are_published_to_this_machine_only(document: dict[str, Any]) -> None:
    published = [port for service in document["services"].values() for port in service.get("ports", ())]
    assert sorted(published) == [f"127.0.0.1:{port}:{port}" for port in (8081, 9092, 9093, 9094)]


def test_no_secret_stands_in_the_file(document: dict[str, Any]) -> None:
    for service in document["services"].values():
        for name in service.get("environment") or {}:
            assert not re.search(r"PASSWORD|SECRET|CREDENTIAL|USERS_EMBEDDED", name)


def test_every_path_of_an_environment_is_mounted(described: tuple[Program, ...]) -> None:
    for program in described:
        targets = tuple(target for _, target in program.volumes)
        for name, value in program.environment.items():
            for path in re.findall(r"(?:^|:)(/(?:etc|var)/[\w./-]+)", value):
                assert path.startswith(targets), f"{program.name}: {name} points to {path}"


def test_the_image_copies_nothing_that_the_context_leaves_out() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in (ROOT / "services/Dockerfile").read_text().splitlines():
        if line.startswith("COPY"):
            *sources, _ = line.split()[1:]
            assert set(sources) <= allowed
            assert all((ROOT / source).exists() for source in sources)
