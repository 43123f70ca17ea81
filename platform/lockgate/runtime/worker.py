"""One process of one workload: settings, clients and handlers put together, and the loop run until the stop."""

from __future__ import annotations

import gc
import os
import secrets
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from lockgate.contracts import names
from lockgate.contracts.derive import consumer_topics, former_tiers
from lockgate.contracts.model import Contracts, Workload
from lockgate.errors import (
    ClusterDenied,
    ClusterError,
    ClusterUnavailable,
    LockgateError,
    RegistryDenied,
    RegistryUnavailable,
    SettingsError,
    UsageError,
)
from lockgate.registry import Registry
from lockgate.runtime.assembly import assemble
from lockgate.runtime.clients import connect_consumer, connect_control, connect_onlooker, connect_producer
from lockgate.runtime.control import Control
from lockgate.runtime.dispatch import dispatch_table
from lockgate.runtime.encoding import EventEncoder
from lockgate.runtime.ends import Ends
from lockgate.runtime.exposition import exposed
from lockgate.runtime.intake import Intake
from lockgate.runtime.journal import Journal
from lockgate.runtime.login import Login
from lockgate.runtime.logs import logger_for
from lockgate.runtime.metrics import Source
from lockgate.runtime.patience import Patience
from lockgate.runtime.project import identity, load_service
from lockgate.runtime.service import Service
from lockgate.runtime.settlement import Settlement
from lockgate.runtime.signals import Stop

__all__ = ["run_workload", "stop_with_parent"]

_START_PATIENCE = 60.0
"""Seconds that brokers and registry may take to answer at the start; later on, no outage ends the process."""
_RIGHTS_PATIENCE = 30.0
"""Seconds until a refusal is believed: a right that was just granted is not on every broker at once."""
_ANSWER = 2.0
_SAID_AGAIN = 10.0
"""Seconds after which the log says again what the start is waiting for."""


def run_workload(
    contracts: Contracts,
    workload: Workload,
    stop: Stop,
    *,
    service: Service | None = None,
    metrics_port: int | None = None,
) -> None:
    """Consume until the stop; `service` is found in the project where it is not given.

    `metrics_port` goes before the one in the settings.
    Raise UsageError, HandlerError, SettingsError, ClusterError or RegistryError: nothing is lost by any of them.
    """
    domain = contracts.source_of(workload)
    declared = contracts.service(workload.service)
    if domain is None:
        raise UsageError(
            f"{workload.name} consumes nothing: it is a plain program, not one that Lockgate runs",
            next_step=f"run it as such, for example `python -m services.{declared.folder}`",
        )
    table = dispatch_table(contracts, workload, service or load_service(contracts, declared))
    settings = identity(workload.name, contracts.root)
    if workload.parks and settings.kafka.get("group.protocol") == "consumer":
        raise SettingsError(
            f"{workload.name} keeps the order of keys through retries: it takes over all partitions of a number at "
            "once, and the group protocol `consumer` hands them over one by one",
            next_step="unset LOCKGATE_KAFKA_GROUP_PROTOCOL for it",
        )
    patience = Patience(_RIGHTS_PATIENCE)
    login = Login(workload.name, contracts.root, settings, patience)
    folder = os.environ.get("LOCKGATE_JOURNAL")
    log = logger_for(workload.name, group=workload.name)
    # an id of this process's own: what fences its predecessors is the group's generation, which transactions show
    own_id = (
        names.transactional_id_prefix(workload.name) + secrets.token_hex(8)
        if workload.exactly_once or workload.parks
        else None
    )

    with ExitStack() as open_until_the_end, Registry(settings) as registry:
        assembly = assemble(
            contracts,
            workload,
            table,
            registry=registry,
            consumer=lambda: login.watch(connect_consumer(settings, workload.name, login.on_error), "consumer"),
            producer=lambda: login.watch(
                connect_producer(settings, workload.name, login.on_error, own_id, group=workload.name), "producer"
            ),
            patience=patience,
            stop=stop,
            journal=Journal(Path(folder), workload.name) if folder else None,
            max_poll_interval=int(settings.kafka.get("max.poll.interval.ms", 300_000)) / 1000,
        )
        port = settings.metrics_port if metrics_port is None else metrics_port
        if port is not None:
            ends = Ends(lambda: login.watch(connect_onlooker(settings, workload.name), "metrics"))
            open_until_the_end.callback(ends.close)
            exposition = exposed(Source(assembly, ends), settings.metrics_host, port)
            log.info("Metrics", at=open_until_the_end.enter_context(exposition))
        start = _Start(workload, assembly.intake, patience, stop, log)
        start.look_up(assembly.encoder)
        topics = start.topics(contracts)
        start.prepare(assembly.settlement)
        login.trusted = True
        control = Control(
            workload.name,
            names.control_topic(domain.topic.name, workload.name),
            lambda: login.watch(connect_control(settings, workload.name, login.on_error), "control"),
            patience,
        )
        start.hear(control)
        assembly.intake.control = control
        log.info("Started", pid=os.getpid(), topics=" ".join(topics))
        gc.collect()
        gc.freeze()  # what exists now lives as long as the process; collections need not look at it again
        try:
            assembly.loop.run(topics)
        except KafkaException as error:
            raise ClusterError(f"{workload.name} cannot go on: {error.args[0].str()}") from error
        finally:
            control.close()


class _Start:
    """Wait, within reason, for what a workload needs before it can begin."""

    def __init__(self, workload: Workload, intake: Intake, patience: Patience, stop: Stop, log: Any) -> None:
        self._workload = workload
        self._intake = intake
        self._patience = patience
        self._stop = stop
        self._log = log
        self._deadline = time.monotonic() + _START_PATIENCE
        self._waits: dict[str, tuple[float, float]] = {}  # what for: since when, and when that was said last

    def look_up(self, encoder: EventEncoder) -> None:
        """Look up the schemas that may be published."""
        while not self._stop.requested:
            try:
                encoder.look_up()
            except RegistryUnavailable as error:
                self._wait("Waiting for the registry", error)
            except RegistryDenied as error:
                if self._patience.trouble("registry", error):
                    self._log.warning("Waiting for the registry", why=error.message)
                self._patience.check()
                self._stop.wait(1.0)
            else:
                self._patience.over("registry")
                return

    def topics(self, contracts: Contracts) -> tuple[str, ...]:
        """Return what to subscribe to, once all of it can be seen.

        Retry tiers that the contract no longer lists belong to it as long as they exist: records may still be in them.
        """
        wanted = consumer_topics(contracts, self._workload)
        control = names.control_topic(wanted[0], self._workload.name)
        while not self._stop.requested:
            self._patience.check()
            try:
                visible = self._intake.visible_topics(_ANSWER)
            except KafkaException as error:
                reason = error.args[0]
                unavailable = ClusterUnavailable(
                    f"no broker answers {self._workload.name}: {reason.str()}",
                    next_step="check LOCKGATE_BOOTSTRAP_SERVERS and LOCKGATE_CA_FILE; `lockgate status` (local stack)",
                )
                self._wait("Waiting for the brokers", unavailable)
                continue
            missing = [topic for topic in (*wanted, control) if topic not in visible]
            if not missing:
                self._patience.over("topics")
                self._patience.over("login")
                return (*wanted, *former_tiers(contracts, self._workload, visible))
            denied = ClusterDenied(
                f"{self._workload.name} cannot see {', '.join(missing)}: not there, or not granted",
                next_step="`lockgate plan` shows what is missing, `lockgate apply` makes and grants it",
            )
            if self._patience.trouble("topics", denied):
                self._log.warning("Waiting for topics", why=denied.message)
            self._stop.wait(1.0)
        return wanted

    def hear(self, control: Control) -> None:
        """Wait until it is known whether the workload is paused: a process that is started anew stays paused."""
        silent = ClusterUnavailable(
            f"no broker tells {self._workload.name} whether it is paused: {control.topic} was not read to its end",
            next_step="see whether it has a leader; `lockgate status` shows what is wrong with a local stack",
        )
        while not self._stop.requested and not control.read(_ANSWER):
            self._patience.check()
            self._wait("Waiting for the control topic", silent)

    def prepare(self, settlement: Settlement) -> None:
        """Make ready to settle batches: a transactional id is granted like a topic, and as late."""
        while not self._stop.requested and not settlement.prepare():
            self._patience.check()
            if time.monotonic() > self._deadline:
                raise ClusterUnavailable(
                    f"no transaction coordinator answers {self._workload.name}",
                    next_step="`lockgate status` shows what is wrong with a local stack",
                )
            self._stop.wait(1.0)

    def _wait(self, doing: str, error: LockgateError) -> None:
        """Wait a second, and say so now and then; raise the error where the start has taken too long."""
        now = time.monotonic()
        if now > self._deadline:
            raise error
        since, said = self._waits.get(doing, (now, float("-inf")))
        if now - said >= _SAID_AGAIN:
            said = now
            self._log.warning(doing, why=error.message, waited_s=round(now - since))
        self._waits[doing] = (since, said)
        self._stop.wait(1.0)


def stop_with_parent(stop: Stop, parent: int) -> None:
    """Request the stop as soon as this process has lost its parent, however that one ended."""

    def watch() -> None:
        while os.getppid() == parent and not stop.requested:
            time.sleep(0.5)
        stop.request()

    threading.Thread(target=watch, name="parent", daemon=True).start()
