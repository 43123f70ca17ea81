"""What runs beside the command line: the guard, and the one-shot containers of docker-compose.yaml."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lockgate.errors import LockgateError

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def main() -> None:
    """Serve the local stack; people use `lockgate up` instead."""


@main.command()
@click.argument("homes", nargs=-1, type=_FOLDER)
def guard(homes: tuple[Path, ...]) -> None:
    """End the stacks in HOMES when standard input closes without a release."""
    from lockgate.local.guard import keep_watch

    keep_watch(sys.stdin, homes)


@main.command()
@click.option("--root", type=_FOLDER, default=Path(), help="Project root.")
@click.option("--state", type=_FOLDER, required=True, help="State folder, as mounted.")
@click.option("--owner", type=int, required=True, help="User id that the containers' programs run as.")
def prepare(root: Path, state: Path, owner: int) -> None:
    """Make the certificates, the registry's users and the data folders."""
    from lockgate.local.containers import prepare as run

    run(root, state, owner, click.echo)


@main.command()
@click.option("--root", type=_FOLDER, default=Path(), help="Project root.")
@click.option("--state", type=_FOLDER, required=True, help="State folder, as mounted.")
@click.option("--host-state", required=True, help="The same folder's path outside of the container.")
def provision(root: Path, state: Path, host_state: str) -> None:
    """Admit the administrator, apply the contracts and hand the credentials out."""
    from lockgate.local.containers import provision as run

    run(root.absolute(), state, host_state, click.echo)


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except LockgateError as error:
        click.echo(f"error: {error.message}", err=True)
        if error.next_step:
            click.echo(f"  next: {error.next_step}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
