from __future__ import annotations

import stat
from pathlib import Path

import attrs
import pytest

from lockgate.connection import Settings, settings_for, write_private
from lockgate.errors import SettingsError
from lockgate.provisioning.credentials import CredentialsFolder, new_password

PASSWORD = "s3cret-of-the-tracker"


@pytest.fixture
def admin(tmp_path: Path) -> Settings:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("certificate")
    return Settings(
        "localhost:9092",
        username="admin",
        password="admins-own",
        ca_file=str(ca_file),
        registry_url="https://localhost:8081/apis/ccompat/v7",
        registry_username="ci",
        registry_password="cis-own",
    )


@pytest.fixture
def folder(tmp_path: Path, admin: Settings) -> CredentialsFolder:
    path = tmp_path / "home" / "credentials"
    write_private(path / "registry-reader.env", "LOCKGATE_REGISTRY_USERNAME=reader\nLOCKGATE_REGISTRY_PASSWORD=reads\n")
    return CredentialsFolder(path, admin)


def read(folder: CredentialsFolder, principal: str, tmp_path: Path) -> Settings:
    return settings_for(principal, tmp_path, {"LOCKGATE_HOME": str(folder.folder.parent)})


def test_a_written_file_gives_the_principals_settings(folder: CredentialsFolder, tmp_path: Path) -> None:
    folder.write("tracker", PASSWORD)
    settings = read(folder, "tracker", tmp_path)
    assert (settings.username, settings.password) == ("tracker", PASSWORD)
    assert settings.bootstrap_servers == "localhost:9092"
    assert settings.registry_url == "https://localhost:8081/apis/ccompat/v7"
    assert folder.password("tracker") == PASSWORD
    assert folder.outdated("tracker") == ()


def test_workloads_and_operators_get_the_registrys_read_identity(folder: CredentialsFolder, tmp_path: Path) -> None:
    folder.write("tracker", PASSWORD)
    settings = read(folder, "tracker", tmp_path)
    assert (settings.registry_username, settings.registry_password) == ("reader", "reads")


def test_ci_keeps_the_registry_identity_that_its_file_has(folder: CredentialsFolder, tmp_path: Path) -> None:
    write_private(folder.folder / "ci.env", "LOCKGATE_REGISTRY_USERNAME=ci\nLOCKGATE_REGISTRY_PASSWORD=may-register\n")
    assert folder.password("ci") is None
    folder.write("ci", PASSWORD)
    settings = read(folder, "ci", tmp_path)
    assert (settings.username, settings.password) == ("ci", PASSWORD)
    assert (settings.registry_username, settings.registry_password) == ("ci", "may-register")


def test_nobody_gets_the_administrators_identities(folder: CredentialsFolder) -> None:
    folder.write("tracker", PASSWORD)
    folder.write("ci", PASSWORD)
    for file in folder.folder.glob("*"):
        text = file.read_text()
        assert "admins-own" not in text
        assert "cis-own" not in text


def test_the_properties_are_those_of_kafkas_own_tools(folder: CredentialsFolder, admin: Settings) -> None:
    folder.write("tracker", PASSWORD)
    lines = dict(line.split("=", 1) for line in (folder.folder / "tracker.properties").read_text().splitlines())
    assert lines == {
        "bootstrap.servers": "localhost:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="tracker" password="{PASSWORD}";',
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": admin.ca_file,
    }


def test_a_password_with_quotes_survives_jaas_and_java_properties(folder: CredentialsFolder) -> None:
    folder.write("tracker", 'a"b\\c')
    text = (folder.folder / "tracker.properties").read_text()
    # JAAS escapes once, and the properties file escapes the backslashes of that again
    assert 'password="a\\\\"b\\\\\\\\c";' in text
    assert folder.password("tracker") == 'a"b\\c'


def test_files_can_be_read_by_their_owner_only(folder: CredentialsFolder) -> None:
    folder.write("tracker", PASSWORD)
    for name in ("tracker.env", "tracker.properties"):
        assert stat.S_IMODE((folder.folder / name).stat().st_mode) == 0o600


def test_further_variables_in_a_file_stay(folder: CredentialsFolder, tmp_path: Path) -> None:
    folder.write("tracker", "old")
    with (folder.folder / "tracker.env").open("a") as file:
        file.write("LOCKGATE_KAFKA_CLIENT_RACK=a\n")
    folder.write("tracker", PASSWORD)
    assert read(folder, "tracker", tmp_path).kafka == {"client.rack": "a"}
    assert folder.outdated("tracker") == ()


class TestOutdated:
    def test_nothing_is_said_of_a_principal_without_a_password(self, folder: CredentialsFolder) -> None:
        assert folder.outdated("tracker") == ()

    def test_a_missing_file(self, folder: CredentialsFolder) -> None:
        folder.write("tracker", PASSWORD)
        (folder.folder / "tracker.properties").unlink()
        assert folder.outdated("tracker") == ("tracker.properties is missing",)

    def test_a_file_that_others_can_read(self, folder: CredentialsFolder) -> None:
        folder.write("tracker", PASSWORD)
        (folder.folder / "tracker.env").chmod(0o644)
        assert folder.outdated("tracker") == ("tracker.env can be read by others",)

    def test_other_brokers(self, folder: CredentialsFolder, admin: Settings) -> None:
        folder.write("tracker", PASSWORD)
        moved = CredentialsFolder(folder.folder, attrs.evolve(admin, bootstrap_servers="elsewhere:9092"))
        assert moved.outdated("tracker") == ("LOCKGATE_BOOTSTRAP_SERVERS is not up to date",)

    def test_another_reader_identity_is_told_without_its_password(self, folder: CredentialsFolder) -> None:
        folder.write("tracker", PASSWORD)
        write_private(
            folder.folder / "registry-reader.env",
            "LOCKGATE_REGISTRY_USERNAME=reader\nLOCKGATE_REGISTRY_PASSWORD=rotated\n",
        )
        assert folder.outdated("tracker") == ("LOCKGATE_REGISTRY_PASSWORD is not up to date",)

    def test_properties_that_were_edited(self, folder: CredentialsFolder) -> None:
        folder.write("tracker", PASSWORD)
        file = folder.folder / "tracker.properties"
        file.write_text(file.read_text().replace(PASSWORD, "other"))
        assert folder.outdated("tracker") == ("tracker.properties is not up to date",)


def test_a_file_of_somebody_else_holds_no_password_of_ours(folder: CredentialsFolder) -> None:
    write_private(folder.folder / "tracker.env", "LOCKGATE_USERNAME=other\nLOCKGATE_PASSWORD=x\n")
    assert folder.password("tracker") is None
    with pytest.raises(SettingsError, match=r"holds no password of tracker"):
        folder.settings("tracker")


def test_properties_of_the_cluster_are_shared_and_the_administrators_own_are_not(
    folder: CredentialsFolder, admin: Settings, tmp_path: Path
) -> None:
    kafka = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "ssl.key.password": "its-own"}
    shared = CredentialsFolder(folder.folder, attrs.evolve(admin, kafka=kafka))
    shared.write("tracker", PASSWORD)
    assert read(shared, "tracker", tmp_path).kafka == {"security.protocol": "SASL_SSL"}
    assert shared.settings("tracker").client_config()["sasl.mechanism"] == "SCRAM-SHA-512"


def test_a_registry_that_asks_for_an_identity_needs_one_to_give(folder: CredentialsFolder, admin: Settings) -> None:
    assert not folder.registry_reader_missing
    (folder.folder / "registry-reader.env").unlink()
    assert folder.registry_reader_missing
    assert not CredentialsFolder(folder.folder, attrs.evolve(admin, registry_username=None)).registry_reader_missing


def test_passwords_are_long_and_never_the_same() -> None:
    passwords = {new_password() for _ in range(100)}
    assert len(passwords) == 100
    assert min(map(len, passwords)) >= 43
