from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lockgate.errors import StackError
from lockgate.local import identities as module
from lockgate.local.identities import Identities

BROKERS = [("kafka-1", "1"), ("kafka-2", "2")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Identities(tmp_path).prepare(BROKERS, "registry")
    return tmp_path


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def snapshot(home: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}


def test_a_broker_is_found_under_its_own_name_and_on_this_machine(home: Path) -> None:
    names = certificate(home / "certificates/kafka-1/keystore.pem").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["kafka-1", "localhost"]
    assert [str(address) for address in names.value.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_a_brokers_principal_is_one_that_no_contract_can_name(home: Path) -> None:
    subject = certificate(home / "certificates/kafka-2/keystore.pem").subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "broker~2"


def test_every_certificate_is_signed_by_the_ca(home: Path) -> None:
    authority = certificate(home / "certificates/ca.pem")
    for name in ("kafka-1/keystore.pem", "registry/certificate.pem", "admin/certificate.pem"):
        certificate(home / "certificates" / name).verify_directly_issued_by(authority)


def test_the_administrators_certificate_serves_nobody(home: Path) -> None:
    uses = certificate(home / "certificates/admin/certificate.pem").extensions.get_extension_for_class(
        x509.ExtendedKeyUsage
    )
    assert list(uses.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_keys_are_pkcs8_and_come_before_the_certificate(home: Path) -> None:
    text = (home / "certificates/kafka-1/keystore.pem").read_text()
    assert text.startswith("-----BEGIN PRIVATE KEY-----")
    assert "-----BEGIN CERTIFICATE-----" in text
    serialization.load_pem_private_key(text.encode(), password=None)


def test_secrets_are_for_their_owner_only(home: Path) -> None:
    Identities(home).password("admin")
    for file in home.rglob("*"):
        if file.is_file() and file != home / "certificates/ca.pem":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    for folder in ("certificates", "secrets", "registry"):
        assert stat.S_IMODE((home / folder).stat().st_mode) == 0o700


def test_a_second_time_nothing_is_made(home: Path) -> None:
    before = snapshot(home)
    assert Identities(home).prepare(BROKERS, "registry") is False
    assert snapshot(home) == before


def test_a_missing_certificate_is_made_without_touching_the_others(home: Path) -> None:
    before = snapshot(home)
    lost = home / "certificates/kafka-1/keystore.pem"
    lost.unlink()
    assert Identities(home).prepare(BROKERS, "registry") is True
    changed = {file for file, content in snapshot(home).items() if before.get(file) != content}
    assert changed == {lost}


def test_a_certificate_that_is_about_to_expire_is_renewed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RENEW_DAYS", 900)  # leaves live 825 days, the CA for ten years
    before = snapshot(home)
    assert Identities(home).prepare(BROKERS, "registry") is True
    after = snapshot(home)
    assert before[home / "certificates/ca.pem"] == after[home / "certificates/ca.pem"]
    assert before[home / "certificates/kafka-1/keystore.pem"] != after[home / "certificates/kafka-1/keystore.pem"]
    left = certificate(home / "certificates/kafka-1/keystore.pem").not_valid_after_utc - datetime.datetime.now(
        datetime.UTC
    )
    assert left > datetime.timedelta(days=820)


def test_a_new_ca_signs_everything_anew(home: Path) -> None:
    (home / "certificates/ca-key.pem").unlink()
    Identities(home).prepare(BROKERS, "registry")
    authority = certificate(home / "certificates/ca.pem")
    certificate(home / "certificates/kafka-1/keystore.pem").verify_directly_issued_by(authority)
    assert (home / "certificates/kafka-1/ca.pem").read_bytes() == (home / "certificates/ca.pem").read_bytes()


def test_a_certificate_that_was_cut_short_is_made_anew(home: Path) -> None:
    (home / "certificates/registry/certificate.pem").write_text("-----BEGIN CERT")
    assert Identities(home).prepare(BROKERS, "registry") is True
    certificate(home / "certificates/registry/certificate.pem")


def test_passwords_stay_and_differ(home: Path) -> None:
    identities = Identities(home)
    passwords = {name: identities.password(name) for name in ("admin", "ci", "registry-reader")}
    assert len(set(passwords.values())) == 3
    assert all(len(password) >= 40 for password in passwords.values())
    assert {name: Identities(home).password(name) for name in passwords} == passwords


def test_the_registrys_file_holds_roles_and_digests_but_no_password(home: Path) -> None:
    text = (home / "registry/users.properties").read_text()
    assert "roles.registry-reader=sr-readonly\n" in text
    assert "roles.ci=sr-developer\n" in text
    for name in ("ci", "registry-reader"):
        assert Identities(home).password(name) not in text


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "certificates").write_text("in the way")
    with pytest.raises(StackError) as caught:
        Identities(tmp_path).prepare(BROKERS, "registry")
    assert caught.value.next_step
