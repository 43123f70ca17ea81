"""The command line: thin. Each module holds the commands of one noun and calls the package that does the work."""

from __future__ import annotations

from lockgate.cli.main import main

__all__ = ["main"]
