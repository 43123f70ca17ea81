"""A project's files along git's history, read from git's objects with few processes: nothing is checked out."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from lockgate.errors import UsageError

__all__ = ["SHORT", "Commit", "Repository"]

SHORT = 12
"""How many hexadecimal digits of a commit people are shown."""

_MAINLINES = ("origin/HEAD", "origin/main", "main", "origin/master", "master")
_NO_GIT = "compare with the registry: --against registry"


@attrs.frozen
class Commit:
    """Say which files one commit of the first-parent history has changed."""

    name: str
    changed: Mapping[str, str | None]
    """The blob of each changed file, by its path from the project's root; None for a file that is gone."""


class Repository:
    """Read the repository that a project lies in; the project may be a folder of it.

    Raise UsageError where there is no git or no repository.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        told = self._checked("rev-parse", "--show-prefix", "--show-object-format", "--is-shallow-repository")
        self._prefix, self._hash, shallow = told.decode().split("\n")[:3]
        self.is_shallow = shallow == "true"
        """Whether the clone was made without its whole history."""

    def commit(self, ref: str) -> str:
        """Return the full name of a commit; raise UsageError for one that git does not know."""
        found = self._find(ref)
        if found is None:
            raise UsageError(f"git knows no commit {ref!r}", next_step=f"fetch it, or name another one{self._remedy()}")
        return found

    def blob(self, content: bytes) -> str:
        """Return the name that git gives to a file of this content."""
        made = hashlib.new(self._hash, b"blob %d\0" % len(content), usedforsecurity=False)
        made.update(content)
        return made.hexdigest()

    def base(self, files: Mapping[str, str], folder: str) -> str | None:
        """Return the commit that a project's files are to be compared with; None where there is none before them.

        That is where this branch left main. On main itself it is the first parent, or the last commit where `files`
        (blobs by path, all below the folder that count) are not as they were committed. Raise UsageError where there
        is no main, or no common past.
        """
        mainline = next((name for name in _MAINLINES if self._find(name) is not None), None)
        if mainline is None:
            raise UsageError(
                f"there is no branch to compare with: none of {', '.join(_MAINLINES)}",
                next_step="name a commit: --against git:REF",
            )
        head = self._find("HEAD")
        if head is None:
            return None
        done = self._git("merge-base", head, mainline)
        if done.returncode != 0:
            raise UsageError(
                f"this branch and {mainline} have no commit in common",
                next_step=f"name a commit: --against git:REF{self._remedy()}",
            )
        base = done.stdout.decode().strip()
        if base != head:
            return base
        committed = self.tree(head, folder)
        if any(committed.get(path) != blob for path, blob in files.items()) or any(
            path not in files for path in committed if path.endswith((".avsc", "/domain.yaml"))
        ):
            return head
        return self._find(f"{head}^1")

    def history(self, commit: str, folder: str) -> list[Commit]:
        """Return the commits up to this one that changed files below a folder, along first parents, oldest first.

        Raise UsageError for a shallow clone: what it does not have would look like what never was.
        """
        if self.is_shallow:
            raise UsageError("this is a shallow clone: the history that counts is not there", next_step=_DEEPEN)
        listed = self._checked(
            "-c",
            "log.showRoot=true",
            "log",
            "--first-parent",
            "--diff-merges=first-parent",
            "--raw",
            "--no-renames",
            "--no-abbrev",
            "--reverse",
            "-z",
            "--format=%x01%H",
            commit,
            "--",
            folder,
        )
        commits = []
        for entry in listed.decode(errors="surrogateescape").split("\x01")[1:]:
            name, _, rest = entry.partition("\0")
            fields = rest.lstrip("\n").split("\0")
            # ":100644 100644 <old> <new> M", then the path
            changes = [
                (path, None if meta.endswith("D") else meta.split()[3])
                for meta, path in zip(fields[::2], fields[1::2], strict=False)
            ]
            commits.append(Commit(name.strip(), {path.removeprefix(self._prefix): blob for path, blob in changes}))
        return commits

    def tree(self, commit: str, folder: str) -> dict[str, str]:
        """Return the blobs of the files below a folder at a commit, by path from the project's root."""
        listed = self._checked("ls-tree", "-r", "-z", commit, "--", folder)
        found = {}
        for entry in listed.decode(errors="surrogateescape").split("\0")[:-1]:
            meta, _, path = entry.partition("\t")
            found[path] = meta.split()[2]
        return found

    def contents(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of blobs, in one process."""
        wanted = list(dict.fromkeys(blobs))
        if not wanted:
            return {}
        output = self._checked(
            "cat-file", "--batch", "--buffer", stdin="".join(f"{blob}\n" for blob in wanted).encode()
        )
        found = {}
        position = 0
        for blob in wanted:
            end = output.index(b"\n", position)
            _, kind, size = output[position:end].split()
            if kind != b"blob":
                raise UsageError(f"git has a {kind.decode()} where a file was: {blob}")
            found[blob] = output[end + 1 : end + 1 + int(size)]
            position = end + int(size) + 2
        return found

    def _remedy(self) -> str:
        return f"; {_DEEPEN}" if self.is_shallow else ""

    def _find(self, ref: str) -> str | None:
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def _checked(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        done = self._git(*arguments, stdin=stdin)
        if done.returncode != 0:
            words = [argument for argument in arguments if not argument.startswith("-") and "=" not in argument]
            raise UsageError(f"git {words[0]} failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def _git(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        try:
            done = subprocess.run(
                ["git", "-C", str(self._root), *arguments], input=stdin, capture_output=True, check=False
            )
        except FileNotFoundError as error:
            raise UsageError("git is not installed", next_step=_NO_GIT) from error
        if done.returncode == 128 and b"not a git repository" in done.stderr:
            raise UsageError(f"{self._root} is in no git repository", next_step=_NO_GIT)
        return done


_DEEPEN = "fetch it all: git fetch --unshallow (GitHub: actions/checkout with fetch-depth: 0; GitLab: GIT_DEPTH: 0)"
