"""Certificates and passwords of the local stack: made once, kept in files of mode 0600."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lockgate.connection import write_private
from lockgate.errors import StackError

__all__ = ["ADMIN", "Identities"]

ADMIN = "admin"
REGISTRY_ROLES = {"registry-reader": "sr-readonly", "ci": "sr-developer"}
"""The registry's users: every service reads as the first, only the second registers."""

_CA_DAYS, _LEAF_DAYS, _RENEW_DAYS = 3650, 825, 30
_REALM = "Quarkus"  # the registry's name for its embedded users; part of each digest


class Identities:
    """Hold the certificates, keys and passwords of one local stack below its state folder."""

    def __init__(self, home: Path) -> None:
        self._certificates = home / "certificates"
        self._secrets = home / "secrets"
        self._users = home / "registry" / "users.properties"

    @property
    def ca_file(self) -> Path:
        """Return the CA's certificate, which every client trusts."""
        return self._certificates / "ca.pem"

    def client_files(self, name: str = ADMIN) -> tuple[Path, Path]:
        """Return the certificate and the key of a mutual-TLS client."""
        folder = self._certificates / name
        return folder / "certificate.pem", folder / "key.pem"

    def prepare(self, brokers: Iterable[tuple[str, str]], registry: str) -> bool:
        """Make what is missing or about to expire; return whether anything was made.

        `brokers` are (host name, node id) pairs. Raise StackError where the files cannot be read or written.
        """
        try:
            made = self._prepare_certificates(list(brokers), registry)
            return self._prepare_users() or made
        except OSError as error:
            raise StackError(
                f"{error.filename}: {error.strerror}", next_step="free some room, or take the folder into your hands"
            ) from error

    def password(self, name: str) -> str:
        """Return the password of `admin`, `ci` or `registry-reader`; make it at the first call."""
        file = self._secrets / name
        if not file.exists():
            write_private(file, secrets.token_urlsafe(32))
        return file.read_text(encoding="utf-8").strip()

    def _prepare_users(self) -> bool:
        lines = ["quarkus.security.users.embedded.algorithm=digest-sha-512"]
        for name, role in REGISTRY_ROLES.items():
            digest = hashlib.sha512(f"{name}:{_REALM}:{self.password(name)}".encode()).hexdigest()
            lines.append(f"quarkus.security.users.embedded.users.{name}={digest}")
            lines.append(f"quarkus.security.users.embedded.roles.{name}={role}")
        text = "\n".join(lines) + "\n"
        if self._users.exists() and self._users.read_text(encoding="utf-8") == text:
            return False
        write_private(self._users, text)
        return True

    def _prepare_certificates(self, brokers: list[tuple[str, str]], registry: str) -> bool:
        self._certificates.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = _Authority(self._certificates)
        made = authority.made
        for host, node in brokers:
            folder = self._certificates / host
            if authority.made or _expires_soon(folder / "keystore.pem"):
                certificate, key = authority.issue(f"broker~{node}", host)
                write_private(folder / "keystore.pem", key + certificate)
                write_private(folder / "ca.pem", authority.certificate)
                made = True
        others: list[tuple[str, str | None]] = [(registry, registry), (ADMIN, None)]
        for name, at in others:
            folder = self._certificates / name
            if authority.made or _expires_soon(folder / "certificate.pem"):
                certificate, key = authority.issue(name, at)
                write_private(folder / "certificate.pem", certificate)
                write_private(folder / "key.pem", key)
                made = True
        return made


class _Authority:
    """Sign certificates with a CA that is made where there is none."""

    def __init__(self, folder: Path) -> None:
        certificate_file, key_file = folder / "ca.pem", folder / "ca-key.pem"
        self.made = _expires_soon(certificate_file) or not key_file.exists()
        if self.made:
            self._key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Lockgate local CA")])
            builder = _builder(name, name, self._key.public_key(), _CA_DAYS)
            usage = x509.KeyUsage(
                digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
            )  # fmt: skip
            self._certificate = (
                builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(usage, critical=True)
                .sign(self._key, hashes.SHA256())
            )
            write_private(key_file, _pem(self._key))
            write_private(certificate_file, self.certificate)
            certificate_file.chmod(0o644)  # no secret: clients of any user check servers with it
        else:
            key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise StackError(f"{key_file}: is not the key that Lockgate made")
            self._key = key
            self._certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())

    @property
    def certificate(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, common_name: str, host: str | None) -> tuple[str, str]:
        """Return a certificate and its key as PEM; for a server on `host` and this machine, or for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = _builder(subject, self._certificate.subject, key.public_key(), _LEAF_DAYS)
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if host is not None:
            uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
            names: list[x509.GeneralName] = [x509.DNSName(host), x509.DNSName("localhost")]
            names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    # PKCS#8: Kafka's PEM key stores refuse every other form.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _expires_soon(file: Path) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return True  # not there, or cut short by a full disk: made anew
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left < datetime.timedelta(days=_RENEW_DAYS)
