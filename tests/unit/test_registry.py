from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from lockgate.connection import Settings
from lockgate.errors import RegistryDenied, RegistryError, RegistryUnavailable, SettingsError
from lockgate.registry import RegisteredSchema, Registry

URL = "https://registry.test/apis/ccompat/v7"
SCHEMA = {"type": "string"}


def registry(handler: Callable[[httpx.Request], httpx.Response]) -> Registry:
    settings = Settings("unused", registry_url=URL + "/", registry_username="reader", registry_password="s3cret")
    return Registry(settings, transport=httpx.MockTransport(handler))


def answers(status: int, content: object) -> Registry:
    return registry(lambda _: httpx.Response(status, json=content))


def test_requests_carry_the_identity_and_go_below_the_base() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=["b", "a"])

    assert registry(handle).subjects() == ["a", "b"]
    assert str(seen[0].url) == f"{URL}/subjects"
    assert seen[0].headers["authorization"].startswith("Basic ")


def test_names_are_quoted_in_paths() -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(200, json=[2, 1])

    assert registry(handle).versions("a/b ü") == [1, 2]
    assert seen == ["/apis/ccompat/v7/subjects/a%2Fb%20%C3%BC/versions"]


def test_a_version_is_read() -> None:
    content = {"subject": "s", "version": 2, "id": 7, "schema": json.dumps(SCHEMA)}
    assert answers(200, content).version("s") == RegisteredSchema("s", 2, 7, SCHEMA)
    assert answers(200, content).find("s", SCHEMA) == RegisteredSchema("s", 2, 7, SCHEMA)


def test_what_is_not_there_is_none_or_empty() -> None:
    client = answers(404, {"error_code": 40401, "message": "Subject 's' not found."})
    assert client.version("s") is None
    assert client.find("s", SCHEMA) is None
    assert client.versions("s") == []
    assert client.schema(1) is None
    assert client.subjects_of(1) == frozenset()
    assert client.compatibility("s") is None
    assert client.is_compatible("s", SCHEMA)


def test_a_wrong_url_is_not_taken_for_an_empty_registry() -> None:
    client = answers(404, {"title": "Could not find resource"})
    with pytest.raises(RegistryError) as caught:
        client.versions("s")
    assert caught.value.status == 404
    assert "LOCKGATE_REGISTRY_URL" in str(caught.value.next_step)


@pytest.mark.parametrize("key", ["compatibilityLevel", "compatibility"])
def test_both_spellings_of_a_level_are_understood(key: str) -> None:
    assert answers(200, {key: "FULL"}).compatibility("s") == "FULL"


@pytest.mark.parametrize(("version", "path"), [(None, "/versions"), ("latest", "/versions/latest"), (3, "/versions/3")])
def test_the_caller_says_which_versions_count(version: int | str | None, path: str) -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return httpx.Response(200, json={"is_compatible": False})

    assert not registry(handle).is_compatible("s", SCHEMA, version=version)
    assert seen == [f"/apis/ccompat/v7/compatibility/subjects/s{path}"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, RegistryDenied),
        (403, RegistryDenied),
        (409, RegistryError),
        (422, RegistryError),
        (429, RegistryUnavailable),
        (500, RegistryUnavailable),
        (503, RegistryUnavailable),
    ],
)
def test_refusals_are_told_apart(status: int, kind: type[RegistryError]) -> None:
    client = answers(status, {"error_code": status * 100, "message": "no"})
    with pytest.raises(RegistryError) as caught:
        client.register("s", SCHEMA)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert str(caught.value) == f"the registry refused POST /subjects/s/versions: {status} no"


def test_java_class_names_are_left_out_of_messages() -> None:
    client = answers(409, {"message": "io.apicurio.registry.rules.RuleViolationException: Incompatible artifact: s"})
    with pytest.raises(RegistryError, match=r"409 Incompatible artifact: s$"):
        client.register("s", SCHEMA)


def test_an_answer_that_is_no_json_is_an_unavailable_registry() -> None:
    client = registry(lambda _: httpx.Response(200, text="<html>"))
    with pytest.raises(RegistryUnavailable, match="with no JSON"):
        client.subjects()


def test_a_registry_that_does_not_answer_is_unavailable_and_errors_hold_no_secret() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(RegistryUnavailable) as caught:
        registry(refuse).subjects()
    assert "connection refused" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", [None, "", "registry"])
def test_a_url_that_is_none_is_a_wrong_setting(url: str | None) -> None:
    with (
        pytest.raises(SettingsError, match="LOCKGATE_REGISTRY_URL"),
        Registry(Settings("", registry_url=url)) as client,
    ):
        client.subjects()


def test_a_ca_file_without_certificates_is_a_wrong_setting(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(SettingsError, match="LOCKGATE_CA_FILE"):
        Registry(Settings("", registry_url=URL, ca_file=str(file)))
