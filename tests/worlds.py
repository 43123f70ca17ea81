"""The shared cluster of a test session, and small synthetic projects on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from lockgate.connection import Settings, credentials_directory, settings_for
from lockgate.contracts.load import load
from lockgate.contracts.model import Contracts
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


Progress = Callable[[str], None]
