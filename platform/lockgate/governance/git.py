"""Contract files as they were at another commit, read from git's objects: nothing is checked out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockgate.avro.schema import full_name_of
from lockgate.errors import SchemaError, UsageError

__all__ = ["documents_at", "merge_base"]

_MAINLINES = ("origin/main", "main")


def merge_base(root: Path) -> str:
    """Return the commit at which this branch left main; raise UsageError where there is no main, or no common past."""
    for mainline in _MAINLINES:
        if _git(root, "rev-parse", "--verify", "--quiet", f"{mainline}^{{commit}}").returncode == 0:
            done = _git(root, "merge-base", "HEAD", mainline)
            if done.returncode != 0:
                raise UsageError(
                    f"this branch and {mainline} have no commit in common",
                    next_step="fetch the whole history (actions/checkout: fetch-depth: 0), or name a commit",
                )
            return done.stdout.decode().strip()
    raise UsageError(
        f"there is no branch to compare with: neither {' nor '.join(_MAINLINES)}",
        next_step="name a commit: --against git:REF",
    )


def documents_at(root: Path, ref: str) -> dict[str, Mapping[str, Any]]:
    """Return the schema documents of a project at a commit, by full name.

    Raise UsageError for a commit that git does not know, SchemaError for a file that cannot be read as a schema.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if commit.returncode != 0:
        raise UsageError(f"git knows no commit {ref!r}", next_step="fetch it, or name another one")
    name = commit.stdout.decode().strip()
    listed = _checked(root, "ls-tree", "-r", "-z", "--name-only", name, "--", "schemas/")
    paths = [path for path in listed.decode().split("\0") if path.endswith(".avsc") and path.count("/") == 2]
    documents = {}
    for path in paths:
        try:
            document = json.loads(_checked(root, "show", f"{name}:./{path}"))
            documents[full_name_of(document)] = document
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SchemaError(f"{path} at {ref} is no schema") from error
    return documents


def _checked(root: Path, *arguments: str) -> bytes:
    done = _git(root, *arguments)
    if done.returncode != 0:
        raise UsageError(f"git {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise UsageError("git is not installed", next_step="compare with the registry: --against registry") from error
    if done.returncode == 128 and b"not a git repository" in done.stderr:
        raise UsageError(f"{root} is in no git repository", next_step="compare with the registry: --against registry")
    return done
