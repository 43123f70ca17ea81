"""Metrics in Prometheus' format, over HTTP: read when somebody asks, and by a thread of their own."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lockgate.errors import SettingsError
from lockgate.runtime.metrics import METRICS, Metric, Source

__all__ = ["UNREADABLE", "Collector", "exposed"]

UNREADABLE = "lockgate_unreadable_metrics_total"


class Collector:
    """Give Prometheus' library what it asks of a collector.

    A metric that cannot be read is left out, and counted: it costs neither the others nor the workload.
    """

    def __init__(self, source: Source, metrics: tuple[Metric, ...] = METRICS) -> None:
        self._source = source
        self._metrics = metrics
        self._workload = source.assembly.parts.workload.name
        self._families = _library("prometheus_client.core")
        self._unreadable = 0

    def collect(self) -> Iterator[Any]:
        """Yield every metric with its values of this moment."""
        for metric in self._metrics:
            try:
                yield self._family(metric)
            except Exception:
                self._unreadable += 1
        unreadable = self._families.CounterMetricFamily(
            UNREADABLE, "How often a metric could not be read when somebody asked", labels=["workload"]
        )
        unreadable.add_metric([self._workload], self._unreadable)
        yield unreadable

    def _family(self, metric: Metric) -> Any:
        names = [*metric.labels, "workload"]
        if metric.kind == "summary":
            family = self._families.SummaryMetricFamily(metric.name, metric.help, labels=names)
        elif metric.kind == "counter":
            family = self._families.CounterMetricFamily(metric.name, metric.help, labels=names)
        else:
            family = self._families.GaugeMetricFamily(metric.name, metric.help, labels=names)
        for labels, value in metric.read(self._source):
            values = value if isinstance(value, tuple) else (value,)
            family.add_metric([*labels, self._workload], *values)
        return family


@contextmanager
def exposed(source: Source, host: str, port: int) -> Iterator[str]:
    """Answer who asks for metrics, and yield the address; a port of 0 stands for any that is free.

    Raise SettingsError where that address cannot be had, or Prometheus' library is not there.
    """
    library = _library("prometheus_client")
    registry = library.CollectorRegistry()
    library.ProcessCollector(registry=registry)
    registry.register(Collector(source))
    try:
        server, thread = library.start_http_server(port, host, registry)
    except OSError as error:
        raise SettingsError(
            f"metrics cannot be had at {host}:{port}: {error.strerror}",
            next_step="set LOCKGATE_METRICS_PORT to a free port (0: any), LOCKGATE_METRICS_HOST to an own address",
        ) from error
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _library(name: str) -> Any:
    """Import a module of Prometheus' library, which only they need who want metrics."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SettingsError(
            "metrics are asked for, but prometheus_client is not installed",
            next_step="pip install 'lockgate[observability]', or unset LOCKGATE_METRICS_PORT",
        ) from error
