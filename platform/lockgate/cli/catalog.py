"""`lockgate catalog`: who owns, writes and reads what."""

from __future__ import annotations

import click

from lockgate.cli.options import Project, echo_json, output_option, pass_project

__all__ = ["catalog"]


@click.command()
@output_option
@pass_project
def catalog(project: Project, output: str) -> None:
    """Show the ownership matrix as a Markdown table: owners, event types, writers and readers of every domain.

    With --output json, a list of objects: domain, topic, owner, contact, events, writers, readers.
    """
    from lockgate.governance import catalog as matrix  # `--help` needs none of it

    entries = matrix.catalog(project.contracts)
    if output == "json":
        echo_json(matrix.as_json(entries))
    else:
        click.echo(matrix.as_markdown(entries), nl=False)
