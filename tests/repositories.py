"""Scratch git repositories for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import attrs

_SETTINGS = ("user.name=t", "user.email=t@example.org", "commit.gpgsign=false", "init.defaultBranch=main")


@attrs.frozen
class Git:
    """Run git in a folder, as nobody in particular."""

    root: Path

    def __call__(self, *arguments: str) -> str:
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        done = subprocess.run(["git", *settings, *arguments], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout

    def commit(self, message: str = "change") -> str:
        """Commit everything there is, and return the commit's short name as messages have it."""
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "-m", message)
        return self("rev-parse", "HEAD")[:12]


def new_repository(root: Path) -> Git:
    """Make a repository with an empty first commit on main."""
    git = Git(root)
    git("init", "-q", "-b", "main")
    git.commit("first")
    return git
