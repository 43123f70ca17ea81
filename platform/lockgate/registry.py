"""A client of the schema registry's Confluent-compatible API: the calls that Lockgate needs, typed."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import attrs
import httpx

from lockgate.connection import Settings
from lockgate.errors import RegistryDenied, RegistryError, RegistryUnavailable, SettingsError

__all__ = ["RegisteredSchema", "Registry"]

_NOT_FOUND = 404

_JAVA_CLASS = re.compile(r"^(?:[a-z]\w*\.)+\w+: ")
"""What Apicurio puts before some messages."""


@attrs.frozen
class RegisteredSchema:
    """Hold one version of a subject."""

    subject: str
    version: int
    schema_id: int
    schema: Mapping[str, Any]


class Registry:
    """Talk to one registry as one identity; close it, or use it as a context manager.

    Every method raises RegistryUnavailable where the registry does not answer (timeouts, 5xx, 429), RegistryDenied
    for 401 and 403, and RegistryError for any other refusal. It is safe to share between threads.
    """

    def __init__(
        self, settings: Settings, *, timeout: float = 10.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        if not settings.registry_url:
            raise SettingsError("LOCKGATE_REGISTRY_URL is not set")
        self.url = settings.registry_url.rstrip("/")
        auth = None
        if settings.registry_username is not None:
            auth = httpx.BasicAuth(settings.registry_username, settings.registry_password or "")
        verify: ssl.SSLContext | bool = True
        if settings.ca_file is not None:
            try:
                verify = ssl.create_default_context(cafile=settings.ca_file)
            except OSError as error:  # ssl.SSLError, where the file holds no certificate, is one
                raise SettingsError(f"LOCKGATE_CA_FILE: {settings.ca_file} cannot be used: {error}") from error
        # trust_env off: a proxy of the environment must not see the credentials, nor stand before localhost
        self._http = httpx.Client(auth=auth, verify=verify, timeout=timeout, trust_env=False, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def subjects(self) -> list[str]:
        """Return the names of all subjects."""
        return sorted(self._call("GET", "/subjects"))

    def schema(self, schema_id: int) -> Mapping[str, Any] | None:
        """Return the schema of an id, or None where the registry has none."""
        answer = self._call("GET", f"/schemas/ids/{schema_id}", missing=None)
        return None if answer is None else _parsed(answer)

    def subjects_of(self, schema_id: int) -> frozenset[str]:
        """Return the subjects that an id is registered under; empty where the registry has no such id."""
        answer = self._call("GET", f"/schemas/ids/{schema_id}/versions", missing=[])
        return frozenset(entry["subject"] for entry in answer)

    def versions(self, subject: str) -> list[int]:
        """Return the numbers of a subject's versions, oldest first; empty where there is no such subject."""
        return sorted(self._call("GET", f"/subjects/{quote(subject, safe='')}/versions", missing=[]))

    def version(self, subject: str, version: int | str = "latest") -> RegisteredSchema | None:
        """Return one version of a subject, or None."""
        answer = self._call("GET", f"/subjects/{quote(subject, safe='')}/versions/{version}", missing=None)
        if answer is None:
            return None
        return RegisteredSchema(answer["subject"], answer["version"], answer["id"], _parsed(answer))

    def find(self, subject: str, schema: Mapping[str, Any]) -> RegisteredSchema | None:
        """Return the version of a subject that holds exactly this schema, or None."""
        body = {"schema": json.dumps(schema)}
        answer = self._call("POST", f"/subjects/{quote(subject, safe='')}", body=body, missing=None)
        if answer is None:
            return None
        return RegisteredSchema(answer["subject"], answer["version"], answer["id"], _parsed(answer))

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """Register a schema and return its id; the same schema again returns the same id."""
        body = {"schema": json.dumps(schema), "schemaType": "AVRO"}
        answer = self._call("POST", f"/subjects/{quote(subject, safe='')}/versions", body=body)
        return int(answer["id"])

    def referrers(self, subject: str, version: int) -> list[int]:
        """Return the ids of schemas that refer to a version of a subject; empty where there is none."""
        path = f"/subjects/{quote(subject, safe='')}/versions/{version}/referencedby"
        return [int(ident) for ident in self._call("GET", path, missing=[])]

    def delete(self, subject: str) -> None:
        """Delete a subject and its level, softly: its versions can still be found by their ids."""
        self._call("DELETE", f"/subjects/{quote(subject, safe='')}", missing=[])
        self._call("DELETE", f"/config/{quote(subject, safe='')}", missing=None)

    def compatibility(self, subject: str) -> str | None:
        """Return a subject's own compatibility level, or None where it has none."""
        answer = self._call("GET", f"/config/{quote(subject, safe='')}", missing=None)
        return None if answer is None else str(answer.get("compatibilityLevel") or answer.get("compatibility"))

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set a subject's compatibility level; the subject need not exist yet."""
        self._call("PUT", f"/config/{quote(subject, safe='')}", body={"compatibility": level})

    def is_compatible(self, subject: str, schema: Mapping[str, Any], *, version: int | str | None = None) -> bool:
        """Ask whether a schema is compatible with one version of a subject, or with every one (None).

        The subject's level decides the direction only: how many versions count is the caller's choice.
        """
        body = {"schema": json.dumps(schema)}
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions" + (f"/{version}" if version else "")
        answer = self._call("POST", path, body=body, missing={"is_compatible": True})  # no version, no objection
        return bool(answer["is_compatible"])

    def _call(self, method: str, path: str, *, body: Any = None, **optional: Any) -> Any:
        try:
            response = self._http.request(method, self.url + path, json=body)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise SettingsError(f"LOCKGATE_REGISTRY_URL: {self.url} is no URL: {error}") from error
        except httpx.TransportError as error:
            detail = str(error) or type(error).__name__
            raise RegistryUnavailable(f"the registry at {self.url} did not answer: {detail}") from error
        status = response.status_code
        if status == _NOT_FOUND and "missing" in optional and _error_code(response) is not None:
            return optional["missing"]
        if response.is_success:
            try:
                return response.json()
            except ValueError as error:
                raise RegistryUnavailable(
                    f"the registry at {self.url} answered {method} {path} with no JSON"
                ) from error
        message = f"the registry refused {method} {path}: {status} {_message(response)}"
        if status in (401, 403):
            raise RegistryDenied(
                message, status=status, next_step="see LOCKGATE_REGISTRY_USERNAME and LOCKGATE_REGISTRY_PASSWORD"
            )
        if status == 429 or status >= 500:
            raise RegistryUnavailable(message, status=status)
        next_step = None
        if status == _NOT_FOUND and _error_code(response) is None:
            next_step = "LOCKGATE_REGISTRY_URL must be the base of the Confluent-compatible API, as …/apis/ccompat/v7"
        raise RegistryError(message, status=status, next_step=next_step)


def _parsed(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    parsed: Mapping[str, Any] = json.loads(answer["schema"])
    return parsed


def _content(response: httpx.Response) -> Mapping[str, Any]:
    try:
        content = response.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _error_code(response: httpx.Response) -> int | None:
    """Return the API's own code: it tells a subject that is not there from a URL that is wrong."""
    code = _content(response).get("error_code")
    return code if isinstance(code, int) else None


def _message(response: httpx.Response) -> str:
    message = str(_content(response).get("message", response.reason_phrase))
    return _JAVA_CLASS.sub("", message)
