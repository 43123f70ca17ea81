"""`lockgate catalog`: who owns, writes and reads what."""

from __future__ import annotations

import click

from lockgate.cli.options import Project, echo_json, output_option, pass_project

__all__ = ["catalog"]


@click.command()
@click.option("--codeowners", is_flag=True, help="Print a CODEOWNERS file instead: who is asked before files change.")
@output_option
@pass_project
def catalog(project: Project, output: str, *, codeowners: bool) -> None:
    """Show the ownership matrix as a Markdown table: owners, event types, writers and readers of every domain.

    With --output json, a list of objects: domain, topic, owner, contact, events, writers, readers. With --codeowners as
    well: path, team, contact, owners, declared.
    """
    if codeowners:
        _codeowners(project, output)
        return
    from lockgate.governance import catalog as matrix  # `--help` needs none of it

    entries = matrix.catalog(project.contracts)
    if output == "json":
        echo_json(matrix.as_json(entries))
    else:
        click.echo(matrix.as_markdown(entries), nl=False)


def _codeowners(project: Project, output: str) -> None:
    from lockgate.governance.codeowners import as_codeowners, as_json, owned

    entries = owned(project.contracts)
    if output == "json":
        echo_json(as_json(entries))
    else:
        click.echo(as_codeowners(entries), nl=False)
    for entry in entries:
        if not entry.owners:
            click.echo(
                f"{entry.declared}: {entry.path} has no owner in it: {entry.contact!r} is no @handle or e-mail address",
                err=True,
            )
