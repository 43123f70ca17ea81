"""A workload's login: a password that is rotated is taken up by running clients."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError
from confluent_kafka import Producer as KafkaProducer

from lockgate.connection import Settings
from lockgate.errors import SettingsError
from lockgate.runtime.clients import trouble_of
from lockgate.runtime.logs import logger_for
from lockgate.runtime.patience import Patience
from lockgate.runtime.project import identity

__all__ = ["Login"]

_LOGIN_PATIENCE = 10.0
_SAID_AGAIN = 30.0
"""Seconds after which it may be said again that no broker can be reached: the client says so at every attempt."""
_Client = TypeVar("_Client", Consumer, KafkaProducer)


class Login:
    """Watch what the clients report; take up a changed password, and believe a refused login only at the start.

    Later on a refusal ends nothing: connections that exist live on, and a password that is rotated is taken up here.
    Without `patience` no refusal is believed: deliveries fail when their own time is over.
    """

    def __init__(self, workload: str, root: Path, settings: Settings, patience: Patience | None = None) -> None:
        self._workload = workload
        self._root = root
        self._password = settings.password
        self._changed: tuple[str, str] | None = None
        self._patience = patience
        self._clients: dict[str, Consumer | KafkaProducer] = {}
        self._log = logger_for(workload, group=workload)
        self._away_at = float("-inf")  # when it was said last that no broker can be reached
        self.trusted = False
        """Whether the brokers have taken the login once."""

    def watch(self, client: _Client, role: str) -> _Client:
        """Keep a client's credentials up to date, also one that is made from settings that were read long ago.

        The client that had this role before is let go: after a fatal error a new one takes its place.
        """
        self._clients[role] = client
        if self._changed is not None:
            client.set_sasl_credentials(*self._changed)
        return client

    def on_error(self, error: KafkaError) -> None:
        """Take note of an error that concerns a client as a whole."""
        trouble = trouble_of(error, self._workload, "reach the cluster")
        login = trouble is not None and trouble[0] == "login"
        away = error.code() == KafkaError._ALL_BROKERS_DOWN and time.monotonic() - self._away_at >= _SAID_AGAIN
        if away:
            self._away_at = time.monotonic()
        if login or error.fatal() or away:
            self._log.warning("The Kafka client reports", error=error.str())  # single connections: its own log lines
        if trouble is None or not login:
            return
        if self._patience is not None and not self.trusted:
            self._patience.trouble(*trouble, seconds=_LOGIN_PATIENCE)
        try:
            settings = identity(self._workload, self._root)
        except SettingsError as mistake:  # a password file that is being replaced
            self._log.warning("The settings cannot be read", why=mistake.message)
            return
        if settings.username is not None and settings.password not in (None, self._password):
            self._password = settings.password
            self._changed = (settings.username, settings.password or "")
            for client in tuple(self._clients.values()):
                client.set_sasl_credentials(*self._changed)
            self._log.info("The password has changed; the new one is used")
