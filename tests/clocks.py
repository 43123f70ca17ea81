"""Set the clock of this very process: what a process under test imports before it starts.

Production code knows nothing of it. The clocks of the brokers and of the client's C library stay as they are, and so
does the one that handlers read.
"""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

STEPS = (3600.0, -7200.0, 0.0)
"""Seconds that the clock is off after each SIGUSR2."""


def armed_clock(folder: Path) -> Path:
    """Write what lets a process's clock be set; return what has to be its PYTHONPATH."""
    folder.mkdir(parents=True)
    shutil.copy(__file__, folder / "clocks.py")
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'lockgate' in sys.orig_argv and 'run' in sys.orig_argv:\n"
        "    from clocks import arm\n"
        "    arm()\n",
        encoding="utf-8",
    )
    return folder


def arm() -> None:
    """Patch this process: SIGUSR2 sets its clock, forwards, backwards and back."""
    plain, plain_ns, steps, off = time.time, time.time_ns, list(STEPS), 0.0

    def set_it(*_: Any) -> None:
        nonlocal off
        off = steps.pop(0)

    time.time = lambda: plain() + off
    time.time_ns = lambda: plain_ns() + int(off * 1e9)
    signal.signal(signal.SIGUSR2, set_it)
