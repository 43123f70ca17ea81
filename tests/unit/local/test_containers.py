from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.connection import settings_for
from lockgate.local.containers import hand_out, prepare
from lockgate.local.credentials import write_credentials
from lockgate.local.identities import Identities

ROOT = Path(__file__).resolve().parents[3]
INSIDE = "kafka-1:39091,kafka-2:39092"
OUTSIDE = {
    INSIDE: "localhost:9092,localhost:9093",
    "https://registry:8081/x": "https://localhost:8081/x",
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    identities = Identities(tmp_path)
    identities.prepare([("kafka-1", "1")], "registry")
    source = tmp_path / "containers/provision/credentials"
    write_credentials(source, identities, INSIDE, "https://registry:8081/x")
    (source / "reader.env").write_text(
        f"LOCKGATE_BOOTSTRAP_SERVERS={INSIDE}\nLOCKGATE_CA_FILE={identities.ca_file}\nLOCKGATE_PASSWORD=secret\n"
    )
    outside = OUTSIDE | {str(identities.ca_file): str(tmp_path / "certificates" / "ca.pem")}
    hand_out(tmp_path, source, ["reader"], identities.ca_file, outside)
    return tmp_path


def test_a_workloads_container_gets_its_own_credentials_and_the_ca(state: Path) -> None:
    own = state / "containers" / "reader"
    assert sorted(file.name for file in own.rglob("*") if file.is_file()) == ["ca.pem", "reader.env"]
    text = (own / "credentials" / "reader.env").read_text()
    assert "LOCKGATE_CA_FILE=/lockgate/ca.pem\n" in text
    assert f"LOCKGATE_BOOTSTRAP_SERVERS={INSIDE}\n" in text


def test_the_host_gets_all_of_them_with_its_own_addresses(state: Path) -> None:
    settings = settings_for("admin", ROOT, {"LOCKGATE_HOME": str(state)})
    assert settings.bootstrap_servers == "localhost:9092,localhost:9093"
    assert settings.registry_url == "https://localhost:8081/x"
    assert (state / "credentials" / "admin.properties").read_text().startswith("bootstrap.servers=localhost:9092,")
    assert (state / "credentials" / "reader.env").exists()


def test_files_that_are_handed_out_are_for_their_owner_only(state: Path) -> None:
    for file in [*(state / "credentials").iterdir(), *(state / "containers" / "reader").rglob("*.env")]:
        assert file.stat().st_mode & 0o077 == 0


def test_preparing_makes_what_the_brokers_mount(tmp_path: Path) -> None:
    owner = tmp_path.stat().st_uid
    lines: list[str] = []
    prepare(ROOT, tmp_path / "state", owner, lines.append)
    prepare(ROOT, tmp_path / "state", owner, lines.append)
    assert lines == ["made certificates and passwords", "certificates and passwords are there"]
    for name in ("kafka-1", "kafka-2", "kafka-3", "registry"):
        assert (tmp_path / "state/certificates" / name).is_dir()
        assert (tmp_path / "state/data" / name).is_dir()
    assert (tmp_path / "state/registry/users.properties").exists()
