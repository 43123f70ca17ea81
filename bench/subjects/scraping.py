"""Metrics served, and read once a second as Prometheus would, by a thread of the same process: that costs it more."""

from __future__ import annotations

import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

_EVERY = 1.0
_SOON = 0.05
"""Seconds after which it is tried again as long as nobody listens yet."""


@contextmanager
def scraped() -> Iterator[None]:
    """Have the metrics of the workload that runs meanwhile read; raise SystemExit where that never succeeded."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ["LOCKGATE_METRICS_PORT"] = str(port)
    over, read = threading.Event(), threading.Event()

    def scrape() -> None:
        while not over.wait(_EVERY if read.is_set() else _SOON):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    answer.read()
            except OSError:
                continue
            read.set()

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if not read.is_set():
        raise SystemExit("the metrics were never read")
