"""The lock file: which files from Maven Central the local stack runs, byte for byte."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

import attrs

from lockgate.errors import StackError

__all__ = ["Artifact", "locked"]


@attrs.frozen
class Artifact:
    """Name one file of a Maven repository and what it must hold."""

    program: Literal["kafka", "registry"]
    group: str
    name: str
    type: str
    classifier: str
    version: str
    size: int
    """Bytes."""
    sha256: str
    """Lower-case hexadecimal."""

    @property
    def path(self) -> str:
        """Return the path below a Maven repository's root."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        file = f"{self.name}-{self.version}{suffix}.{self.type}"
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{file}"

    @property
    def file(self) -> str:
        """Return the file's name, without folders."""
        return self.path.rpartition("/")[2]


def locked(text: str | None = None) -> tuple[Artifact, ...]:
    """Return every artifact of the lock file that is shipped with the package, or of the given text."""
    if text is None:
        text = files("lockgate.local").joinpath("jars.lock").read_text(encoding="utf-8")
    artifacts = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            program, coordinate, size, sha256 = line.split()
            group, name, type_, *classifier, version = coordinate.split(":")
            if program not in ("kafka", "registry") or len(classifier) > 1 or len(sha256) != 64:
                raise ValueError(line)
            artifacts.append(
                Artifact(
                    program="kafka" if program == "kafka" else "registry",
                    group=group,
                    name=name,
                    type=type_,
                    classifier=classifier[0] if classifier else "",
                    version=version,
                    size=int(size),
                    sha256=sha256,
                )
            )
        except ValueError as error:
            raise StackError(f"jars.lock:{number}: expected PROGRAM COORDINATE SIZE SHA256") from error
    return tuple(artifacts)
