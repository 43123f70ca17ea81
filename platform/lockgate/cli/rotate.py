"""`lockgate rotate`."""

from __future__ import annotations

import time

import click

from lockgate.cli.options import Project, as_option, echo_json, output_option, pass_project
from lockgate.connection import credentials_directory, settings_for
from lockgate.provisioning.rotation import rotate as rotate_passwords

__all__ = ["rotate"]


@click.command()
@click.argument("principals", nargs=-1, required=True, metavar="PRINCIPAL...")
@output_option
@as_option("admin")
@pass_project
def rotate(project: Project, principals: tuple[str, ...], output: str, principal: str) -> None:
    """Give workloads or operators new passwords while their processes run on.

    Writes the credentials files, then tells the brokers, and returns when each of them takes the new password only.
    """
    started = time.monotonic()
    names = list(dict.fromkeys(principals))
    as_json = output == "json"
    brokers = rotate_passwords(
        names,
        project.contracts,
        settings_for(principal, project.root),
        credentials_directory(project.root),
        progress=lambda line: click.echo(f"  {line}", err=as_json),
    )
    seconds = time.monotonic() - started
    if as_json:
        echo_json({"rotated": names, "brokers": brokers, "seconds": round(seconds, 3)})
        return
    click.echo(f"Rotated in {seconds:.1f} s: {', '.join(names)}; {brokers} brokers take the new password only")
