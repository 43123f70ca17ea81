"""A minute of `scripts/soak`: processes and brokers are killed at random, and the books balance. Longer is by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import SOAKED
from tests.worlds import SharedStack

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.alone  # it kills brokers
def test_a_minute_of_random_kills_breaks_no_guarantee(stack: SharedStack, tmp_path: Path) -> None:
    report = tmp_path / "soak.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.soak", "--minutes", "1", "--patience", "150", "--json", str(report)],
        cwd=ROOT,
        env=os.environ | {"LOCKGATE_TEST_HOME": str(stack.home)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    assert [row["mode"] for row in found["modes"]] == SOAKED
    assert all(row["written"] > 100 and not row["broken"] for row in found["modes"])
    assert found["processes_killed"] > 3
    assert found["brokers_killed"] > 0
