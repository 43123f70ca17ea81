"""One run of one subject, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from bench.lineup import Subject
from bench.loads import LOADS
from bench.project import HERE, ROOT, Project

__all__ = ["TrialError", "run"]

_PATIENCE = 240
"""Seconds that one run may take."""


class TrialError(Exception):
    """A subject did not come to its end."""


def run(project: Project, subject: Subject, count: int) -> dict[str, float]:
    """Run one subject once, with its share of `count` events; return its figures."""
    if subject.rewinds:
        project.rewind(subject.workload)
    settings, registry = project.settings(subject.workload), project.settings("admin")
    load = LOADS[subject.load]
    events = max(1, round(count * subject.share))
    job = {
        "subject": subject.name,
        "workload": subject.workload,
        "topic": load.topic,
        "event_type": load.event_type,
        "events": events,
        "readable": load.readable(events),
        "schema": project.contracts.events[load.event_type].schema,
        "schema_id": project.schema_id(load.event_type),
        "bootstrap": settings.bootstrap_servers,
        "password": settings.password,
        "ca": settings.ca_file,
        "registry": {
            "url": settings.registry_url,
            "basic.auth.user.info": f"{settings.registry_username}:{settings.registry_password}",
            "ssl.ca.location": registry.ca_file,
        },
        "source": {"workload": "bench-source", "password": project.settings("bench-source").password},
        "root": str(project.root),
    }
    python = sys.executable if subject.own else str(ROOT / ".venv-bench" / "bin" / "python")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCKGATE_")}
    with tempfile.TemporaryFile("w+") as said:  # not a pipe: nobody has to read it while the clock runs
        try:
            done = subprocess.run(
                [python, str(HERE / "subjects" / subject.script)],
                input=json.dumps(job),
                env=kept | {"PYTHONPATH": str(HERE)},
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TrialError(f"it took longer than {_PATIENCE} s:\n{_end(said)}") from error
        answers = [line for line in done.stdout.splitlines() if line.startswith('{"figures"')]
        if done.returncode != 0 or not answers:
            raise TrialError(f"it ended with {done.returncode}:\n{_end(said)}")
    figures: dict[str, float] = json.loads(answers[-1])["figures"]
    return figures


def _end(said: tempfile._TemporaryFileWrapper[str]) -> str:
    said.seek(0)
    return said.read()[-3000:]
