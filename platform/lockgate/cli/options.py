"""What the commands share: the project they work on, and the options they have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from lockgate.contracts.model import Contracts
from lockgate.errors import UsageError

__all__ = ["Project", "as_option", "echo_json", "output_option", "pass_project"]

_F = TypeVar("_F", bound=Callable[..., Any])


class Project:
    """Find the project root once, and load its contracts when they are asked for."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    @cached_property
    def root(self) -> Path:
        """Return the project root: `-C DIR`, or the nearest parent with `schemas/*/domain.yaml`."""
        if self._directory is not None:
            root = self._directory.absolute()
            if not any(root.glob("schemas/*/domain.yaml")):
                raise UsageError(f"{root} is no Lockgate project: it has no schemas/*/domain.yaml")
            return root
        here = Path.cwd()
        for folder in (here, *here.parents):
            if any(folder.glob("schemas/*/domain.yaml")):
                return folder
        raise UsageError(
            f"no Lockgate project here: neither {here} nor a folder above it has schemas/*/domain.yaml",
            next_step="go to the project, or name it with -C DIR",
        )

    @cached_property
    def contracts(self) -> Contracts:
        """Return the project's contracts."""
        from lockgate.contracts.load import load  # `--help` needs no YAML parser

        return load(self.root)


pass_project = click.make_pass_decorator(Project)


def output_option(function: _F) -> _F:
    """Add `--output text|json`, passed as `output`."""
    choice = click.Choice(["text", "json"])
    return click.option("--output", type=choice, default="text", show_default=True, help="Form of the result.")(
        function
    )


def as_option(default: str) -> Callable[[_F], _F]:
    """Add `--as PRINCIPAL`, passed as `principal`."""
    return click.option("--as", "principal", default=default, show_default=True, help="Whose credentials to use.")


def echo_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
