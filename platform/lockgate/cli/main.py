"""The `lockgate` command: finds the project, loads commands on demand, turns errors into exit codes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from lockgate.cli.options import Project
from lockgate.errors import LockgateError

__all__ = ["main"]

_COMMANDS = {
    "apply": "lockgate.cli.provisioning:apply",
    "catalog": "lockgate.cli.catalog:catalog",
    "demo": "lockgate.cli.demo:demo",
    "dlq": "lockgate.cli.dlq:dlq",
    "down": "lockgate.cli.stack:down",
    "init": "lockgate.cli.init:init",
    "offsets": "lockgate.cli.offsets:offsets",
    "pause": "lockgate.cli.control:pause",
    "plan": "lockgate.cli.provisioning:plan",
    "resume": "lockgate.cli.control:resume",
    "rotate": "lockgate.cli.rotate:rotate",
    "run": "lockgate.cli.run:run",
    "schemas": "lockgate.cli.schemas:schemas",
    "status": "lockgate.cli.stack:status",
    "up": "lockgate.cli.stack:up",
}


class _LazyGroup(click.Group):
    """Import a command's module only when it is asked for: `lockgate --help` starts no Kafka client."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "directory", type=click.Path(path_type=Path), help="Project root; default: the nearest parent.")
@click.version_option(package_name="lockgate")
@click.pass_context
def _root(context: click.Context, directory: Path | None) -> None:
    """Govern events on Apache Kafka by contracts: schemas, rights, retries and dead letters."""
    context.obj = Project(directory)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a gate says no, 2 could not run or finish, 130 interrupted."""
    try:
        code = _root.main(args=arguments, prog_name="lockgate", standalone_mode=False)
    except LockgateError as error:
        click.echo(f"error: {error.message}", err=True)
        if error.next_step:
            click.echo(f"  next: {error.next_step}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
