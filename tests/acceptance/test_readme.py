"""Every command in the README, in order, from a fresh clone in an empty home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.worlds import SharedStack

_BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TESTS = re.compile(r"^scripts/test\b(?! tests/unit/services/test_returns\.py).*$", re.MULTILINE)
"""The commands that run Lockgate's own tests; the README's example of a test is run as it is."""


def blocks(root: Path) -> list[str]:
    return _BLOCK.findall((root / "README.md").read_text(encoding="utf-8"))


def clone(root: Path, target: Path) -> Path:
    """Copy what git would hand to a newcomer: tracked files as they are now, and new ones that are not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)
    return target


def test_the_readme_runs_both_commands_and_more() -> None:
    text = "\n".join(blocks(Path(__file__).resolve().parents[2]))
    assert "scripts/demo" in text
    assert _TESTS.search(text)
    assert "lockgate plan" in text


@pytest.mark.alone  # its last command takes the cluster down
@pytest.mark.timeout(600)
def test_every_command_of_the_readme_works_in_a_fresh_clone(stack: SharedStack, tmp_path: Path) -> None:
    """The session's cluster stands in for a cluster of its own, because two cannot hold the same ports."""
    fresh = clone(stack.root, tmp_path / "lockgate")
    (fresh / ".lockgate").symlink_to(stack.home)
    home = tmp_path / "home"
    home.mkdir()
    environ = stack.environ | {"HOME": str(home), "LOCKGATE_CACHE": str(stack.local.cache.directory)}
    environ.pop("VIRTUAL_ENV", None)
    environ["PATH"] = os.pathsep.join(
        folder for folder in environ["PATH"].split(os.pathsep) if Path(folder) != stack.root / ".venv" / "bin"
    )
    # The tests do not run the tests: a smoke of the same script stands for them.
    commands = (_TESTS.sub("scripts/test tests/unit/test_errors.py", block) for block in blocks(fresh))
    script = ["set -euxo pipefail", *commands]
    try:
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=fresh,
            env=environ,
            capture_output=True,
            text=True,
            timeout=580,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n--- stderr\n{done.stderr[-6000:]}"
        assert "Traceback" not in done.stdout + done.stderr
    finally:
        stack.up()  # the README's last command is `lockgate down`
