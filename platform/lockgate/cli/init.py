"""`lockgate init`: a small world of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import click

from lockgate.cli.options import echo_json, output_option

__all__ = ["init"]


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--name", help="What the world is called; default: as the folder.")
@click.option("--domain", default="tickets", show_default=True, help="Its domain: a Python identifier.")
@click.option("--service", default="desk", show_default=True, help="Its service: letters, digits, dots, hyphens.")
@click.option("--team", default="Support", show_default=True, help="Who owns both.")
@click.option("--contact", default="@support", show_default=True, help="Where the team is reached.")
@output_option
def init(directory: Path, name: str | None, domain: str, service: str, team: str, contact: str, output: str) -> None:
    """Write a small, complete world into DIRECTORY: a cluster, a domain, a service with a test, a workflow.

    It runs as it is: `lockgate up`, `lockgate plan`, `lockgate run`, `python -m pytest`. Nothing is overwritten.
    """
    from lockgate.starter.world import World, create

    target = directory.absolute()
    called = name or re.sub(r"[^a-z0-9]+", "-", target.resolve().name.lower()).strip("-") or "world"
    paths = create(World(called, domain, service, team, contact), target)
    if output == "json":
        echo_json({"name": called, "directory": str(target), "written": paths})
        return
    for path in paths:
        click.echo(f"wrote {path}")
    where = "" if target == Path.cwd() else f"cd {directory} && "
    click.echo(f"Next: {where}lockgate up; README.md says more")
