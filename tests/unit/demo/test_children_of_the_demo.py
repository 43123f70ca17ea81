"""A load program ends with its parent, however that one ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "lockgate.demo.leash", str(os.getpid()), "slow"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "program.py").write_text("import sys\nprint(__name__, *sys.argv[1:])\n")
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def test_it_runs_the_module_as_a_program_with_its_arguments(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "lockgate.demo.leash", str(os.getpid()), "program", "one", "two"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "__main__ one two\n"), done.stderr


def test_it_ends_when_its_parent_is_killed(environ: dict[str, str]) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], env=environ, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    deadline = time.monotonic() + 30
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it outlives its parent"
        time.sleep(0.05)
