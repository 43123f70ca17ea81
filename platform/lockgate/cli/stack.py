"""`lockgate up`, `down`, `status`: the local stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lockgate.cli.options import Project, echo_json, output_option, pass_project
from lockgate.connection import credentials_directory, home_directory, settings_for

if TYPE_CHECKING:
    from lockgate.local import Stack

__all__ = ["down", "status", "up"]


def stack_of(project: Project) -> Stack:
    """Return the local stack of a project."""
    from lockgate.local import Stack  # `--help` needs neither certificates nor a process table

    return Stack(project.root, home_directory(project.root))


@click.command()
@pass_project
def up(project: Project) -> None:
    """Start the local stack and apply the contracts; return when all of it answers."""
    from lockgate.provisioning.apply import apply
    from lockgate.provisioning.plan import make_plan

    contracts = project.contracts  # mistakes in the contracts show before anything is started
    stack = stack_of(project)
    stack.up(click.echo)
    settings = settings_for("admin", project.root)
    credentials = credentials_directory(project.root)
    plan = make_plan(contracts, settings, credentials)
    apply(plan, contracts, settings, credentials, progress=click.echo)


@click.command()
@click.option("--delete-data", is_flag=True, help="Delete records, identities and credentials as well.")
@pass_project
def down(project: Project, delete_data: bool) -> None:
    """Stop the local stack; data and identities stay, unless they are to be deleted."""
    stack_of(project).down(delete_data, click.echo)


@click.command()
@output_option
@pass_project
def status(project: Project, output: str) -> None:
    """Show every process, port and group of the local stack; exit 1 if anything is not well."""
    raise click.ClickException("not yet")
