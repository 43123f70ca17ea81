"""Docker and this machine give the brokers the same properties: the image's own class turns both into files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lockgate.local import programs as starting
from lockgate.local.cache import Cache, cache_directory, silent
from lockgate.local.compose import embed, read

ROOT = Path(__file__).resolve().parents[2]
HOSTS = r"\b(?:kafka-\d|localhost|0\.0\.0\.0|127\.0\.0\.1)(?=:\d)"


@pytest.fixture(scope="module")
def cache() -> Cache:
    found = Cache(cache_directory())
    found.fill(silent)
    return found


def properties(cache: Cache, folder: Path, environment: dict[str, str]) -> dict[str, str]:
    # Where the data lie is a path, and the one thing that formatting needs to be writable.
    environment |= {"KAFKA_LOG_DIRS": str(folder / "data")}
    starting.run_wrapper(cache, folder / "config", environment)
    lines = (folder / "config/server.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_both_ways_have_the_same_properties_but_for_host_names_and_paths(
    cache: Cache, tmp_path: Path, number: int
) -> None:
    described = read(ROOT, {})
    here = embed(described[number], described, ROOT, tmp_path / "state")
    docker = properties(cache, tmp_path / "docker", dict(described[number].environment))
    local = properties(cache, tmp_path / "local", dict(here.environment))

    assert docker.keys() == local.keys()
    different = {name for name in docker if docker[name] != local[name]}
    assert different == {
        "advertised.listeners",
        "controller.quorum.voters",
        "listeners",
        "log.dirs",
        "ssl.keystore.location",
        "ssl.truststore.location",
    }
    for name in different - {"log.dirs"}:
        paths = [(str(tmp_path / "state/certificates" / described[number].name), "/etc/kafka/secrets")]
        theirs, ours = (re.sub(HOSTS, "HOST", side[name]) for side in (docker, local))
        for path, mounted in paths:
            ours = ours.replace(path, mounted)
        assert theirs == ours, name


def test_the_names_of_the_environment_become_the_broker_s_own(cache: Cache, tmp_path: Path) -> None:
    found = properties(cache, tmp_path, dict(read(ROOT, {})[0].environment))
    assert found["listener.name.client.scram-sha-512.sasl.jaas.config"].endswith("ScramLoginModule required;")
    assert found["ssl.principal.mapping.rules"] == "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT"
    assert found["allow.everyone.if.no.acl.found"] == "false"
    assert found["auto.create.topics.enable"] == "false"
