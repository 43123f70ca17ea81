"""One process of one workload: settings, clients and handlers put together, and the loop run until the stop."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import structlog
from confluent_kafka import KafkaError

from lockgate.connection import settings_for
from lockgate.contracts.derive import consumer_topics
from lockgate.contracts.model import Contracts, Workload
from lockgate.errors import HandlerError, RegistryUnavailable, UsageError
from lockgate.registry import Registry
from lockgate.runtime.clients import connect_consumer, connect_producer, trouble_of
from lockgate.runtime.dispatch import dispatch_table
from lockgate.runtime.encoding import EventEncoder
from lockgate.runtime.intake import Intake
from lockgate.runtime.journal import Journal
from lockgate.runtime.loop import Loop
from lockgate.runtime.patience import Patience
from lockgate.runtime.project import load_service
from lockgate.runtime.publisher import Publisher
from lockgate.runtime.reader import Reader
from lockgate.runtime.service import Service
from lockgate.runtime.signals import Stop

__all__ = ["run_workload", "stop_with_parent"]

_REGISTRY_PATIENCE = 60.0
"""Seconds that a registry may take to answer at start."""


def run_workload(contracts: Contracts, workload: Workload, stop: Stop, *, service: Service | None = None) -> None:
    """Consume until the stop; `service` is found in the project where it is not given.

    Raise UsageError, HandlerError, SettingsError, ClusterDenied, RegistryError: nothing is lost by any of them.
    """
    domain = contracts.source_of(workload)
    declared = contracts.service(workload.service)
    if domain is None:
        raise UsageError(
            f"{workload.name} consumes nothing: it is a plain program, not one that Lockgate runs",
            next_step=f"run it as such, for example `python -m services.{declared.folder}`",
        )
    table = dispatch_table(contracts, workload, service or load_service(contracts, declared))
    settings = settings_for(workload.name, contracts.root)
    if settings.username is not None and settings.username != workload.name:
        raise HandlerError(
            f"the settings are those of {settings.username}, but {workload.name} is a principal of its own",
            next_step=f"set LOCKGATE_USERNAME and the password of {workload.name}, or none of the LOCKGATE_… variables",
        )
    log = structlog.get_logger().bind(logger=workload.name)
    patience = Patience()
    intake: Intake | None = None

    def on_error(error: KafkaError) -> None:
        """Note what the client libraries report; a refused login counts only until the group has been joined."""
        trouble = trouble_of(error, workload.name, "reach the cluster")
        if trouble is not None and trouble[0] == "login" and not (intake is not None and intake.joined):
            patience.trouble(*trouble)
        log.warning("The Kafka client reports", error=error.str())

    folder = os.environ.get("LOCKGATE_JOURNAL")
    with Registry(settings) as registry:
        encoder = EventEncoder(contracts, workload, registry)
        _look_up(encoder, workload, stop)
        intake = Intake(
            workload.name,
            lambda on_commit: connect_consumer(settings, workload.name, on_error, on_commit),
            patience,
        )
        loop = Loop(
            workload,
            domain,
            table,
            intake=intake,
            publisher=Publisher(
                lambda: connect_producer(settings, workload.name, on_error), workload.name, domain.topic.name
            ),
            reader=Reader(registry, domain, workload.consumes),
            encoder=encoder,
            patience=patience,
            stop=stop,
            journal=Journal(Path(folder), workload.name) if folder else None,
        )
        topics = consumer_topics(contracts, workload)
        log.info("Started", group=workload.name, pid=os.getpid(), topics=" ".join(topics))
        loop.run(topics)


def _look_up(encoder: EventEncoder, workload: Workload, stop: Stop) -> None:
    """Look up what may be published; bear with a registry that is still starting."""
    deadline = time.monotonic() + _REGISTRY_PATIENCE
    while not stop.requested:
        try:
            encoder.look_up()
        except RegistryUnavailable as error:
            if time.monotonic() > deadline:
                raise
            structlog.get_logger().bind(logger=workload.name).warning("Waiting for the registry", why=str(error))
            stop.wait(1.0)
        else:
            return


def stop_with_parent(stop: Stop, parent: int) -> None:
    """Request the stop as soon as this process has lost its parent, however that one ended."""

    def watch() -> None:
        while os.getppid() == parent and not stop.requested:
            time.sleep(0.5)
        stop.request()

    threading.Thread(target=watch, name="parent", daemon=True).start()
