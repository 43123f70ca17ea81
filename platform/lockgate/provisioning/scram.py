"""The client's side of a SCRAM login (RFC 5802), without channel binding, as Kafka speaks it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from lockgate.errors import ClusterDenied

__all__ = ["ScramClient"]

_MIN_ITERATIONS = 4096


class ScramClient:
    """Log one user in: send `first()`, answer the broker with `final()`, and `verify()` what it says then.

    Raise ClusterDenied where the broker's messages make no sense or do not prove that it knows the password.
    """

    def __init__(self, username: str, password: str, *, digest: str = "sha512", nonce: str | None = None) -> None:
        self._password = password.encode()
        self._digest = digest
        self._nonce = nonce or secrets.token_urlsafe(24)
        self._bare = f"n={username.replace('=', '=3D').replace(',', '=2C')},r={self._nonce}"
        self._signature = b""

    def first(self) -> bytes:
        """Return the client's first message."""
        return f"n,,{self._bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """Return the client's proof for the server's first message."""
        fields = _fields(server_first)
        try:
            nonce, salt, iterations = fields["r"], base64.b64decode(fields["s"], validate=True), int(fields["i"])
        except (KeyError, ValueError, binascii.Error) as error:
            raise ClusterDenied("the broker's login challenge makes no sense") from error
        if not nonce.startswith(self._nonce) or nonce == self._nonce or iterations < _MIN_ITERATIONS:
            raise ClusterDenied("the broker's login challenge is not an answer to ours, or is too weak")
        salted = hashlib.pbkdf2_hmac(self._digest, self._password, salt, iterations)
        client_key = self._hmac(salted, b"Client Key")
        unproven = f"c=biws,r={nonce}"
        message = f"{self._bare},{server_first.decode()},{unproven}".encode()
        signature = self._hmac(hashlib.new(self._digest, client_key).digest(), message)
        self._signature = self._hmac(self._hmac(salted, b"Server Key"), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{unproven},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final: bytes) -> None:
        """Check the server's signature: a broker that does not know the password is an impostor."""
        expected = base64.b64encode(self._signature).decode()
        if not self._signature or not hmac.compare_digest(_fields(server_final).get("v", ""), expected):
            raise ClusterDenied("the broker could not prove that it knows the user")

    def _hmac(self, key: bytes, message: bytes) -> bytes:
        return hmac.new(key, message, self._digest).digest()


def _fields(message: bytes) -> dict[str, str]:
    pairs = (field.partition("=") for field in message.decode("utf-8", "replace").split(","))
    return {name: value for name, _, value in pairs}
