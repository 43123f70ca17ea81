"""The shared cluster of a test session, and small synthetic projects on it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import attrs

from lockgate.connection import Settings, credentials_directory, settings_for
from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts
from lockgate.governance.codegen import generate
from lockgate.local.stack import Stack
from lockgate.provisioning.apply import apply
from lockgate.provisioning.plan import make_plan


def quiet(_: object, *__: object) -> None:
    """Take progress and say nothing."""


@attrs.frozen
class SharedStack:
    """Drive the stack of the repository's own compose file, with its state in a folder of the test session."""

    root: Path
    home: Path

    @property
    def environ(self) -> dict[str, str]:
        """Return an environment in which `lockgate` finds this stack, and no setting of the developer's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCKGATE_")}
        for name in ("LOCKGATE_CACHE", "LOCKGATE_MAVEN_URL"):
            if name in os.environ:
                kept[name] = os.environ[name]
        return kept | {"LOCKGATE_HOME": str(self.home)}

    @property
    def local(self) -> Stack:
        """Return the stack as the library sees it."""
        return Stack(self.root, self.home)

    @property
    def contracts(self) -> Contracts:
        """Return the shipped contracts."""
        return load(self.root)

    def up(self) -> None:
        """Start the stack and apply the shipped contracts."""
        self.local.up(quiet)
        self.apply(self.root)

    def down(self) -> None:
        """Stop the stack and drop its data."""
        self.local.down(delete_data=True)

    def settings(self, principal: str, root: Path | None = None) -> Settings:
        """Return the settings that a principal of a project has on this stack."""
        return settings_for(principal, root or self.root, self.environ)

    def apply(self, root: Path) -> Contracts:
        """Apply a project's contracts to the cluster."""
        contracts = load(root)
        admin = self.settings("admin")
        credentials = credentials_directory(root, self.environ)
        plan = make_plan(contracts, admin, credentials)
        apply(plan, contracts, admin, credentials, progress=quiet)
        return contracts

    def lockgate(
        self, *arguments: str, root: Path | None = None, environ: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run the `lockgate` command as a user would, and return what it printed."""
        return subprocess.run(
            [sys.executable, "-m", "lockgate", *arguments],
            cwd=root or self.root,
            env=self.environ | dict(environ or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@attrs.frozen
class World:
    """Describe a small project of its own: domain `<name>a` (Made, Gone) is read by `<name>-work.a`, which publishes
    `<name>b` (Sent), which `<name>-work` reads; `<name>-source` writes `<name>a`."""

    name: str
    root: Path
    stack: SharedStack
    contracts: Contracts

    @property
    def source_topic(self) -> str:
        return f"{self.name}a"

    @property
    def result_topic(self) -> str:
        return f"{self.name}b"

    @property
    def writer(self) -> str:
        return f"{self.name}-source"

    @property
    def worker(self) -> str:
        return f"{self.name}-work.a"

    @property
    def sink(self) -> str:
        return f"{self.name}-work"

    def settings(self, principal: str) -> Settings:
        return self.stack.settings(principal, self.root)


def write_world(root: Path, name: str, *, retry: str = "[300ms, 600ms]", partitions: int = 3) -> None:
    """Write a project's files, the generated event classes aside."""
    a, b = f"{name}a", f"{name}b"
    topic = f"partitions: {partitions}, replication: 3, retention: 1d"
    files = {
        f"schemas/{a}/domain.yaml": f"""
            owner: {{team: Makers, contact: "@makers"}}
            topic: {{name: {a}, {topic}}}
            key: item_id
            compatibility: FULL
            events: [Made, Gone]
            readers: [{name}-work.a]
            writers: [{name}-source]
            """,
        f"schemas/{b}/domain.yaml": f"""
            owner: {{team: Senders, contact: "@senders"}}
            topic: {{name: {b}, {topic}}}
            key: item_id
            compatibility: FULL
            events: [Sent]
            readers: [{name}-work]
            writers: [{name}-work.a]
            """,
        f"schemas/{a}/Made.avsc": json.dumps(
            _record(a, "Made", size="int", colour={"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]})
        ),
        f"schemas/{a}/Gone.avsc": json.dumps(_record(a, "Gone", reason=["null", "string"])),
        f"schemas/{b}/Sent.avsc": json.dumps(_record(b, "Sent", origin="string")),
        "services/source/service.yaml": f"""
            name: {name}-source
            owner: {{team: Makers, contact: "@makers"}}
            workloads:
              {name}-source: {{publishes: [{a}.Made, {a}.Gone]}}
            """,
        "services/work/service.yaml": f"""
            name: {name}-work
            owner: {{team: Senders, contact: "@senders"}}
            workloads:
              {name}-work: {{consumes: [{b}.Sent]}}
              {name}-work.a:
                consumes: [{a}.Made]
                publishes: [{b}.Sent]
                retry: {retry}
            """,
    }
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")


def make_world(stack: SharedStack, tmp_path: Path, *, retry: str = "[300ms, 600ms]", partitions: int = 3) -> World:
    """Write a project under names of its own and apply it to the shared cluster."""
    name = f"t{secrets.token_hex(4)}"
    root = tmp_path / "world"
    write_world(root, name, retry=retry, partitions=partitions)
    contracts = stack.apply(root)
    for path, text in generate(contracts).items():
        (root / path).write_text(text, encoding="utf-8")
    return World(name, root, stack, contracts)


def _record(namespace: str, name: str, **fields: object) -> dict[str, object]:
    return {
        "type": "record",
        "name": name,
        "namespace": namespace,
        "doc": f"{name}.",
        "fields": [
            {"name": "item_id", "type": "string", "doc": "The item."},
            *({"name": field, "type": kind, "doc": f"Its {field}."} for field, kind in fields.items()),
        ],
    }
