"""A world of one's own, from the built wheel, in an empty folder: `init`, then every command that its README names."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worlds import SharedStack, eventually

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the `bin` of an environment with the built wheel in it; its dependencies are those of this environment.

    Nothing is downloaded: the builder is installed here too, and the dependencies are looked up where they are.
    """
    place = tmp_path_factory.mktemp("installation")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(place), str(ROOT)]
    subprocess.run([*pip, *build], check=True, timeout=120)
    (wheel,) = place.glob("lockgate-*.whl")
    venv.create(place / "venv", with_pip=False, symlinks=True)
    executables = place / "venv" / "bin"
    python = executables / "python"
    # a folder on the path whose own .pth files are not read: the editable Lockgate of this environment stays out
    (libraries,) = (place / "venv" / "lib").glob("python*/site-packages")
    (libraries / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    install = ["--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True, timeout=120)
    where = subprocess.run(
        [str(python), "-I", "-c", "import lockgate; print(lockgate.__file__)"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(libraries))
    return executables


def test_a_world_from_the_wheel_runs_as_it_is(stack: SharedStack, installation: Path, tmp_path: Path) -> None:
    """The session's cluster stands in for the world's own, because two cannot hold the same ports."""
    root = tmp_path / "my-world"
    root.mkdir()
    domain = f"d{secrets.token_hex(4)}"
    service, team = f"{domain}-desk", f"Team{domain}"
    environ = stack.environ | {"PATH": f"{installation}{os.pathsep}{os.environ['PATH']}", "LOCKGATE_LOG_FORMAT": "text"}
    for name in ("VIRTUAL_ENV", "PYTHONPATH"):
        environ.pop(name, None)

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    run("lockgate", "init", "--domain", domain, "--service", service, "--team", team)
    for gate in ("codegen --check", "editor --check", "lint"):
        run("lockgate", "schemas", *gate.split())
    assert "4 passed" in run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert f"{domain}.retry.{service}.3" in run("lockgate", "plan")
    assert "Ready after" in run("lockgate", "up")
    run("lockgate", "plan", "--exit-code")  # nothing is left to do
    folder = service.replace("-", "_")
    assert "3 tickets opened" in run("python", "-m", f"services.{folder}.intake")

    def letters() -> list[dict[str, object]]:
        answer = json.loads(run("lockgate", "dlq", "list", "--workload", service, "--output", "json"))
        groups: list[dict[str, object]] = answer["groups"]
        return groups

    _until_handled(root, environ, service, log=tmp_path / "run.log", handled=2, done=letters)
    (group,) = letters()
    assert (group["reason"], group["letters"]) == ("reject", 1)


def _until_handled(
    root: Path, environ: dict[str, str], service: str, *, log: Path, handled: int, done: Callable[[], object]
) -> None:
    """Run the service until it has assigned its tickets and dead-lettered one; stop it in order."""
    with log.open("wb") as sink:
        process = subprocess.Popen(["lockgate", "run", service], cwd=root, env=environ, stdout=sink, stderr=sink)
    try:
        eventually(
            lambda: log.read_text(encoding="utf-8").count("Ticket assigned") == handled and done(),
            "the tickets to be handled",
            why=lambda: log.read_text(encoding="utf-8"),
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text(encoding="utf-8")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
