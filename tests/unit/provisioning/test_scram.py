from __future__ import annotations

import pytest

from lockgate.errors import ClusterDenied
from lockgate.provisioning.scram import ScramClient

# RFC 7677, section 3
NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def client(known: str = "pencil") -> ScramClient:
    return ScramClient("user", known, digest="sha256", nonce=NONCE)


def test_the_rfcs_example_comes_out_byte_for_byte() -> None:
    scram = client()
    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert scram.final(SERVER_FIRST) == CLIENT_FINAL
    scram.verify(SERVER_FINAL)


def test_another_password_gives_another_proof_and_refuses_the_server() -> None:
    scram = client("biro")
    assert scram.final(SERVER_FIRST) != CLIENT_FINAL
    with pytest.raises(ClusterDenied, match="could not prove"):
        scram.verify(SERVER_FINAL)


@pytest.mark.parametrize("answer", [b"", b"v=", b"v=AAAA", b"e=other-error", b"\xff\xfe"])
def test_a_server_without_the_right_signature_is_an_impostor(answer: bytes) -> None:
    scram = client()
    scram.final(SERVER_FIRST)
    with pytest.raises(ClusterDenied, match="could not prove"):
        scram.verify(answer)


def test_a_signature_before_the_proof_is_none() -> None:
    with pytest.raises(ClusterDenied, match="could not prove"):
        client().verify(b"v=")


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"nonsense",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=!!,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=many",
        b"r=another-nonce,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
    ],
    ids=["empty", "no fields", "bad salt", "bad count", "foreign nonce", "no nonce of its own", "too few rounds"],
)
def test_a_challenge_that_is_no_answer_to_ours_is_refused(challenge: bytes) -> None:
    with pytest.raises(ClusterDenied, match="challenge"):
        client().final(challenge)


def test_names_with_separators_are_escaped() -> None:
    assert ScramClient("a=b,c", "x", nonce="n").first() == b"n,,n=a=3Db=2Cc,r=n"


def test_every_login_has_a_nonce_of_its_own() -> None:
    assert ScramClient("user", "x").first() != ScramClient("user", "x").first()
